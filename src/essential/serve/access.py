"""Where the service listens, and what a client must know."""

import ipaddress
import re
import secrets
import socket
from dataclasses import dataclass, field

from essential.errors import ConfigError
from essential.serve.process import ServiceError

_SHORTEST_TOKEN = 16
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Access:
    """The address, and who is let in.

    Attributes:
        host: an address of this machine, or its name.
        port: 0 for any that is free.
        token: what a client must know; None: nothing, which the loop-back address alone may have.
        allowed_hosts: further names by which clients may call this machine.
        token_is_new: whether the token was made here, so that nobody knows it yet.
    """

    host: str
    port: int
    token: str | None = field(repr=False)
    allowed_hosts: tuple[str, ...]
    token_is_new: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        return _is_loopback(self.host)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every name that a Host header may have, beside addresses in numbers."""
        own = () if self.is_loopback else (self.host, socket.gethostname(), socket.getfqdn())
        return (*_LOOPBACK_NAMES, *own, *self.allowed_hosts)

    def url(self, port: int) -> str:
        """Return the address of the page; a token that nobody knows yet stands where a browser does not send it on."""
        anywhere = self.host in ("0.0.0.0", "::")
        name = socket.gethostname() if anywhere else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{port}/" + (f"#token={self.token}" if self.token_is_new else "")

    def listen(self) -> socket.socket:
        """Return a socket that listens.

        Raises:
            ServiceError: the address is not this machine's, or taken.
        """
        try:
            family, *_, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            listener = socket.create_server(address[:2], family=family, backlog=128)
        except OSError as error:
            raise ServiceError(
                f"the service cannot listen at {self.host}, port {self.port}: {error.strerror or error}; give another "
                "--port (0: any that is free), or a --host of this machine"
            ) from error
        listener.set_inheritable(False)
        return listener


def access_for(host: str, port: int, token: str | None, allowed_hosts: list[str]) -> Access:
    """Return who is let in; where others than this machine can ask, a token is made if none is given.

    Raises:
        ConfigError: the token is too short or cannot be sent, or a name is none.
    """
    if token is not None and not re.fullmatch(rf"[\w.~+/=-]{{{_SHORTEST_TOKEN},}}", token, re.ASCII):
        raise ConfigError(
            f"the token has {len(token)} characters; give {_SHORTEST_TOKEN} or more of letters, digits and -._~+/="
        )
    odd = next((name for name in allowed_hosts if not re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:.]+\]", name)), None)
    if odd is not None:
        raise ConfigError(f"--allow-host {odd!r} is no name of a host; give one without port and path")
    if token is None and not _is_loopback(host):
        return Access(host, port, secrets.token_urlsafe(24), tuple(allowed_hosts), token_is_new=True)
    return Access(host, port, token, tuple(allowed_hosts))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
