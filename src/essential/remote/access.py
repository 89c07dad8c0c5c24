"""Objects by URL, in buckets through fsspec: size, ranges of bytes, and one clear error for each way it can fail.

Credentials are the libraries' own affair: environment, profiles, the machine's role. No address holds any.
"""

import errno
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO, NamedTuple, TypeVar

from essential.errors import DataError, EssentialError
from essential.extras import require_extra
from essential.remote.http_files import http_copy, http_range, http_status
from essential.shown import quoted

Result = TypeVar("Result")

# The packages that each scheme needs, and the extra that installs them.
_SCHEMES = {
    "s3": ("remote", ("fsspec", "s3fs")),
    "gs": ("gs", ("fsspec", "gcsfs")),
}
_HTTP = ("http", "https")
SCHEMES = (*_SCHEMES, *_HTTP)
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# A host or bucket, at most with a port.
_HOST = re.compile(r"(\[[^]/]*\]|[^:/]*)(:[0-9]+)?(/|$)")
# Of one request, and so of a worker's memory.
_BLOCK_BYTES = 8 * 2**20
# s3fs tries five times by itself. With botocore's own attempts and minutes, a server that is silent would take longer
# than a video may, and look like a video that cannot be read.
_S3_CLIENT = {"connect_timeout": 15, "read_timeout": 15, "retries": {"max_attempts": 0}}
_PAUSES_SECONDS = (0.2, 1.0, 3.0)
_NO_ACCESS = (
    "give the machine credentials by the library's own means, such as AWS_PROFILE, AWS_ACCESS_KEY_ID with "
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
    # A password may hold slashes, as keys of S3 do.
    if "?" in rest or "#" in rest or "@" in rest.partition("/")[0] or ("@" in rest and not _HOST.match(rest)):
        host = re.split("[?#/]", rest.rpartition("@")[2])[0]
        raise ValueError(
            f"{scheme}://{host}/... is given with a user name, a query string or a '#', which may hold credentials; "
            "give the address alone, and the credentials to the machine: see docs/remote.md"
        )
    if scheme.lower() not in SCHEMES:
        raise ValueError(f"{quoted(url)} is no address that videos are read from; use {', '.join(SCHEMES)} or file")
    host, *parts = rest.rstrip("/").split("/")
    if not host or {"", ".", ".."} & set(parts) or not url.isprintable() or "\\" in url or " " in host:
        raise ValueError(f"{quoted(url)} is no full address; give one such as s3://bucket/videos")
    return f"{scheme.lower()}://{rest.rstrip('/')}"


def is_http(url: str) -> bool:
    """Return whether an address is a web server's, which can list nothing."""
    return scheme_of(url) in _HTTP


def filesystem_of(url: str) -> Any:
    """Return fsspec's file system for a bucket's URL; a ConfigError says what to install. Ask anew in every process."""
    scheme = scheme_of(url) or ""
    extra, packages = _SCHEMES[scheme]
    require_extra(extra, *packages, of=f"{scheme}://")
    import fsspec  # it loads the scheme's package only now

    given = {"config_kwargs": _S3_CLIENT} if scheme == "s3" else {}
    return fsspec.filesystem(scheme, use_listings_cache=False, **given)


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what goes wrong into a DataError that names the URL; FileNotFoundError of an object stays, for who asks."""
    try:
        yield
    except EssentialError:
        raise
    except FileNotFoundError as error:
        if error_code(error) == "NoSuchBucket":
            raise no_bucket(url) from None
        raise
    except Exception as error:
        if _is_refusal(error):
            raise DataError(f"access is refused ({_cause(error)})", where=url, remedy=_NO_ACCESS) from None
        raise DataError(
            f"it cannot be reached, tried several times ({_cause(error)})",
            where=url,
            remedy="check the network and the server, and run again; what was finished is kept",
        ) from None


def tried(url: str, ask: Callable[[Any], Result]) -> Result:
    """Return what `ask` gives for a bucket's file system, which tries again by itself; errors as of `explained`."""
    with explained(url):
        return ask(filesystem_of(url))


def _retried(url: str, ask: Callable[[], Result]) -> Result:
    """Return what `ask` gives of a web server, asked again where a connection broke; errors as of `explained`."""
    with explained(url):
        for pause in _PAUSES_SECONDS:
            try:
                return ask()
            except (EssentialError, FileNotFoundError):
                raise
            except Exception as error:
                if _is_refusal(error):
                    raise
                time.sleep(pause)
        return ask()


def status_of(url: str) -> ObjectStatus:
    """Return an object's size and version; FileNotFoundError where there is none, and DataError as of `explained`."""
    if is_http(url):
        return ObjectStatus(*_retried(url, lambda: http_status(url)))
    info = tried(url, lambda files: files.info(url))
    version = next((str(info[key]) for key in ("ETag", "etag", "mtime", "LastModified") if info.get(key)), "")
    return ObjectStatus(info.get("size"), version)


def read_range(url: str, start: int, end: int) -> bytes:
    """Return the bytes of an object from `start` to before `end`; a DataError if there are fewer, or as `explained`."""
    if is_http(url):
        content = _retried(url, lambda: http_range(url, start, end))
    else:
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
        write_block(target, read_range(url, place, min(end, place + _BLOCK_BYTES)))


def copy_whole(url: str, target: BinaryIO) -> None:
    """Write an object into an empty file, a block at a time; FileNotFoundError where there is none.

    Raises:
        DataError: as of `read_range`; the object was replaced again and again while it was read; the disk is full.
    """
    if is_http(url):
        go_on = http_copy(url, target, partial(write_block, target))
        while not _retried(url, go_on):
            pass
        return
    small = _small_object(url) if scheme_of(url) == "s3" else None
    if small is not None:
        write_block(target, small)
        return
    for _ in _PAUSES_SECONDS:
        target.seek(0)
        target.truncate()
        status = status_of(url)
        copy_range(url, 0, status.size_bytes or 0, target)
        # One request gives one version of an object; several may not.
        if (status.size_bytes or 0) <= _BLOCK_BYTES or status_of(url) == status:
            return
    raise DataError("it is replaced while it is read", where=url, remedy="run again when nothing writes it")


def _small_object(url: str) -> bytes | None:
    """Return an object of S3 in one request, which costs half of asking for its size too; None if it is large."""

    def ask(files: Any) -> bytes:
        try:
            return bytes(files.cat_file(url, start=0, end=_BLOCK_BYTES))
        except OSError as error:
            if error.errno == errno.EINVAL:  # there is no such range
                return b""
            raise

    content = tried(url, ask)
    return content if len(content) < _BLOCK_BYTES else None


def write_block(target: BinaryIO, block: bytes, *, last: bool = False) -> None:
    """Write to a copy on this machine, and flush the last block; a DataError says that there is no room."""
    try:
        target.write(block)
        if last:
            target.flush()
    except OSError as error:
        raise no_room(error) from error


def no_room(error: OSError) -> DataError:
    """Return the error for a copy that could not be written."""
    return DataError(
        f"a copy of a video could not be written to {tempfile.gettempdir()} ({error.strerror})",
        remedy="give TMPDIR a folder with room, and run again; what was finished is kept",
    )


def _is_refusal(error: Exception) -> bool:
    """Whether another try is of no use: no right, or no credentials, which each library has its own errors for."""
    return isinstance(error, PermissionError) or re.search("Credential|Profile|Token", type(error).__name__) is not None


def no_bucket(url: str) -> DataError:
    """Return the error for a bucket that is not there, or not any more."""
    return DataError(
        "there is no such bucket", where=url, remedy="make the bucket, or give another; what was finished is kept"
    )


def error_code(error: OSError) -> str | None:
    """Return the code of a server's own error behind one of s3fs."""
    response: dict[str, Any] = getattr(error.__cause__, "response", None) or {}
    code: str | None = response.get("Error", {}).get("Code")
    return code


def _cause(error: Exception) -> str:
    """Return the reason without what addresses in it may hold: a name and password, a signature."""
    text = str(getattr(error, "strerror", None) or error)
    return re.sub(r"(?<=//)[^/\s]*@|\?[^\s'\")]*", "", text.strip()) or type(error).__name__
