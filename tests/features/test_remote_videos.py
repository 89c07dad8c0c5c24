"""Videos in a bucket and behind HTTP: the same listings, the same shards, and one error for each fault."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buckets import bucket_server, filesystem, without_rights
from essential.errors import DataError, StoreError
from essential.features import pipeline
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.index import locate, read_index
from essential.features.pipeline import Item, reading
from essential.features.provenance import Recipe
from essential.features.store import open_store
from essential.protocols.protocol import Listing, Video
from essential.protocols.source import DataConfig, load_listing
from essential.remote import access, storage
from essential.video.views import ViewRequest, Views, read_views
from official_lists import write_ucf101
from web_server import WebServer, web_server

pytestmark = pytest.mark.engines
Content = Callable[[Path], dict[str, Any]]
OURS = {"format": "essential video list", "version": 1}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with bucket_server() as url:
        yield url


@pytest.fixture
def bucket(server: str, root: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Return the address of the videos in a folder of the test's own; a process lists it once."""
    monkeypatch.setattr(storage, "_opened", {})
    url = f"{server}/{request.node.name.partition('[')[0]}/videos"
    put(root, url)
    return url


@pytest.fixture
def web(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(access, "_PAUSES_SECONDS", (0,))
    with web_server(root) as server:
        yield server


def put(root: Path, url: str) -> None:
    for path in root.rglob("*"):
        if path.is_file():
            filesystem().pipe_file(f"{url}/{path.relative_to(root).as_posix()}", path.read_bytes())


def write_manifest(path: Path, videos: list[Video]) -> Path:
    rows = "".join(f"{video.key},{video.label},{video.split}\n" for video in videos)
    path.write_text(f"path,label,split\n{rows}")
    return path


def write_list(path: Path, *, extension: str = "") -> Path:
    """Write a list with whole files and segments, by names without a folder."""
    segment = {"file": f"1{extension}", "start_seconds": 0.1, "end_seconds": 0.5}
    classes = {"a": {"train": [f"train/a/4{extension}"], "test": [f"test/a/0{extension}"]}}
    classes["b"] = {"train": [{**segment, "file": f"train/b/3{extension}"}], "test": [f"test/b/1{extension}"]}
    path.write_text(json.dumps({**OURS, "tasks": [classes]}))
    return path


def as_listed(listing: Listing) -> list[tuple[Any, ...]]:
    return [(video.key, video.label, video.split, video.segment) for video in listing.videos]


def settings_of(kind: str, tmp_path: Path, videos: list[Video], root: Path) -> dict[str, Any]:
    if kind == "manifest":
        # Its paths are relative to its folder, or to the URL.
        return {"kind": kind, "path": write_manifest(root / "manifest.csv", videos)}
    if kind == "list":
        return {"kind": kind, "path": write_list(tmp_path / "list.json")}
    if kind == "ucf101":
        for group in ("g08", "g01"):
            shutil.copy(root / "train/a/0.mp4", (root / "train/a") / f"v_a_{group}_c01.avi")
        return {"kind": kind, "annotations": write_ucf101(tmp_path / "lists", ("a",))}
    return {"kind": kind}


@pytest.mark.parametrize("kind", ["folder", "manifest", "list", "ucf101"])
def test_a_bucket_gives_the_listing_of_a_folder(
    kind: str, bucket: str, root: Path, tmp_path: Path, videos: list[Video]
) -> None:
    settings = settings_of(kind, tmp_path, videos, root)
    (root / ".hidden").mkdir()
    (root / ".hidden/v.mp4").write_bytes(b"x")
    (root / "train/a/notes.txt").write_text("x")
    put(root, bucket)
    filesystem().touch(f"{bucket}/train/")  # consoles make such for a folder
    ours = load_listing(DataConfig(**settings, root=None if kind == "manifest" else root))
    theirs = load_listing(DataConfig(**settings, url=bucket))
    assert as_listed(theirs) == as_listed(ours)
    assert (theirs.classes, theirs.missing, theirs.others) == (ours.classes, ours.missing, ours.others)
    assert [video.file for video in theirs.videos] == [
        video.file.replace(str(root), bucket, 1) for video in ours.videos
    ]
    assert theirs.passed_over.counts == ours.passed_over.counts


@pytest.mark.parametrize("where", ["bucket", "web"])
def test_the_shards_are_those_of_local_files(
    where: str, bucket: str, web: WebServer, root: Path, tmp_path: Path, recipe: Recipe, content: Content
) -> None:
    (root / "test/b/3.mp4").write_bytes(b"no video")
    put(root, bucket)
    path = write_list(tmp_path / "list.json", extension=".mp4")
    config = FeaturesConfig(shard_videos=3, workers=2, on_broken_video="skip")
    found = {
        name: load_listing(DataConfig.model_validate({"kind": "list", "path": path, **place}))
        for name, place in {"here": {"root": root}, "there": {"url": bucket if where == "bucket" else web.url}}.items()
    }
    broken = {}
    for name, listing in found.items():
        extra = [
            video._replace(key="bad", file=video.file.replace("/1.mp4", "/3.mp4")) for video in listing.videos[-1:]
        ]
        gone = [video._replace(key="gone", file=f"{video.file}.mp4") for video in extra]
        broken[name] = extract(tmp_path / name, [*listing.videos, *extra, *gone], recipe=recipe, config=config)
    assert broken["here"] == broken["there"]
    assert broken["there"].keys() == {"bad", "gone"}
    assert broken["there"]["gone"] == "there is no such file"
    assert content(tmp_path / "there") == content(tmp_path / "here")


def test_a_process_fetches_videos_while_it_reads_another(
    web: WebServer, tmp_path: Path, videos: list[Video], recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "copies").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "copies"))
    request = recipe.request((0,))

    def items() -> Iterator[Item]:
        for number, video in enumerate(videos[:4]):
            (tmp_path / f"drawn-{number}").touch()
            yield video._replace(file=f"{web.url}/{video.key}"), request

    def awaiting_another(video: Video, request: ViewRequest) -> Views:
        # The process has been told of the first three by now; when it begins the second, of the third too.
        while not (tmp_path / "drawn-3").exists():
            time.sleep(0.001)
        while video.key == videos[1].key and len([*(tmp_path / "copies").iterdir()]) == 1:
            time.sleep(0.001)
        return read_views(video, request)

    monkeypatch.setattr(pipeline, "read_views", awaiting_another)
    config = FeaturesConfig(video_seconds_limit=60)
    every = reading(items(), largest=request, workers=1, config=config, identify=None, ahead=4)
    assert [(place, read.note.broken) for place, read in every] == [(place, None) for place in range(4)]
    assert not [*(tmp_path / "copies").iterdir()]


