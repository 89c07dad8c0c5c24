"""Features of videos in tar shards: the store is byte for byte that of the same files in a folder."""

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from essential.engine.workspace import protocol_from_json, protocol_to_json
from essential.errors import DataError, StoreError
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.provenance import Recipe
from essential.features.source import StoredSource
from essential.protocols.protocol import Listing, Video, build_protocol
from essential.protocols.source import DataConfig, load_listing
from essential.remote import storage
from essential.remote.copies import local_copy
from made_tars import write_tar

Content = Callable[[Path], dict[str, Any]]


@pytest.fixture
def url(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the address of three shards that hold the videos, with labels beside them, in an order of their own."""
    monkeypatch.setenv("ESSENTIAL_CACHE", str(tmp_path / "cache"))
    shards: dict[str, dict[str, bytes]] = {"train-0": {}, "train-1": {}, "test-0": {}}
    for number, path in enumerate(sorted(root.rglob("*.mp4"), key=lambda path: path.stem, reverse=True)):
        name = path.relative_to(root).as_posix()
        held = shards[f"train-{number % 2}" if name.startswith("train") else "test-0"]
        held |= {name: path.read_bytes(), name.replace(".mp4", ".cls"): path.parent.name.encode()}
    for shard, files in shards.items():
        write_tar(tmp_path / "shards" / f"{shard}.tar", files)
    return f"{tmp_path}/shards/{{train-{{0..1}},test-0}}.tar"


@pytest.mark.parametrize("kind", ["webdataset", "folder"])
@pytest.mark.parametrize("workers", [0, 2])
def test_the_store_is_that_of_local_files(
    url: str, tmp_path: Path, videos: list[Video], recipe: Recipe, content: Content, kind: str, workers: int
) -> None:
    config = FeaturesConfig(shard_videos=3, workers=workers)
    listing = load_listing(DataConfig(kind=kind, url=url))
    assert {video._replace(file="") for video in listing.videos} == {video._replace(file="") for video in videos}
    extract(tmp_path / "local", videos, recipe=recipe, config=config)
    extract(tmp_path / "tar", listing.videos, recipe=recipe, config=config)
    assert len(content(tmp_path / "tar")) == 2 + 5
    assert content(tmp_path / "tar") == content(tmp_path / "local")
    StoredSource.open(tmp_path / "tar", listing.videos, recipe=recipe, config=config)


def files_of(shard: Path) -> dict[str, bytes]:
    with tarfile.open(shard) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def opened_anew(url: str, kind: str = "webdataset") -> Listing:
    """Return the listing as another process would see it: this one has opened the shards before."""
    storage._opened.clear()
    return load_listing(DataConfig(kind=kind, url=url))


def test_a_protocol_is_kept_by_names_and_its_videos_are_found_in_shards_packed_anew(url: str, tmp_path: Path) -> None:
    protocol = build_protocol("tar", opened_anew(url), tasks=2)
    kept = protocol_to_json(protocol, storage.open_storage(url))
    shard = tmp_path / "shards" / "train-0.tar"
    write_tar(shard, {"first.npy": b"1" * 2000, **files_of(shard)})
    storage._opened.clear()
    again = protocol_from_json(kept, storage.open_storage(url))
    assert again == protocol
    for video in again.videos:
        with local_copy(video.file) as path:
            assert path.read_bytes() == (tmp_path / "videos" / video.key).read_bytes()
    moved = Path(shutil.move(tmp_path / "shards", tmp_path / "moved")) / "{train-{0..1},test-0}.tar"
    elsewhere = protocol_from_json(kept, storage.open_storage(str(moved)))
    assert elsewhere.id == protocol.id
    for video in elsewhere.videos:
        with local_copy(video.file) as path:
            assert path.read_bytes() == (tmp_path / "videos" / video.key).read_bytes()


def test_another_video_of_that_name_in_its_shard_is_a_changed_one(
    url: str, tmp_path: Path, recipe: Recipe, config: FeaturesConfig
) -> None:
    extract(tmp_path / "store", opened_anew(url).videos, recipe=recipe, config=config)
    shard = tmp_path / "shards" / "train-0.tar"
    files = files_of(shard)
    first = next(name for name in files if name.endswith(".mp4"))
    write_tar(shard, {**files, first: files[first][:-600]})
    with pytest.raises(StoreError, match=rf"videos that changed since .*: 1\n  {first}: "):
        StoredSource.open(tmp_path / "store", opened_anew(url).videos, recipe=recipe, config=config)


def test_a_video_that_is_broken_in_its_shard_is_named_by_its_key(
    url: str, tmp_path: Path, recipe: Recipe, config: FeaturesConfig
) -> None:
    shard = tmp_path / "shards" / "test-0.tar"
    files = files_of(shard)
    write_tar(shard, {**files, "test/a/0.mp4": b"no video"})
    with pytest.raises(DataError, match=r"videos that cannot be read: 1\n  test/a/0\.mp4: [^\n]*\nRepair") as caught:
        extract(tmp_path / "store", opened_anew(url).videos, recipe=recipe, config=config)
    assert "tmp" not in str(caught.value)
    write_tar(shard, files)
    assert not extract(tmp_path / "store", opened_anew(url).videos, recipe=recipe, config=config)
