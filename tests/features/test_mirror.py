"""A store in a bucket: whole after any stop, complete from any machine, refused where it is not ours to write."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from pydantic import ValidationError

from buckets import bucket_server, filesystem, without_rights
from essential.errors import DataError, StoreError
from essential.features import extract as extract_module
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.mirror import Mirror, mirror_folder, refuse_unreachable
from essential.features.provenance import Recipe
from essential.features.source import StoredSource, open_source
from essential.features.store import FeatureStore, Shard
from essential.protocols.protocol import Video
from essential.remote.access import filesystem_of
from seen_progress import SeenProgress

pytestmark = pytest.mark.engines
SHARDS = 5
Content = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with bucket_server() as url:
        yield url


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> str:
    """Return the address of a store of the test's own."""
    return f"{server}/{request.node.name}/features"


@pytest.fixture
def machine(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that goes to a machine by its name, and gives the folder of the mirror there."""

    def go(name: str) -> Path:
        monkeypatch.setenv("ESSENTIAL_CACHE", str(tmp_path / name))
        return mirror_folder(url)

    return go


def in_bucket(url: str) -> dict[str, bytes]:
    files = filesystem()
    return {path.partition("/features/")[2]: files.cat_file(path) for path in files.find(url)}


def on_disk(folder: Path) -> dict[str, bytes]:
    paths = [*folder.glob("*.json"), *folder.glob("shards/*")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_what_is_extracted_is_in_the_bucket_and_opens_on_another_machine(
    tmp_path: Path,
    url: str,
    machine: Any,
    videos: list[Video],
    recipe: Recipe,
    config: FeaturesConfig,
    content: Content,
) -> None:
    extract(tmp_path / "plain", videos, recipe=recipe, config=config)
    extract(machine("first"), videos, recipe=recipe, config=config)
    found = in_bucket(url)
    assert len(found) == 2 + SHARDS
    assert found == on_disk(machine("first"))
    assert content(machine("first")) == content(tmp_path / "plain")
    source = StoredSource.open(machine("second"), videos, recipe=recipe, config=config)
    assert on_disk(machine("second")) == found
    plain = StoredSource.open(tmp_path / "plain", videos, recipe=recipe, config=config)
    rows = torch.arange(len(videos))
    assert torch.equal(source.view(videos, 0).rows(rows), plain.view(videos, 0).rows(rows))


def count_writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that the numbers of the shards will be in that are written from now on."""
    written, write = list[int](), FeatureStore.write

    def counted(store: FeatureStore, shard: Shard, *rest: Any) -> None:
        written.append(shard.index)
        write(store, shard, *rest)

    monkeypatch.setattr(FeatureStore, "write", counted)
    return written


def test_machines_share_the_work_and_one_goes_on_where_another_stopped(
    url: str, machine: Any, videos: list[Video], recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(machine("first"), videos, recipe=recipe, config=config, part=(0, 2))
    assert len(in_bucket(url)) == 2 + 3
    written, progress = count_writes(monkeypatch), SeenProgress()
    open_source(config, videos, recipe=recipe, store=machine("second"), progress=progress)
    assert [note.partition(" (")[0] for note in progress.notes] == ["features: 5 files"]
    assert progress.notes[0].endswith(f" MB) are fetched from {url}")
    assert sorted(written) == [1, 3]
    assert in_bucket(url) == on_disk(machine("second"))
    open_source(config, videos, recipe=recipe, store=machine("first"))
    assert sorted(written) == [1, 3]
    assert in_bucket(url) == on_disk(machine("first"))


def test_a_shard_that_could_not_be_put_is_put_by_the_next_run(
    url: str, machine: Any, videos: list[Video], recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = machine("first")
    extract(folder, videos, recipe=recipe, config=config, part=(0, 2))
    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "put", raising(DataError("the network is gone")))
        with pytest.raises(DataError, match="the network is gone"):
            extract(folder, videos, recipe=recipe, config=config)
    assert len(on_disk(folder)) == len(in_bucket(url)) + 1
    before = on_disk(folder)
    written = count_writes(monkeypatch)
    extract(folder, videos, recipe=recipe, config=config)
    assert written == [3]
    assert before.items() <= in_bucket(url).items()
    assert in_bucket(url) == on_disk(folder)


def test_a_plan_that_could_not_be_put_is_not_followed(
    url: str, machine: Any, videos: list[Video], recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = machine("first")
    extract(folder, videos[:1], recipe=recipe, config=config)
    before = on_disk(folder)
    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "_put_if", raising(DataError("the network is gone")))
        with pytest.raises(DataError, match="the network is gone"):
            extract(folder, videos[1:2], recipe=recipe, config=config)
    assert on_disk(folder) == before == in_bucket(url), "else a plan of the same size would never come from the bucket"
    extract(machine("second"), videos[2:3], recipe=recipe, config=config)
    extract(machine("first"), videos[1:2], recipe=recipe, config=config)
    assert on_disk(folder) == in_bucket(url)
    keys = [key for shard in json.loads(in_bucket(url)["plan.json"]) for key in shard["videos"]]
    assert sorted(keys) == sorted(video.key for video in videos[:3])


def test_what_either_side_lost_is_there_again(
    url: str, machine: Any, videos: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    folder = machine("first")
    extract(folder, videos, recipe=recipe, config=config)
    whole = in_bucket(url)
    lost, *others = sorted(folder.glob("shards/*"))
    filesystem().rm(f"{url}/shards/{lost.name}")
    others[0].unlink()
    filesystem().pipe(f"{url}/shards/../notes.txt", b"not ours")
    StoredSource.open(folder, videos, recipe=recipe, config=config)
    assert on_disk(folder) == whole


def test_damage_in_the_bucket_is_found_by_the_seal(
    url: str, machine: Any, videos: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    extract(machine("first"), videos, recipe=recipe, config=config)
    name = next(name for name in in_bucket(url) if name.startswith("shards/"))
    content = in_bucket(url)[name]
    filesystem().pipe(f"{url}/{name}", content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StoreError, match=rf"{Path(name).name} is damaged: its content does not match its checksum"):
        StoredSource.open(machine("second"), videos, recipe=recipe, config=config)
    filesystem().pipe(f"{url}/{name}", content[:-7])
    with pytest.raises(StoreError, match=rf"{Path(name).name} is damaged: it is cut short"):
        StoredSource.open(machine("first"), videos, recipe=recipe, config=config)


def test_a_store_of_other_settings_is_refused_by_every_machine(
    url: str, machine: Any, videos: list[Video], recipe: Recipe, config: FeaturesConfig, change: Any
) -> None:
    extract(machine("first"), videos[:2], recipe=recipe, config=config)
    before = in_bucket(url)
    with pytest.raises(StoreError, match="was made with other settings:\n  seed: 5 in the store, 6 wanted"):
        extract(machine("second"), videos, recipe=change(seed=6), config=config)
    assert in_bucket(url) == before


def test_a_store_that_was_taken_away_or_replaced(
    url: str, machine: Any, videos: list[Video], recipe: Recipe, config: FeaturesConfig, change: Any
) -> None:
    folder = machine("first")
    extract(folder, videos, recipe=recipe, config=config)
    open_source(config, videos, recipe=recipe, store=folder)
    filesystem().rm(url, recursive=True)
    with pytest.raises(StoreError, match=rf"no store any more, but its mirror {folder} holds one; delete that folder"):
        extract(folder, videos, recipe=recipe, config=config)
    extract(machine("second"), videos[:3], recipe=change(seed=6), config=config)
    extract(machine("first"), videos[:3], recipe=change(seed=6), config=config)
    assert on_disk(folder) == in_bucket(url)
    shutil.rmtree(folder)
    extract(machine("first"), videos[:3], recipe=change(seed=6), config=config)
    assert on_disk(folder) == in_bucket(url)


def before_each_put(meanwhile: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something right before a plan or the description of a store is put, but not while that is done."""
    put_if = Mirror._put_if

    def late(*asked: Any) -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(Mirror, "_put_if", put_if)
            meanwhile()
        return put_if(*asked)

    monkeypatch.setattr(Mirror, "_put_if", late)


def test_machines_that_plan_at_the_same_moment_keep_both_plans(
    url: str, machine: Any, videos: list[Video], recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(machine("first"), videos[:2], recipe=recipe, config=config)
    for_each = [videos[:5], videos[:7]]

    def meanwhile() -> None:
        if for_each:
            extract(machine("second"), for_each.pop(0), recipe=recipe, config=config)
            machine("first")

    before_each_put(meanwhile, monkeypatch)
    extract(machine("first"), videos, recipe=recipe, config=config)
    monkeypatch.undo()
    machine("first")
    StoredSource.open(machine("third"), videos, recipe=recipe, config=config)
    keys = [(shard["split"], key) for shard in json.loads(in_bucket(url)["plan.json"]) for key in shard["videos"]]
    assert len(keys) == len(set(keys)) == len(videos)


def test_machines_that_begin_at_the_same_moment_make_one_store(
    url: str, machine: Any, videos: list[Video], recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = list[bool]()

    def meanwhile() -> None:
        if not begun:
            begun.append(True)
            extract(machine("second"), videos, recipe=recipe, config=config)
            machine("first")

    before_each_put(meanwhile, monkeypatch)
    extract(machine("first"), videos, recipe=recipe, config=config)
    assert in_bucket(url) == on_disk(machine("first")) == on_disk(machine("second"))


def test_a_server_that_cannot_compare_is_written_to_all_the_same(
    url: str, machine: Any, videos: list[Video], recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = filesystem_of(url)
    put, asked = files.pipe_file, list[str]()

    class NoComparison(Exception):
        response: ClassVar = {"Error": {"Code": "NotImplemented"}}

    def plain(path: str, content: bytes, **given: Any) -> None:
        asked.append(path)
        if given:
            raise OSError("a header implies what is not implemented") from NoComparison()
        put(path, content)

    monkeypatch.setattr(files, "pipe_file", plain)
    extract(machine("first"), videos[:2], recipe=recipe, config=config)
    assert [asked.count(f"{url}/{name}") for name in ("store.json", "plan.json")] == [2, 2]
    assert in_bucket(url) == on_disk(machine("first"))


def test_a_bucket_that_is_missing_or_refuses(
    machine: Any, url: str, videos: list[Video], recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mirror_folder("s3://no-such-bucket/features")
    with pytest.raises(DataError, match="s3://no-such-bucket/features: there is no such bucket; make the bucket, or"):
        extract(folder, videos, recipe=recipe, config=config)
    monkeypatch.setattr(extract_module, "encode_each", raising(AssertionError("nothing is computed")))
    with without_rights():
        for begin in (
            lambda: refuse_unreachable(url),
            lambda: extract(machine("first"), videos, recipe=recipe, config=config),
        ):
            with pytest.raises(DataError, match=rf"{url}: access is refused"):
                begin()
    assert not on_disk(machine("first"))


@pytest.mark.parametrize(
    ("store", "problem"),
    [
        ("http://host/features", "http://host/features cannot be written to; give a folder, or an address of s3"),
        ("ftp://host/features", "address"),
        ("s3://key:secret@bucket/features", "credentials"),
        ("s3://bucket/features?secret=1", "credentials"),
    ],
)
def test_other_addresses_of_a_store_are_refused(store: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as caught:
        FeaturesConfig(store=store)
    assert "secret" not in caught.value.errors(include_input=False)[0]["msg"]


def test_a_store_is_a_folder_or_an_address() -> None:
    assert FeaturesConfig(store="s3://bucket/features/").store == "s3://bucket/features"
    assert FeaturesConfig(store="some/folder").store == Path("some/folder")
    config = FeaturesConfig(store=Path("some/folder"))
    assert FeaturesConfig.model_validate_json(config.model_dump_json()) == config


def raising(error: BaseException) -> Callable[..., Any]:
    def act(*_: Any, **__: Any) -> Any:
        raise error

    return act
