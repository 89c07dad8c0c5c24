"""Who may ask: the checks before anything of a request's body is read, and the headers that every answer has.

A page of another site can make a browser send requests here. It must not get far: its requests name their origin, and
where it lets its own name point to this machine ("DNS rebinding"), they name that as the host.
"""

import hmac
import ipaddress
import json
import re
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from essential.serve.refusal import Refusal

# What holds nothing of the bundle: the page, which then asks for the token, and what a watchdog asks for.
OPEN_PATHS = ("/", "/api", "/openapi.json", "/api/v1/health")
_PAGE_FILES = "/page/"
_READING = frozenset({"GET", "HEAD"})
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """An ASGI app around another, which hears of allowed requests alone.

    Args:
        app: the other.
        hosts: names that the Host header may have.
        any_address: whether it may be any number, as `192.0.2.7`, too; nobody can let those point elsewhere.
        token: what a client must know; None: nothing.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], any_address: bool, token: str | None) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._any_address = any_address
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        guarded = _with_headers(send)
        try:
            self._check(scope)
        except Refusal as refusal:
            await send_refusal(refusal, guarded)
            return
        await self._app(scope, receive, guarded)

    def _check(self, scope: Scope) -> None:
        host = self._check_host(_values(scope, b"host"))
        if scope["method"] not in _READING:
            _check_origin(scope, host)
        path: str = scope["path"]
        is_open = path in OPEN_PATHS or path.startswith(_PAGE_FILES)
        if self._token is not None and not is_open:
            self._check_token(_values(scope, b"authorization"))

    def _check_host(self, values: list[str]) -> str:
        """Return the Host header if it is one, and allowed."""
        host = values[0].lower() if len(values) == 1 else ""
        match = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^\s:/@\[\]]+?)\.?(:\d+)?", host)
        if match is None or not (match[1] in self._hosts or (self._any_address and _is_address(match[1]))):
            message = f"the host {host!r} is not this service's; use the address that it printed, or start it with "
            raise Refusal(421, "wrong_host", f"{message}--allow-host NAME")
        return host

    def _check_token(self, values: list[str]) -> None:
        kind, _, given = (values[0] if len(values) == 1 else "").partition(" ")
        assert self._token is not None
        # In constant time: how long it takes tells nothing of how much was right.
        if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token):
            said = "the token is wrong" if given else "a token is needed"
            raise Refusal(401, "no_access", f"{said}; send the one that the service printed: Authorization: Bearer ...")


async def send_refusal(refusal: Refusal, send: Send) -> None:
    """Answer with an error in the form that all have."""
    body = json.dumps(refusal.as_json()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _check_origin(scope: Scope, host: str) -> None:
    origins = _values(scope, b"origin")
    sites = _values(scope, b"sec-fetch-site")
    is_foreign = any(origin.lower().partition("://")[2] != host for origin in origins)
    if is_foreign or any(site not in ("same-origin", "none") for site in sites):
        raise Refusal(403, "foreign_origin", "a page of another site sent this; send it from this service's own page")


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key == name]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            message = {**message, "headers": [*message["headers"], *own]}
        await send(message)

    return guarded