def test_a_server_that_fails_breaks_no_video(
    web: WebServer, tmp_path: Path, videos: list[Video], recipe: Recipe, content: Content
) -> None:
    config = FeaturesConfig(shard_videos=3, workers=0, on_broken_video="skip")
    path = write_manifest(tmp_path / "manifest.csv", videos)
    listing = load_listing(DataConfig(kind="manifest", path=path, url=web.url))
    web.codes[videos[5].key] = 500
    with pytest.raises(DataError, match=rf"{web.url}/{videos[5].key}: it cannot be reached.*500 Internal Server Error"):
        extract(tmp_path / "there", listing.videos, recipe=recipe, config=config)
    del web.codes[videos[5].key]
    assert extract(tmp_path / "there", listing.videos, recipe=recipe, config=config) == {}
    assert extract(tmp_path / "here", videos, recipe=recipe, config=config) == {}
    assert content(tmp_path / "there") == content(tmp_path / "here")


def test_a_web_server_can_list_nothing(web: WebServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be listed: HTTP knows no folders; name the videos in a manifest"):
        load_listing(DataConfig(kind="folder", url=web.url))
    with pytest.raises(
        DataError, match=r"4 of 4 are without a video's extension: 'train/a/4', .*list the files by their"
    ):
        load_listing(DataConfig(kind="list", path=write_list(tmp_path / "list.json"), url=web.url))
    assert web.asked == []


def test_a_changed_object_is_found_by_the_listing(
    bucket: str, root: Path, tmp_path: Path, recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extract_again() -> dict[str, str]:
        monkeypatch.setattr(storage, "_opened", {})
        listing = load_listing(DataConfig(kind="folder", url=bucket))
        return extract(tmp_path / "store", listing.videos, recipe=recipe, config=config)

    assert extract_again() == {}
    assert extract_again() == {}
    filesystem().pipe_file(f"{bucket}/train/a/0.mp4", (root / "train/b/1.mp4").read_bytes())
    with pytest.raises(StoreError, match=r"videos that changed .*: 1\n  train/a/0\.mp4: [0-9]+ bytes, it had"):
        extract_again()


def test_a_broken_object_is_tried_again_when_it_is_another_one(
    bucket: str, root: Path, tmp_path: Path, recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    filesystem().pipe_file(f"{bucket}/train/a/0.mp4", b"no video")
    listing = load_listing(DataConfig(kind="folder", url=bucket))
    skipping = config.model_copy(update={"on_broken_video": "skip"})
    assert extract(tmp_path / "store", listing.videos, recipe=recipe, config=skipping).keys() == {"train/a/0.mp4"}
    filesystem().pipe_file(f"{bucket}/train/a/0.mp4", (root / "train/a/0.mp4").read_bytes())
    with without_rights():  # a run that needs no video asks in vain, and goes on
        index = read_index(open_store(tmp_path / "store", recipe.provenance()))
        assert locate(index, index.plan, listing.videos).repaired_places() == []
    monkeypatch.setattr(storage, "_opened", {})
    assert extract(tmp_path / "store", listing.videos, recipe=recipe, config=skipping) == {}


def test_a_bucket_without_rights_is_one_error_and_nothing_is_half_written(
    bucket: str, tmp_path: Path, recipe: Recipe, config: FeaturesConfig
) -> None:
    with without_rights(), pytest.raises(DataError, match=rf"{bucket}: access is refused \(.*AWS_PROFILE"):
        load_listing(DataConfig(kind="folder", url=bucket))
    listing = load_listing(DataConfig(kind="folder", url=bucket))
    parallel = config.model_copy(update={"workers": 2})
    with without_rights(), pytest.raises(DataError, match=rf"{bucket}/.*\.mp4: access is refused"):
        extract(tmp_path / "store", listing.videos, recipe=recipe, config=parallel)
    assert not [*(tmp_path / "store").rglob("*.safetensors")]
    assert extract(tmp_path / "store", listing.videos, recipe=recipe, config=parallel) == {}


@pytest.mark.parametrize("place", ["nothing", "nothing/below"])
def test_an_address_with_nothing_below_it(server: str, place: str) -> None:
    with pytest.raises(DataError, match=rf"there is no file below {server}/{place}; give the address of the videos"):
        load_listing(DataConfig(kind="folder", url=f"{server}/{place}"))
    with pytest.raises(DataError, match="s3://no-such-bucket: there is no such bucket"):
        load_listing(DataConfig(kind="folder", url="s3://no-such-bucket"))
