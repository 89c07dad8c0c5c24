"""Where the service listens, and who may ask: checked before anything of a request's body is read.

A page of another site can make a browser send requests here. They name their origin; and if that site's name points to
this machine ("DNS rebinding"), they name it as the host.
"""

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from essential.errors import ConfigError
from essential.serve.messages import Refusal
from essential.serve.worker import ServiceError

_SHORTEST_TOKEN = 16
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
# Nothing of the bundle is in them: the page, which then asks for the token, and what a watchdog asks for.
_OPEN_PATHS = ("/", "/api", "/openapi.json", "/api/v1/health")
_READING = frozenset({"GET", "HEAD"})
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Access:
    """The address, and who may ask: whoever sends the token, if there is one."""

    host: str
    port: int  # 0: any that is free
    token: str | None = field(repr=False)
    allowed_hosts: tuple[str, ...]  # further names of this machine
    token_is_new: bool = False  # it was generated, so nobody knows it yet

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        address = _address(self.host)
        return self.host == "localhost" if address is None else address.is_loopback

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every name that a Host header may have, beside IP addresses."""
        own = () if self.is_loopback else (self.host, socket.gethostname(), socket.getfqdn())
        return (*_LOOPBACK_NAMES, *own, *self.allowed_hosts)

    def url(self, port: int) -> str:
        """Return the address of the page, with a token that nobody knows yet in the part that browsers do not send."""
        anywhere = self.host in ("0.0.0.0", "::")
        name = socket.gethostname() if anywhere else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{port}/" + (f"#token={self.token}" if self.token_is_new else "")

    def listen(self) -> socket.socket:
        """Return a socket that listens, or raise a `ServiceError` if the address is taken or not this machine's."""
        try:
            family, *_, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            return socket.create_server(address[:2], family=family, backlog=128)
        except OSError as error:
            raise ServiceError(
                f"the service cannot listen at {self.host}, port {self.port}: {error.strerror or error}",
                remedy="give another --port (0: any that is free), or a --host of this machine",
            ) from error


def access_for(host: str, port: int, token: str | None, allowed_hosts: list[str]) -> Access:
    """Return who may ask; if others than this machine can, a token is generated where none is given.

    A ConfigError if the token is too short or cannot be sent, or a name is not a host's.
    """
    if token is not None and not re.fullmatch(rf"[\w.~+/=-]{{{_SHORTEST_TOKEN},}}", token, re.ASCII):
        raise ConfigError(
            f"the token has {len(token)} characters; give {_SHORTEST_TOKEN} or more of letters, digits and -._~+/="
        )
    odd = next((name for name in allowed_hosts if not re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:.]+\]", name)), None)
    if odd is not None:
        raise ConfigError(f"--allow-host {odd!r} is no name of a host; give one without port and path")
    access = Access(host, port, token, tuple(allowed_hosts))
    if token is None and not access.is_loopback:
        return replace(access, token=secrets.token_urlsafe(24), token_is_new=True)
    return access


class Guard:
    """An ASGI app around another, which gets allowed requests alone; every answer gets the security headers.

    Unless the address is the loop-back, any IP address may be the host too: no site can make it point elsewhere.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access
        self._hosts = frozenset(host.lower() for host in access.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or hand it on."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        app = self._app
        if scope["type"] == "http":
            try:
                self._check(scope["method"], scope["path"], Headers(scope=scope))
            except Refusal as refusal:
                app = error_response(refusal)
        await app(scope, receive, guarded)

    def _check(self, method: str, path: str, headers: Headers) -> None:
        host = self._checked_host(headers.getlist("host"))
        if method not in _READING:
            _check_origin(headers, host)
        if self._access.token is not None and path not in _OPEN_PATHS and not path.startswith("/page/"):
            _check_token(headers.getlist("authorization"), self._access.token)

    def _checked_host(self, values: list[str]) -> str:
        host = values[0].lower() if len(values) == 1 else ""
        match = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^\s:/@\[\]]+?)\.?(:\d+)?", host)
        if match is None or not (match[1] in self._hosts or (not self._access.is_loopback and _address(match[1]))):
            message = f"the host {host!r} is not this service's; use the address that it printed, or start it with "
            raise Refusal(421, "wrong_host", f"{message}--allow-host NAME")
        return host


def error_response(refusal: Refusal, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the answer to a refused request."""
    asked = {"www-authenticate": "Bearer"} if refusal.status == 401 else {}
    content = {"error": {"code": refusal.code, "message": refusal.message}}
    return JSONResponse(content, refusal.status, {**(headers or {}), **asked})


def _check_origin(headers: Headers, host: str) -> None:
    is_foreign = any(origin.lower().partition("://")[2] != host for origin in headers.getlist("origin"))
    if is_foreign or any(site not in ("same-origin", "none") for site in headers.getlist("sec-fetch-site")):
        raise Refusal(403, "foreign_origin", "a page of another site sent this; send it from this service's own page")


def _check_token(values: list[str], token: str) -> None:
    kind, _, given = (values[0] if len(values) == 1 else "").partition(" ")
    # In constant time: how long it takes tells nothing of how much was right.
    if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        said = "the token is wrong" if given else "a token is needed"
        raise Refusal(401, "no_access", f"{said}; send the one that the service printed: Authorization: Bearer ...")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
