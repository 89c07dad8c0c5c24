"""A server of S3 on this machine, in the process of the tests."""

import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def bucket_server() -> Iterator[str]:
    """Give the address of a new bucket; credentials and server are in the environment meanwhile."""
    server_of = pytest.importorskip("moto.server", reason="moto, a server of S3 for tests, is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server = server_of.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    given = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "x"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**given, "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}.items():
            patch.setenv(name, value)
        # One that is kept has the address of a server that was.
        type(filesystem()).clear_instance_cache()
        _post("reset")  # what a server of this process had before is still there
        filesystem().mkdir("s3://bucket")
        try:
            yield "s3://bucket"
        finally:
            type(filesystem()).clear_instance_cache()
            server.stop()


@contextmanager
def without_rights() -> Iterator[None]:
    """Have the server refuse whatever is asked meanwhile."""
    _ask_for_rights_after(0)
    try:
        yield
    finally:
        _ask_for_rights_after(1_000_000)


def _ask_for_rights_after(requests: int) -> None:
    _post("reset-auth", str(requests))


def _post(action: str, text: str = "") -> None:
    address = f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/{action}"
    request = urllib.request.Request(address, text.encode(), {"Content-Type": "text/plain"}, method="POST")
    urllib.request.urlopen(request).close()


def filesystem() -> Any:
    """Return fsspec's view of the server's buckets."""
    import fsspec

    return fsspec.filesystem("s3", use_listings_cache=False)
