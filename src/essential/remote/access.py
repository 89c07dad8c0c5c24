"""Objects by URL, through fsspec: their size, ranges of their bytes, and one clear error for each way it can fail.

Credentials are the libraries' own affair: environment, profiles, the machine's role. No address holds any.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple, TypeVar

from essential.errors import DataError
from essential.extras import require_extra

Result = TypeVar("Result")

# The packages that each scheme needs, and the extra that installs them.
_SCHEMES = {
    "s3": ("remote", ("fsspec", "s3fs")),
    "gs": ("gs", ("fsspec", "gcsfs")),
    "http": ("remote", ("fsspec", "aiohttp")),
    "https": ("remote", ("fsspec", "aiohttp")),
}
SCHEMES = tuple(_SCHEMES)
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# Of one request, and so of a worker's memory.
_BLOCK_BYTES = 8 * 2**20
_PAUSES_SECONDS = (0.2, 1.0, 3.0)
_NO_ACCESS = (
    "Give the machine credentials by the library's own means, such as AWS_PROFILE, AWS_ACCESS_KEY_ID with "
    "AWS_SECRET_ACCESS_KEY, or GOOGLE_APPLICATION_CREDENTIALS; see docs/remote.md. What was finished is kept"
)


class ObjectStatus(NamedTuple):
    """An object's size, None where the server does not say it, and what changes when its content does."""

    size_bytes: int | None
    version: str


def scheme_of(address: str) -> str | None:
    """Return the scheme of an address in lower case; None where it is a path."""
    match = _ADDRESS.match(address)
    return match[1].lower() if match else None


def checked_url(url: str) -> str:
    """Return a URL without the slashes at its end, if it is one that videos are read from; else raise a ValueError.

    What could hold a credential is refused, and not shown: user names, passwords and query strings.
    """
    scheme, _, rest = url.partition("://")
    if "::" in url:
        raise ValueError("one address is chained to another by '::'; give the address of the videos alone")
    if "?" in rest or "#" in rest or "@" in rest.partition("/")[0]:
        shown = f"{scheme}://{re.split('[?#]', rest.partition('/')[0].rpartition('@')[2])[0]}/..."
        raise ValueError(
            f"{shown} is given with a user name, a query string or a '#', which may hold credentials; give the address "
            "alone, and the credentials to the machine: see docs/remote.md"
        )
    if scheme.lower() not in _SCHEMES:
        raise ValueError(f"{url!r} is no address that videos are read from; use {', '.join(SCHEMES)} or file")
    host, *parts = rest.rstrip("/").split("/")
    if not host or {"", ".", ".."} & set(parts) or not url.isprintable() or "\\" in url or " " in host:
        raise ValueError(f"{url!r} is no full address; give one such as s3://bucket/videos")
    return f"{scheme.lower()}://{rest.rstrip('/')}"


def filesystem_of(url: str) -> Any:
    """Return fsspec's file system for a URL; a ConfigError says what to install. Ask anew in every process."""
    scheme = scheme_of(url) or ""
    extra, packages = _SCHEMES[scheme]
    require_extra(extra, *packages, of=f"{scheme}://")
    import fsspec  # it loads the scheme's package only now

    return fsspec.filesystem(scheme, use_listings_cache=False)


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what fsspec raises into a DataError that names the URL; FileNotFoundError stays, for who asks for it."""
    try:
        yield
    except (DataError, FileNotFoundError):
        raise
    except Exception as error:
        if _is_refusal(error):
            raise DataError(f"access is refused ({_cause(error)})", where=url, remedy=_NO_ACCESS) from None
        raise DataError(
            f"it could not be read, tried {len(_PAUSES_SECONDS) + 1} times ({_cause(error)})",
            where=url,
            remedy="check the network and the server, and run again; what was finished is kept",
        ) from None


def tried(url: str, ask: Callable[[Any], Result]) -> Result:
    """Return what `ask` gives for a URL's file system, asked again where a connection broke; see `explained`."""
    with explained(url):
        for pause in _PAUSES_SECONDS:
            try:
                return ask(filesystem_of(url))
            except FileNotFoundError:
                raise
            except Exception as error:
                if _is_refusal(error):
                    raise
                time.sleep(pause)
        return ask(filesystem_of(url))


def status_of(url: str) -> ObjectStatus:
    """Return an object's size and version; FileNotFoundError where there is none, and DataError as of `explained`."""
    info = tried(url, lambda files: files.info(url))
    version = next((str(info[key]) for key in ("ETag", "etag", "mtime", "LastModified") if info.get(key)), "")
    return ObjectStatus(info.get("size"), version)


def read_range(url: str, start: int, end: int) -> bytes:
    """Return the bytes of an object from `start` to before `end`; a DataError if there are fewer, or as `explained`."""
    content = bytes(tried(url, lambda files: files.cat_file(url, start=start, end=end)))
    if len(content) != end - start:
        raise DataError(
            f"it ends early: {len(content)} of {end - start} bytes came from byte {start} on",
            where=url,
            remedy="put the whole file there, and run again; what was finished is kept",
        )
    return content


def copy_range(url: str, start: int, end: int, target: BinaryIO) -> None:
    """Write the bytes of an object from `start` to before `end` into a file, a block at a time; see `read_range`."""
    for place in range(start, end, _BLOCK_BYTES):
        target.write(read_range(url, place, min(end, place + _BLOCK_BYTES)))


def _is_refusal(error: Exception) -> bool:
    """Whether another try is of no use: no right, or no credentials."""
    status = getattr(error, "status", None)
    return isinstance(error, PermissionError) or status in (401, 403) or "Credential" in type(error).__name__


def _cause(error: Exception) -> str:
    """Return the reason without the query strings of addresses: a server may have led on to a signed one."""
    status, message = getattr(error, "status", None), getattr(error, "message", None)
    text = f"{status} {message}" if status else str(getattr(error, "strerror", None) or error)
    return re.sub(r"\?[^\s'\")]*", "", text.strip()) or type(error).__name__
