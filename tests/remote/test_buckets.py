"""Buckets whose connection breaks, that cannot be reached, or whose library is not installed."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import numpy as np
import pytest

from buckets import bucket_server, filesystem
from essential.errors import ConfigError, DataError
from essential.remote import access
from essential.remote.access import status_of
from essential.remote.copies import local_copy
from essential.remote.storage import ObjectStorage

pytestmark = pytest.mark.engines
CONTENT = np.random.default_rng(0).bytes(300_000)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with bucket_server() as url:
        filesystem().pipe_file(f"{url}/v.mp4", CONTENT)
        filesystem().pipe_file(f"{url}/empty.mp4", b"")
        yield url


@contextmanager
def breaking(monkeypatch: pytest.MonkeyPatch, after: list[int]) -> Iterator[list[int]]:
    """Put a connection before the server that breaks after so many bytes of an answer; once for each number."""
    server = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    left = list(after)
    with socket.create_server(("127.0.0.1", 0)) as ours:
        Thread(target=_forward_all, args=(ours, (server.hostname, server.port), left), daemon=True).start()
        with monkeypatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{ours.getsockname()[1]}")
            type(filesystem()).clear_instance_cache()
            yield left
    type(filesystem()).clear_instance_cache()


def _forward_all(ours: socket.socket, server: tuple[str, int], left: list[int]) -> None:
    with suppress(OSError):
        while True:
            client, _ = ours.accept()
            Thread(target=_forward, args=(client, server, left), daemon=True).start()


def _forward(client: socket.socket, server: tuple[str, int], left: list[int]) -> None:
    with client, socket.create_connection(server) as there, suppress(OSError):
        while request := client.recv(65536):
            there.sendall(request)
            sent, limit = 0, left.pop(0) if request.startswith(b"GET") and left else 10**9
            there.settimeout(None)
            while sent < limit and (answer := there.recv(min(65536, limit - sent))):
                client.sendall(answer)
                sent += len(answer)
                there.settimeout(1)
            if sent >= limit:
                return


def content(url: str) -> bytes:
    with local_copy(url) as path:
        return path.read_bytes()


def test_a_connection_that_breaks_is_tried_again(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with breaking(monkeypatch, [100_000, 20]) as left:
        assert content(f"{bucket}/v.mp4") == CONTENT
        assert left == []


def test_large_objects_come_block_by_block_and_one_version_of_them(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(access, "_BLOCK_BYTES", 130_000)
    assert content(f"{bucket}/v.mp4") == CONTENT
    assert content(f"{bucket}/empty.mp4") == b""
    read, other = access.read_range, bytes(reversed(CONTENT))

    def replacing(url: str, start: int, end: int) -> bytes:
        block = read(url, start, end)
        if start == 0:
            filesystem().pipe_file(url, other)
        return block

    monkeypatch.setattr(access, "read_range", replacing)
    assert content(f"{bucket}/v.mp4") == other, "not the first block of the one with the rest of the other"
    turns = iter(range(100))

    def always_replacing(url: str, start: int, end: int) -> bytes:
        filesystem().pipe_file(url, np.random.default_rng(next(turns)).bytes(len(CONTENT)))
        return read(url, start, end)

    monkeypatch.setattr(access, "read_range", always_replacing)
    with pytest.raises(DataError, match=r"s3://bucket/v\.mp4: it is replaced while it is read"):
        content(f"{bucket}/v.mp4")


def test_a_server_that_is_not_there_and_a_profile_that_is_not(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value, message in (
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", r"v\.mp4: it cannot be reached, .*//127\.0\.0\.1:9/bucket"),
        ("AWS_PROFILE", "nobody", r"v\.mp4: access is refused \(.*nobody.*\); give the machine credentials"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            patch.setattr("s3fs.S3FileSystem.retries", 1)
            type(filesystem()).clear_instance_cache()
            with pytest.raises(DataError, match=message):
                status_of(f"{bucket}/v.mp4")
    type(filesystem()).clear_instance_cache()


def test_a_bucket_that_vanishes_is_no_missing_object_and_no_copy_is_left(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for place, kind in ((f"{bucket}/gone.mp4", FileNotFoundError), ("s3://gone/v.mp4", DataError)):
        # The error is held here, and what it refers to with it.
        with pytest.raises(kind) as caught, local_copy(place):
            pass
        assert not [*tmp_path.iterdir()], caught
    assert "there is no such bucket" in str(caught.value)


def test_an_error_shows_no_name_password_or_signature_of_an_address() -> None:
    text = 'no connection to "http://me:hush@h:1/b/v.mp4?X-Signature=hush&a=b", nor http://h/w'
    with pytest.raises(DataError) as caught, access.explained("s3://bucket/v.mp4"):
        raise OSError(text)
    assert '(no connection to "http://h:1/b/v.mp4", nor http://h/w)' in str(caught.value)


def test_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("essential.extras.find_spec", lambda name: None if name == "gcsfs" else name)
    with pytest.raises(ConfigError, match=r"gs:// needs gcsfs, .* pip install 'essential-video\[gs\]'"):
        ObjectStorage("gs://bucket/videos").files()
