"""Copies of files behind HTTP: whole or not at all, whatever the connection, the server and this machine's disk do."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from essential.errors import DataError
from essential.remote import access, http_files
from essential.remote.access import read_range, status_of, write_block
from essential.remote.copies import fetch_ahead, local_copy, remove_leftovers
from web_server import WebServer, web_server

CONTENT = np.random.default_rng(0).bytes(1000)
NAME = "walk/a b#%.mp4"
AT = "walk/a%20b%23%25.mp4"


@pytest.fixture(autouse=True)
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that copies are in."""
    folder = tmp_path / "copies"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr(access, "_PAUSES_SECONDS", (0, 0))
    monkeypatch.setattr(http_files, "_BLOCK_BYTES", 64)
    monkeypatch.delenv("http_proxy", raising=False)
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    (tmp_path / "files/walk").mkdir(parents=True)
    (tmp_path / "files" / NAME).write_bytes(CONTENT)
    with web_server(tmp_path / "files") as found:
        yield found


def content(server: WebServer) -> bytes:
    with local_copy(f"{server.url}/{AT}") as path:
        return path.read_bytes()


def test_one_request_gets_a_file_which_keeps_its_extension(server: WebServer, copies: Path) -> None:
    for _ in range(2):  # the segments of one file are read one after the other
        with local_copy(f"{server.url}/{AT}", keep=True) as path:
            assert (path.parent, path.suffix, path.read_bytes()) == (copies, ".mp4", CONTENT)
    assert server.asked == [("GET", NAME, None)]
    (server.root / "other.avi").write_bytes(b"other")
    with local_copy(f"{server.url}/other.avi") as other:
        assert [*copies.iterdir()] == [other], "the one before is not kept"
    assert not [*copies.iterdir()]


