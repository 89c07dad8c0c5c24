"""Parts of a store made apart become the store that one job makes, or are refused with what is wrong."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from essential.errors import StoreError
from essential.features import merge as merging
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.merge import merge
from essential.features.provenance import Recipe
from essential.features.store import open_store
from essential.files import atomic as atomic_files
from essential.progress import QUIET
from essential.protocols.protocol import Video
from seen_progress import SeenProgress, Step

SHARDS = 5


@pytest.fixture
def parts(tmp_path: Path, videos: list[Video], recipe: Recipe, config: FeaturesConfig) -> list[Path]:
    """Return the stores of --shard 0/2 and 1/2, each in a folder of its own: shards 0, 2, 4 and shards 1, 3."""
    folders = [tmp_path / f"part-{number}" for number in range(2)]
    for number, folder in enumerate(folders):
        extract(folder, videos, recipe=recipe, config=config, part=(number, 2))
    return folders


def run(into: Path, parts: list[Path]) -> list[Step]:
    seen = SeenProgress()
    assert merge(into, parts, progress=seen) == SHARDS
    return seen.steps


def refused(into: Path, parts: list[Path], message: str) -> None:
    with pytest.raises(StoreError, match=message):
        merge(into, parts, progress=QUIET)


def shard(store: Path, number: int) -> Path:
    (path,) = (store / "shards").glob(f"*-{number:05d}-*.safetensors")
    return path


@pytest.mark.parametrize("linked", [True, False])
def test_parts_give_the_bytes_of_one_job(
    tmp_path: Path,
    parts: list[Path],
    videos: list[Video],
    recipe: Recipe,
    config: FeaturesConfig,
    content: Callable[[Path], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    linked: bool,
) -> None:
    if not linked:

        def other_disk(*_: object) -> None:
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(Path, "hardlink_to", other_disk)
    assert run(tmp_path / "store", parts) == [(done, SHARDS) for done in range(1, SHARDS + 1)]
    assert shard(tmp_path / "store", 1).samefile(shard(parts[1], 1)) == linked
    extract(tmp_path / "whole", videos, recipe=recipe, config=config)
    assert content(tmp_path / "store") == content(tmp_path / "whole")


def test_merging_again_changes_nothing_and_a_stopped_merge_goes_on(
    tmp_path: Path, parts: list[Path], content: Callable[[Path], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, link_or_copy, calls = tmp_path / "store", atomic_files.link_or_copy, []

    def stopped(source: Path, target: Path) -> None:
        calls.append(target.name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        link_or_copy(source, target)

    monkeypatch.setattr(merging, "link_or_copy", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(store, parts)
    assert len(list((store / "shards").iterdir())) == 2
    run(store, parts)
    assert len(calls) == 3 + 3, "what was there already is not brought again"
    before = content(store)
    run(store, parts)
    assert (content(store), len(calls)) == (before, 6)


def test_one_part_after_the_other_into_a_part(parts: list[Path], recipe: Recipe) -> None:
    run(parts[0], [parts[1]])
    store = open_store(parts[0], recipe.provenance())
    assert all(store.is_done(shard) for shard in store.plan())


def test_the_same_shard_twice_with_one_content_is_taken_once(tmp_path: Path, parts: list[Path]) -> None:
    run(tmp_path / "store", [*parts, shutil.copytree(parts[0], tmp_path / "again")])


def test_two_shards_of_one_number_are_refused(tmp_path: Path, parts: list[Path], recipe: Recipe) -> None:
    other = shutil.copytree(parts[1], tmp_path / "other")
    store = open_store(other, recipe.provenance())
    features, note = store.read(store.plan()[1])
    store.write(store.plan()[1], features + np.float32(1e-6), note.videos)
    refused(
        tmp_path / "store",
        [*parts, other],
        rf"two shards of one number .*: {shard(other, 1).stem}\n  {parts[1]}: content \w{{12}}\n  {other}: content",
    )
    shard(other, 1).unlink()
    run(tmp_path / "store", [*parts, other])


@pytest.mark.parametrize(
    ("number", "count", "missing"),
    [(0, 1, "1/2"), (1, 1, "0/2"), (0, 2, "1/2")],
)
def test_a_missing_part_is_named_by_the_command_that_makes_it(
    tmp_path: Path, parts: list[Path], number: int, count: int, missing: str
) -> None:
    given = [parts[number], *(shutil.copytree(parts[number], tmp_path / f"copy-{copy}") for copy in range(1, count))]
    names = ", ".join(
        path.stem for path in sorted((parts[1 - number] / "shards").iterdir(), key=lambda p: p.stem[-14:])
    )
    refused(tmp_path / "store", given, rf"no part has: {len(names.split(', '))} of 5\n  .* --shard {missing}`\nRun")
    assert not (tmp_path / "store").exists()


def test_a_lost_shard_is_missing_and_comes_back(
    tmp_path: Path, parts: list[Path], videos: list[Video], recipe: Recipe, config: FeaturesConfig
) -> None:
    name = shard(parts[0], 2).stem
    shard(parts[0], 2).unlink()
    refused(tmp_path / "store", parts, rf"no part has: 1 of 5\n  {name}: made by `essential extract --shard 0/2`")
    extract(parts[0], videos, recipe=recipe, config=config, part=(0, 2))
    run(tmp_path / "store", parts)


def test_other_settings_are_listed(
    tmp_path: Path, parts: list[Path], videos: list[Video], change: Callable[..., Recipe], config: FeaturesConfig
) -> None:
    other = tmp_path / "other"
    extract(other, videos, recipe=change(seed=6, views=1), config=config, part=(1, 2))
    lines = rf"\n  seed: 6 in {other}, 5 in {parts[0]}\n  views: 1 in {other}, 2 in {parts[0]}\n"
    refused(tmp_path / "store", [parts[0], other], rf"with other settings:{lines}")


@pytest.mark.parametrize("cause", ["size", "videos"])
def test_other_plans_are_refused(
    tmp_path: Path, parts: list[Path], videos: list[Video], recipe: Recipe, config: FeaturesConfig, cause: str
) -> None:
    other = tmp_path / "other"
    shards = config.model_copy(update={"shard_videos": 2}) if cause == "size" else config
    extract(other, videos if cause == "size" else videos[1:], recipe=recipe, config=shards, part=(1, 2))
    refused(
        tmp_path / "store",
        [parts[0], other],
        r"planned other shards: number \d is \S+ and \S+; .*features.shard_videos",
    )


def test_a_damaged_shard_is_refused_and_not_taken(tmp_path: Path, parts: list[Path]) -> None:
    path = shard(parts[1], 3)
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)
    refused(tmp_path / "store", parts, rf"{path.name} is damaged: .* checksum")
    assert not list((tmp_path / "store" / "shards").glob(path.name))


def test_a_part_or_target_that_is_something_else_is_refused(
    tmp_path: Path, parts: list[Path], videos: list[Video], change: Callable[..., Recipe], config: FeaturesConfig
) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "essay.txt").touch()
    refused(tmp_path / "store", [*parts, tmp_path / "papers"], r"no feature store in .*papers")
    refused(tmp_path / "papers", parts, r"papers holds other files and is no store; choose another --into")
    extract(tmp_path / "other", videos[:2], recipe=change(seed=6), config=config)
    refused(tmp_path / "other", parts, r"--into .*other is a store of other features.*\n  seed: 6")
    extract(tmp_path / "fewer", videos[:2], recipe=change(), config=config)
    refused(tmp_path / "fewer", parts, r"--into .*fewer is a store of other videos, or of other shards")


def test_one_folder_in_two_roles_is_refused(tmp_path: Path, parts: list[Path]) -> None:
    refused(parts[0], parts, r"are one folder, or one inside the other")
    refused(parts[0] / "store", parts, rf"--into {re.escape(str(parts[0] / 'store'))} and the part")
    refused(tmp_path, parts, r"one inside the other")
    (tmp_path / "link").symlink_to(parts[0])
    refused(tmp_path / "store", [*parts, tmp_path / "link"], r"link is given twice")
