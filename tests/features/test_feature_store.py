"""The store on disk: what it refuses."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_encoder import FakeEncoder

from essential.errors import StoreError
from essential.features import provenance
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.provenance import Recipe, differences
from essential.features.source import StoredSource
from essential.features.store import create_store, open_store
from essential.protocols.protocol import Video
from essential.video.config import AugmentConfig


@pytest.fixture
def store(tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig) -> Path:
    """Return a store of all videos."""
    extract(tmp_path / "store", videos, recipe=recipe, config=config)
    return tmp_path / "store"


def another_value(field: str) -> Any:
    """Return an augmentation that differs from the default in one field."""
    value = getattr(AugmentConfig(), field)
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return tuple(item * 0.9 for item in value)
    return value + 1 if isinstance(value, int) else value * 0.5 + 0.01


CHANGES: dict[str, dict[str, Any]] = {
    "encoder.name": {"encoder": FakeEncoder("other")},
    "encoder.fingerprint": {"encoder": FakeEncoder(seed=1)},
    "transform.size": {"encoder": FakeEncoder(size=20)},
    "sampling.frames": {"frames": 4},
    "views": {"views": 3},
    "seed": {"seed": 6},
    "dtype": {"dtype": "float16"},
    **{
        f"transform.augment.{field}": {"augment": AugmentConfig.model_validate({field: another_value(field)})}
        for field in AugmentConfig.model_fields
    },
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_store_made_by_something_else_is_refused_with_what_differs(
    tmp_path: Path, recipe: Recipe, change: Callable[..., Recipe], field: str
) -> None:
    create_store(tmp_path / "store", recipe.provenance())
    other = change(**CHANGES[field])
    for opening in (open_store, create_store):
        with pytest.raises(
            StoreError, match=rf"made with other settings:\n(.*\n)*  {re.escape(field)}: .* in the store"
        ):
            opening(tmp_path / "store", other.provenance())


def test_another_decoder_is_refused(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    create_store(tmp_path / "store", recipe.provenance())
    found = recipe.provenance()["decoder"]["pyav"]
    monkeypatch.setattr(provenance, "decoder_identity", lambda: {"pyav": "99.0"})
    with pytest.raises(StoreError, match=rf"decoder\.pyav: {re.escape(found)} in the store, 99\.0 wanted"):
        open_store(tmp_path / "store", recipe.provenance())


def test_every_difference_is_listed(recipe: Recipe, change: Callable[..., Recipe]) -> None:
    found, wanted = recipe.provenance(), change(seed=9, views=0).provenance()
    assert differences(found, wanted) == ["seed: 5 in the store, 9 wanted", "views: 2 in the store, 0 wanted"]
    assert differences(found, found) == []
    assert differences({"a": {"b": 1}}, {"c": None}) == [
        "a.b: 1 in the store, nothing wanted",
        "c: nothing in the store, None wanted",
    ]


def test_the_policy_and_the_shard_size_are_not_part_of_it(store: Path, videos: list[Video], recipe: Recipe) -> None:
    other = FeaturesConfig(shard_videos=50, workers=0, on_broken_video="skip")
    before = sorted(store.rglob("*"))
    extract(store, videos, recipe=recipe, config=other)
    assert sorted(store.rglob("*")) == before


def test_no_store_is_one_clear_error(tmp_path: Path, recipe: Recipe) -> None:
    with pytest.raises(StoreError, match=r"no feature store in .*nowhere; make one with `essential extract`"):
        open_store(tmp_path / "nowhere", recipe.provenance())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("store.json", "{", "damaged or no feature store"),
        ("store.json", "[]", "damaged or no feature store"),
        ("store.json", "[" * 3000, "damaged or no feature store"),
        ("plan.json", "{", "plan.json is damaged"),
        ("plan.json", "{}", "plan.json is damaged"),
        ("plan.json", '""', "plan.json is damaged"),
        ("plan.json", "[" * 3000, "plan.json is damaged"),
        ("plan.json", '[{"name": "a", "split": "train", "videos": "bc"}]', "plan.json is damaged"),
        ("plan.json", '[{"name": "a", "split": 1, "videos": ["b"]}]', "plan.json is damaged"),
        ("plan.json", '[{"name": "a", "split": "train", "videos": [1]}]', "plan.json is damaged"),
        ("plan.json", '[{"name": "a", "split": "train", "videos": ["b"], "more": 1}]', "plan.json is damaged"),
        ("plan.json", '{"a": 1}', "plan.json is damaged"),
        ("plan.json", '[{"name": "train-00000-12345678", "split": "train", "videos": []}]', "plan.json is damaged"),
    ],
)
def test_damaged_json_is_refused(
    store: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, name: str, text: str, message: str
) -> None:
    (store / name).write_text(text)
    with pytest.raises(StoreError, match=message):
        extract(store, videos, recipe=recipe, config=config)


def test_an_edited_provenance_and_another_format_are_refused(store: Path, recipe: Recipe) -> None:
    content = json.loads((store / "store.json").read_text())
    content["provenance"]["seed"] = 6
    (store / "store.json").write_text(json.dumps(content))
    with pytest.raises(StoreError, match="does not fit its fingerprint"):
        open_store(store, recipe.provenance())
    for version in (7, True, "1"):
        (store / "store.json").write_text(json.dumps({**content, "format_version": version}))
        with pytest.raises(StoreError, match=f"format {version!r}, this version reads format 1"):
            open_store(store, recipe.provenance())


def test_a_shard_of_another_store_is_refused(
    store: Path, tmp_path: Path, videos: list[Video], change: Callable[..., Recipe], config: FeaturesConfig
) -> None:
    other = change(seed=77)
    create_store(tmp_path / "other", other.provenance())
    for path in store.glob("*/*.safetensors"):
        (tmp_path / "other" / "shards").mkdir(exist_ok=True)
        (tmp_path / "other" / "shards" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(StoreError, match=r"train-00000-\w+\.safetensors was made with other settings"):
        extract(tmp_path / "other", videos, recipe=other, config=config)


def read_all(store: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig) -> None:
    source = StoredSource.open(store, videos, recipe=recipe, config=config)
    table = source.view(videos, 0)
    table.rows(torch.arange(len(table)))


@pytest.mark.parametrize("place", ["first", "header", "middle", "last"])
def test_one_flipped_byte_is_found_at_first_touch(
    store: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, place: str
) -> None:
    path = sorted((store / "shards").iterdir())[1]
    content = bytearray(path.read_bytes())
    at = {"first": 0, "header": 30, "middle": len(content) - 100, "last": len(content) - 1}[place]
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match=path.name):
        read_all(store, videos, recipe, config)


@pytest.mark.parametrize("kept", [0, 4, 200, -1])
def test_a_truncated_shard_is_found(
    store: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, kept: int
) -> None:
    path = sorted((store / "shards").iterdir())[0]
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(StoreError, match=path.name):
        read_all(store, videos, recipe, config)


def test_the_seal_is_checked_once(
    store: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = StoredSource.open(store, videos, recipe=recipe, config=config)
    table = source.view(videos, 0)
    first = table.rows(torch.arange(len(table)))
    monkeypatch.setattr("essential.features.store.read_sealed", None)
    assert torch.equal(table.rows(torch.arange(len(table))), first)
    assert torch.equal(source.view(videos, 0).rows(torch.arange(len(table))), first)


def test_work_on_a_store_removes_what_killed_work_left(tmp_path: Path) -> None:
    store = create_store(tmp_path / "store", {"encoder": {"name": "any"}})
    for name in (".plan-lock", ".plan.json.abcdefgh.tmp"):
        (tmp_path / "store" / name).touch()
    with store.locked(".lock"):
        pass
    assert not [path.name for path in (tmp_path / "store").iterdir() if path.name.startswith(".")]
