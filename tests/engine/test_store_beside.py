"""Features that lie finished beside a comparison are read; half-made ones, and those of other videos, are not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from essential.api.compare import check_runs, compare
from essential.api.planned_runs import PlannedRun, plan_runs
from essential.engine.config import load_config
from essential.engine.run import extract, train
from essential.engine.store_beside import changed
from essential.features.index import look_up
from essential.features.store import VideoNote, create_store, video_id
from essential.progress import Progress
from essential.protocols.protocol import Segment, Video
from essential.video.frame_folder import VideoIdentity, identity_of
from small_runs import SMALL

FEW = (*SMALL, "features.views=0")
OTHERS = ("features.shard_videos=64", "training.epochs=1")


class Told(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def say(self, note: str) -> None:
        self.notes.append(note)


@pytest.fixture
def data(small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return clips of its own, beside a cache of its own."""
    monkeypatch.setenv("ESSENTIAL_CACHE", str(tmp_path / "cache"))
    shutil.copytree(small_data, tmp_path / "clips")
    return tmp_path / "clips"


@pytest.fixture
def beside(data: Path, tmp_path: Path) -> Path:
    """Return a finished store as `demo` makes it."""
    overrides = [*FEW, f"data.root={data}", f"features.store={tmp_path / 'demo' / 'features'}"]
    return extract(load_config("moving-digits/essential", overrides), progress=Progress())[0]


@pytest.fixture
def planned(data: Path, tmp_path: Path) -> Callable[..., list[PlannedRun]]:
    def plan(*more: str) -> list[PlannedRun]:
        overrides = [*FEW, *OTHERS, f"data.root={data}", *more]
        return plan_runs("moving-digits", tmp_path / "cmp", ["ncm"], [0], overrides=overrides)

    return plan


def stamps(folder: Path) -> dict[Path, int]:
    """Return when each file was last written, but for the index, which is derived."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != ".index"}


def test_a_finished_store_is_read_and_left_as_it_is(
    beside: Path,
    planned: Callable[..., list[PlannedRun]],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, told = stamps(beside), Told()
    runs, _ = check_runs(planned(), told)
    assert [run.config.features.store for run in runs] == [beside]
    assert told.notes == [f"features: those in {beside} are used (48 videos, all the same)"]
    overrides = [*FEW, *OTHERS, f"data.root={data}"]
    ((_, record),) = compare("moving-digits", tmp_path / "cmp", methods=["ncm"], overrides=overrides)
    assert record.metrics.final_accuracy is not None
    assert stamps(beside) == before
    assert not (tmp_path / "cache" / "features").exists(), "nothing was extracted again"
    monkeypatch.setattr("essential.engine.store_beside.identity_of", lambda _: pytest.fail("it was checked before"))
    assert [run.config.features.store for run in check_runs(planned(), Told())[0]] == [beside]


def test_one_that_a_run_beside_names_is_found(
    beside: Path, planned: Callable[..., list[PlannedRun]], data: Path, tmp_path: Path
) -> None:
    (tmp_path / "a-broken-run").mkdir()
    (tmp_path / "a-broken-run" / "config.yaml").write_text("no: [config")
    (tmp_path / "a-link").symlink_to(tmp_path / "nowhere")
    elsewhere = tmp_path / "far" / "away" / "store"
    elsewhere.parent.mkdir(parents=True)
    beside.rename(elsewhere)
    overrides = [*FEW, *OTHERS, f"data.root={data}", f"features.store={elsewhere}"]
    train(load_config("moving-digits/finetune", overrides), tmp_path / "a-run")
    assert [run.config.features.store for run in check_runs(planned(), Told())[0]] == [elsewhere]


def test_a_half_made_one_is_passed_over_and_told(
    beside: Path, planned: Callable[..., list[PlannedRun]], tmp_path: Path
) -> None:
    next((beside / "shards").glob("test-*")).unlink()
    before, told = stamps(beside), Told()
    (run,), _ = check_runs(planned(), told)
    assert run.config.features.store is None
    assert told.notes == [f"features: those in {beside} are not used: it lacks 8 of 48 videos"]
    assert stamps(beside) == before
    assert len([*(tmp_path / "cache" / "features").iterdir()]) == 1
    told = Told()
    assert check_runs(planned(), told)[0] == [run]
    assert told.notes == [], "its own features are there now"


@pytest.mark.parametrize("damage", ["a bit", "its end"])
def test_a_damaged_one_is_passed_over_and_told(
    damage: str, beside: Path, planned: Callable[..., list[PlannedRun]]
) -> None:
    shard = next((beside / "shards").glob("test-*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content if damage == "a bit" else content[:9])
    told = Told()
    (run,), _ = check_runs(planned(), told)
    assert run.config.features.store is None
    (note,) = told.notes
    assert note.startswith(f"features: those in {beside} are not used: {shard} is damaged")


def test_one_of_other_files_of_the_same_size_is_passed_over_and_told(
    beside: Path, planned: Callable[..., list[PlannedRun]], data: Path
) -> None:
    video = next(data.rglob("*.mp4"))
    content = bytearray(video.read_bytes())
    content[-1] ^= 1
    video.write_bytes(content)
    told = Told()
    # As a user's own folders: the benchmark's would be found to be damaged.
    (run,), _ = check_runs(planned("data.kind=folder"), told)
    assert run.config.features.store is None
    assert told.notes == [
        f"features: those in {beside} are not used: 1 of 48 videos are other files than it was made from"
    ]


@pytest.mark.parametrize("more", ["features.views=1", "video.frames=4", "features.store={}/named"])
def test_one_of_other_settings_is_none_and_a_named_store_is_taken_at_its_word(
    more: str, beside: Path, planned: Callable[..., list[PlannedRun]], tmp_path: Path
) -> None:
    assert (beside / "store.json").exists()
    told = Told()
    (run,), _ = check_runs(planned(more.format(tmp_path)), told)
    assert run.config.features.store in (None, tmp_path / "named")
    assert told.notes == []


def test_a_file_of_many_segments_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "long.mp4"
    file.write_bytes(b"a long video")
    videos = [Video(f"{start}", str(file), "walk", "test", Segment(start, start + 1)) for start in range(5)]
    store = create_store(tmp_path / "store", {"of": "a test"})
    (shard,) = store.plan_for([*map(video_id, videos)], shard_videos=8)
    size, sha256 = identity_of(file)
    notes = [VideoNote(key=key, size_bytes=size, sha256=sha256, broken=None) for key in shard.keys]
    store.write(shard, np.zeros((5, 1, 2, 3), np.float32), notes)
    found = look_up(store.path, videos, {"of": "a test"})
    read: list[Path] = []

    def identity(path: Path) -> VideoIdentity:
        read.append(path)
        return identity_of(path)

    monkeypatch.setattr("essential.engine.store_beside.identity_of", identity)
    assert changed(found, Progress()) is None
    assert read == [file]
    file.write_bytes(b"another one!")
    assert changed(found, Progress()) == "5 of 5 videos are other files than it was made from"
