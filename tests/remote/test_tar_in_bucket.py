"""Tar shards in a bucket and behind HTTP: few requests, one error for each way that they can fail."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from buckets import bucket_server, filesystem, without_rights
from essential.errors import DataError
from essential.remote import access, copies
from essential.remote.copies import local_copy
from essential.remote.tar_shards import TarShards
from made_tars import write_tar
from web_server import web_server

pytestmark = pytest.mark.engines
VIDEOS = {f"{shard}/{number}.mp4": bytes([number]) * 300_000 for shard in "ab" for number in range(5)}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with bucket_server() as url:
        yield url


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two shards, a.tar and b.tar."""
    monkeypatch.setenv("ESSENTIAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(access, "_PAUSES_SECONDS", (0, 0))
    for shard in "ab":
        files = {name: content for name, content in VIDEOS.items() if name.startswith(shard)}
        labels = {name.replace(".mp4", ".cls"): b"3" for name in files}
        write_tar(tmp_path / "shards" / f"{shard}.tar", dict(sorted({**files, **labels}.items())))
    return tmp_path / "shards"


def put(folder: Path, url: str) -> None:
    for path in folder.iterdir():
        filesystem().pipe_file(f"{url}/{path.name}", path.read_bytes())


def contents(storage: TarShards) -> dict[str, bytes]:
    found = {}
    for name in storage.files():
        with local_copy(storage.locator(name)) as path:
            found[name] = path.read_bytes()
    return found


def test_shards_in_a_bucket_hold_what_those_on_disk_do(server: str, shards: Path) -> None:
    put(shards, f"{server}/whole")
    local, remote = TarShards(f"{shards}/{{a,b}}.tar"), TarShards(f"{server}/whole/{{a,b}}.tar")
    assert remote.files() == local.files()
    assert contents(remote) == contents(local)
    assert contents(remote).items() >= VIDEOS.items()
    assert next(iter(remote.indexes.values())).labels == dict.fromkeys([f"a/{number}.cls" for number in range(5)], "3")


def test_a_shard_replaced_in_its_bucket_is_indexed_anew(server: str, shards: Path) -> None:
    put(shards, f"{server}/replaced")
    url = f"{server}/replaced/a.tar"
    locator = TarShards(url).locator("a/1.mp4")
    write_tar(shards / "a.tar", {"first.mp4": b"5", "a/1.mp4": b"6" * 300_000})
    put(shards, f"{server}/replaced")
    with local_copy(locator) as path:
        assert path.read_bytes() == b"6" * 300_000
    assert [*TarShards(url).files()] == ["first.mp4", "a/1.mp4"]


def test_shards_that_cannot_be_had_are_named(server: str, shards: Path) -> None:
    put(shards, f"{server}/some")
    with pytest.raises(DataError, match=rf"1 of 3 tar shards are missing: '{server}/some/c\.tar'; put them there"):
        TarShards(f"{server}/some/{{a,b,c}}.tar").files()
    (shards / "b.tar").write_bytes((shards / "b.tar").read_bytes()[:200_000])
    put(shards, f"{server}/some")
    with pytest.raises(DataError, match=rf"{server}/some/b\.tar: ends early, at byte 200,000, without the end"):
        TarShards(f"{server}/some/{{a,b}}.tar").files()
    with without_rights(), pytest.raises(DataError, match=rf"{server}/some/[ab]\.tar: access is refused"):
        TarShards(f"{server}/some/{{a,b}}.tar").files()


def test_of_a_shard_behind_http_the_headers_are_read_and_then_what_is_asked_for(shards: Path) -> None:
    with web_server(shards) as server:
        storage = TarShards(f"{server.url}/{{a,b}}.tar")
        assert len(storage.files()) == 20
        headers = [(method, name) for method, name, _ in server.asked]
        # The size, the start, and a request for each video and its label.
        assert headers.count(("GET", "a.tar")) <= 1 + 5 + 2
        server.asked.clear()
        vars(copies._kept).clear()
        server.breaks["a.tar"] = [100_000]
        with local_copy(storage.locator("a/3.mp4")) as path:
            assert path.read_bytes() == VIDEOS["a/3.mp4"]
        first, size = storage._members["a/3.mp4"][1:]
        assert {asked for *_, asked in server.asked} == {f"bytes={first - 512}-{first + size - 1}"}
        server.codes["b.tar"] = 500
        with (
            pytest.raises(DataError, match=rf"{server.url}/b\.tar: it cannot be reached"),
            local_copy(storage.locator("b/3.mp4")),
        ):
            pass