def test_what_was_fetched_ahead_is_asked_for_once(
    server: WebServer, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A process that is forked of this one must not wait for the threads of this one.
    monkeypatch.setattr("essential.remote.copies._fetching", cache(ThreadPoolExecutor))
    for _ in range(2):
        for _ in range(2):
            fetch_ahead(f"{server.url}/{AT}")
        since = time.monotonic()
        while not server.asked:
            assert time.monotonic() - since < 300
            time.sleep(0.001)
        with local_copy(f"{server.url}/{AT}", keep=True) as path:
            assert path.read_bytes() == CONTENT
    fetch_ahead(f"{server.url}/gone.mp4")
    with pytest.raises(FileNotFoundError), local_copy(f"{server.url}/gone.mp4"):
        pass
    assert [asked[1] for asked in server.asked] == [NAME, "gone.mp4"]
    assert not [*copies.iterdir()]


def test_where_no_thread_can_be_started_a_file_is_fetched_when_it_is_read(
    server: WebServer, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("essential.remote.copies._fetching", cache(ThreadPoolExecutor))
    with monkeypatch.context() as without_threads:
        without_threads.setattr(Thread, "start", refused)
        fetch_ahead(f"{server.url}/{AT}")
    with local_copy(f"{server.url}/{AT}") as path:
        assert path.read_bytes() == CONTENT
    assert len(server.asked) == 1
    assert not [*copies.iterdir()]


def test_a_plain_path_is_given_as_it_is(tmp_path: Path, copies: Path) -> None:
    with local_copy(str(tmp_path / "v.mp4")) as path:
        assert path == tmp_path / "v.mp4"
    assert not [*copies.iterdir()]


def test_a_connection_that_breaks_is_gone_on_with_from_the_last_byte(server: WebServer) -> None:
    server.breaks[NAME] = [130, 0, 200]
    assert content(server) == CONTENT
    assert [asked[2] for asked in server.asked] == [None, "bytes=130-", "bytes=130-", "bytes=330-"]


def test_without_ranges_it_begins_anew(server: WebServer) -> None:
    server.has_ranges, server.breaks[NAME] = False, [130, 700]
    assert content(server) == CONTENT
    assert len(server.asked) == 3


def test_a_file_that_is_replaced_meanwhile_is_never_mixed(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.breaks[NAME] = [500]
    other = bytes(reversed(CONTENT))
    monkeypatch.setattr("time.sleep", lambda _: None)
    asked = server.asked

    class Replacing(list[tuple[str, str, str | None]]):
        def append(self, request: tuple[str, str, str | None]) -> None:
            if asked:
                (server.root / NAME).write_bytes(other)
            asked.append(request)

    server.asked = Replacing()
    assert content(server) == other
    assert [request[2] for request in asked] == [None, "bytes=500-"]


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_file_that_always_ends_early_is_one_error(server: WebServer, copies: Path, has_ranges: bool) -> None:
    server.has_ranges = has_ranges
    server.breaks[NAME] = [500, *[0 if has_ranges else 500] * 20]
    with pytest.raises(DataError, match=r"127\.0\.0\.1:[0-9]+/walk/a%20b.*it ends early: 500 of 1000 bytes came"):
        content(server)
    assert not [*copies.iterdir()], "nothing half-written is left"


def test_what_is_not_there_is_another_thing_than_a_server_that_fails(server: WebServer) -> None:
    (server.root / NAME).unlink()
    with pytest.raises(FileNotFoundError):
        content(server)
    assert len(server.asked) == 1, "it is not asked for again"
    server.codes[NAME] = 503
    with pytest.raises(DataError, match=r"it cannot be reached.*\(503 Service Unavailable\)"):
        content(server)
    assert len(server.asked) == 4
    server.codes[NAME] = 403
    with pytest.raises(DataError, match=r"access is refused \(403 Forbidden\); give the machine credentials"):
        content(server)
    assert len(server.asked) == 5


def test_an_address_that_a_server_leads_on_to_is_followed_and_not_shown(server: WebServer) -> None:
    server.moved["old.mp4"] = server.moved["new.mp4"] = f"{server.url}/{AT}?X-Signature=secret"
    with local_copy(f"{server.url}/old.mp4") as path:
        assert path.read_bytes() == CONTENT
    server.codes[NAME] = 500
    with (
        pytest.raises(DataError, match=r"/new\.mp4: it cannot be reached.*500 Internal") as caught,
        local_copy(f"{server.url}/new.mp4"),
    ):
        pass
    assert "secret" not in str(caught.value)
    server.moved["new.mp4"] = "ftp://127.0.0.1/a.mp4"
    with pytest.raises(DataError, match=r"it cannot be reached"), local_copy(f"{server.url}/new.mp4"):
        pass


def test_ranges_and_the_size(server: WebServer) -> None:
    url = f"{server.url}/{AT}"
    assert status_of(url).size_bytes == 1000
    assert read_range(url, 100, 300) == CONTENT[100:300]
    server.breaks[NAME] = [30]
    assert read_range(url, 990, 1000) == CONTENT[990:]
    server.breaks[NAME] = [3]
    assert read_range(url, 990, 1000) == CONTENT[990:], "it is asked for again"
    with pytest.raises(DataError, match="it ends early: 10 of 20 bytes came from byte 990 on"):
        read_range(url, 990, 1010)
    server.has_ranges = False
    assert read_range(url, 100, 300) == CONTENT[100:300]


def test_a_disk_without_room_is_one_error(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(DataError, match=r"No space left.*TMPDIR"):
        write_block(full, b"x")
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with pytest.raises(DataError, match=r"could not be written to /nowhere.*give TMPDIR a folder with room"):
        content(server)
    assert server.asked == [], "the disk is asked first"


def test_copies_of_processes_that_ended_are_removed_and_those_of_others_stay(server: WebServer, copies: Path) -> None:
    with local_copy(f"{server.url}/{AT}", keep=True) as ours:
        child = os.fork()
        if not child:
            code = 1
            try:
                with local_copy(
                    f"{server.url}/{AT}", keep=True
                ) as theirs:  # not the parent's, which may go at any time
                    code = 0 if theirs != ours and theirs.read_bytes() == CONTENT else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert len([*copies.iterdir()]) == 2
        remove_leftovers()
        assert [*copies.iterdir()] == [ours]
        assert ours.read_bytes() == CONTENT
