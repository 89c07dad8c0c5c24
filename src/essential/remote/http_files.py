"""Files behind HTTP: their size, ranges of their bytes, and whole ones, gone on with where a connection broke.

By the standard library: fsspec's HTTP takes every failure for a file that is not there. No credentials are sent, and
proxies are the environment's.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import BinaryIO
from urllib import request
from urllib.error import HTTPError, URLError

_TIMEOUT_SECONDS = 30
_BLOCK_BYTES = 2**20
_ABSENT, _REFUSED, _NO_SUCH_RANGE = (404, 410), (401, 403, 407), 416


@cache
def _opener() -> request.OpenerDirector:
    opener = request.OpenerDirector()
    # Not the default one, which follows a server to FTP.
    for handler in (
        *(request.ProxyHandler, request.HTTPHandler, request.HTTPSHandler, request.UnknownHandler),
        *(request.HTTPDefaultErrorHandler, request.HTTPRedirectHandler, request.HTTPErrorProcessor),
    ):
        opener.add_handler(handler())
    return opener


@contextmanager
def _response(url: str, headers: Mapping[str, str], method: str = "GET") -> Iterator[HTTPResponse]:
    """Give the answer to a request; FileNotFoundError and PermissionError say what they do of a path."""
    asked = request.Request(url, headers={"Accept-Encoding": "identity", **headers}, method=method)
    try:
        with _opener().open(asked, timeout=_TIMEOUT_SECONDS) as response:
            yield response
    except HTTPError as error:
        error.close()
        text = f"{error.code} {error.reason}"
        if error.code in _ABSENT:
            raise FileNotFoundError(url) from None
        if error.code in _REFUSED:
            raise PermissionError(text) from None
        if error.code == _NO_SUCH_RANGE:
            raise ConnectionError("it ends early: the server has no more of it") from None
        raise ConnectionError(text) from None
    except URLError as error:
        raise ConnectionError(str(error.reason)) from None


def http_status(url: str) -> tuple[int | None, str]:
    """Return a file's size, None where the server does not say it, and its version."""
    with _response(url, {}, "HEAD") as response:
        length = response.headers["Content-Length"]
        return None if length is None else int(length), _version(response.headers)


def http_range(url: str, start: int, end: int) -> bytes:
    """Return the bytes from `start` to before `end`; fewer where the file ends. Of a whole one, the rest is passed."""
    with _response(url, {"Range": f"bytes={start}-{end - 1}"}) as response:
        passed = start if response.status != 206 else 0
        while passed and (block := response.read(min(passed, _BLOCK_BYTES))):
            passed -= len(block)
        content = response.read(end - start)
        length = response.headers["Content-Length"]
        if length is not None and response.status == 206 and len(content) < int(length):
            raise ConnectionError(f"{len(content)} of {length} bytes came")
        return content


def http_copy(url: str, target: BinaryIO, write: Callable[[bytes], object]) -> Callable[[], bool]:
    """Return a function that writes a file into `target`, and says whether it is complete, to be called until it is.

    It goes on behind the last byte that came if the server can do that and the file is the same one; else it begins
    anew. It raises what a connection raises that did not get further than those before.
    """
    farthest, version = 0, ""

    def go_on() -> bool:
        nonlocal farthest, version
        begun = target.tell() if version else 0
        with _response(url, {"Range": f"bytes={begun}-", "If-Range": version} if begun else {}) as response:
            if response.status != 206:
                begun = 0
            target.seek(begun)
            target.truncate()
            version = _version(response.headers)
            length = response.headers["Content-Length"]
            whole = None if length is None else begun + int(length)
            try:
                while block := response.read(_BLOCK_BYTES):
                    write(block)
                if whole is not None and target.tell() < whole:
                    raise ConnectionError(f"it ends early: {target.tell()} of {whole} bytes came")
            except (ConnectionError, HTTPException, TimeoutError):
                if target.tell() <= farthest:
                    raise
                farthest = target.tell()
                return False
        return True

    return go_on


def _version(headers: HTTPMessage) -> str:
    """Return what a server compares a file with that it is asked to go on with; empty if there is nothing."""
    tag = headers["ETag"] or ""
    return tag if tag and not tag.startswith("W/") else headers["Last-Modified"] or ""
