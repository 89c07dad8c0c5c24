"""Data as they are published, from the command line: official splits, lists with segments, untrimmed, frame folders."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from essential.protocols.protocol import tcd_order
from essential.records import Record
from essential.video.decode import read_frames
from in_process import Essential, Outcome
from small_runs import SMALL, record_without_seconds

pytestmark = pytest.mark.usefixtures("without_page")
FEW = [setting for setting in SMALL if not setting.startswith(("data.", "protocol."))]
TINY = (
    *FEW,
    "training.epochs=2",
    "encoder={name: tiny}",
    "video.augment={rand_augment_ops: 0, erase_probability: 0.0, horizontal_flip: false}",
    "method.rehearsal_epochs=2",
    "method.exemplars_per_class=2",
    "method.classifier.layers=1",
    "features.workers=1",
)


def _settings(*settings: str) -> list[str]:
    return [part for setting in (*TINY, *settings) for part in ("-s", setting)]


@pytest.fixture(scope="module")
def ucf(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the small benchmark laid out as UCF101 is, with its official split files."""
    root = tmp_path_factory.mktemp("ucf")
    classes = sorted(path.name for path in (small_data / "train").iterdir())
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for number, label in enumerate(classes, 1):
        name = label.replace("-", "")
        (root / "UCF-101" / name).mkdir(parents=True)
        for split, lines in lists.items():
            for clip, path in enumerate(sorted((small_data / split / label).iterdir())):
                file = f"{name}/v_{name}_g{clip:02d}_c{'01' if split == 'train' else '02'}{path.suffix}"
                shutil.copy(path, root / "UCF-101" / file)
                lines.append(f"{file} {number}" if split == "train" else file)
    folder = root / "ucfTrainTestlist"
    folder.mkdir()
    names = [label.replace("-", "") for label in classes]
    (folder / "classInd.txt").write_text("".join(f"{i} {name}\r\n" for i, name in enumerate(names, 1)))
    for split, lines in lists.items():
        (folder / f"{split}list01.txt").write_text("\r\n".join(lines) + "\r\n")
    return root


def _train_ucf(essential: Essential, ucf: Path, out: Path, *more: str) -> Outcome:
    places = (f"data.root={ucf / 'UCF-101'}", f"data.annotations={ucf / 'ucfTrainTestlist'}")
    cut = ("protocol.base_classes=4", "protocol.tasks=3", f"features.store={out.parent / 'store'}")
    return essential("train", "--config", "tcd/ucf101-10x5", "--out", out, *_settings(*places, *cut, *more))


def test_official_splits_in_the_order_of_tcd(essential: Essential, ucf: Path, tmp_path: Path) -> None:
    done = _train_ucf(essential, ucf, tmp_path / "run")
    assert done.code == 0, done.err
    record = Record.read(tmp_path / "run" / "record.json")
    names = [line.split()[1] for line in (ucf / "ucfTrainTestlist" / "classInd.txt").read_text().splitlines()]
    order = [names[number] for number in tcd_order(8, 1000)]
    assert [list(task.classes) for task in record.protocol.tasks] == [order[:4], order[4:6], order[6:]]
    assert sum(task.train_videos for task in record.protocol.tasks) == 32
    assert record.protocol.name == "tcd-ucf101-10x5"
    assert "the same accuracies as in record.json" in essential("evaluate", tmp_path / "run").out


def test_an_incomplete_set_stops_or_states_its_coverage(essential: Essential, ucf: Path, tmp_path: Path) -> None:
    part = Path(shutil.copytree(ucf, tmp_path / "part"))
    gone = sorted((part / "UCF-101").rglob("*_c02.*"))[0]
    gone.unlink()
    broken = sorted((part / "UCF-101").rglob("*_c01.*"))[0]
    broken.write_bytes(broken.read_bytes()[:500])
    stopped = _train_ucf(essential, part, tmp_path / "run")
    assert stopped.code == 2
    assert "videos that cannot be read: 2" in stopped.err
    assert f"{gone.parent.name}/{gone.name}: there is no such file" in stopped.err
    done = _train_ucf(essential, part, tmp_path / "run", "features.on_broken_video=skip")
    assert done.code == 0, done.err
    assert re.search(rf"coverage of training videos +{31 / 32:.3f}\ncoverage of test videos +{15 / 16:.3f}\n", done.out)
    checked = essential(
        *("data", "check", "--protocol", "tcd/ucf101-10x5", "--root", part / "UCF-101"),
        *("-s", f"data.annotations={part / 'ucfTrainTestlist'}", "--out", tmp_path / "check.json"),
        *("-s", "protocol.base_classes=4", "-s", "protocol.tasks=3"),
    )
    assert checked.code == 1, checked.err
    report = json.loads((tmp_path / "check.json").read_text())
    assert sorted(problem["kind"] for problem in report["problems"]) == ["missing", "unreadable"]


@pytest.fixture(scope="module")
def segments(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a list in JSON: segments of the clips of 4 classes in 2 tasks, one of them as a folder of frames."""
    folder = tmp_path_factory.mktemp("segments")
    labels = sorted(path.name for path in (small_data / "train").iterdir())[:4]
    (folder / "videos").mkdir()
    tasks: list[dict[str, dict[str, list[object]]]] = [{}, {}]
    for number, label in enumerate(labels):
        splits: dict[str, list[object]] = {"train": [], "val": []}
        for split, listed in (("train", "train"), ("test", "val")):
            for clip, path in enumerate(sorted((small_data / split / label).iterdir())):
                name = f"v_{label}_{split}_{clip}"
                shutil.copy(path, folder / "videos" / f"{name}{path.suffix}")
                for start, end in ((0.0, 0.6), (0.48, 99.0)):
                    segment = {"file": name, "start_seconds": start, "end_seconds": end}
                    splits[listed].append({**segment, "duration_seconds": 1.12})
        tasks[number // 2][label] = splits
    content = {"format": "essential video list", "version": 1, "tasks": tasks}
    (folder / "list.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(("config", "per_video"), [("trimmed", 2), ("untrimmed", 1)])
def test_a_list_of_segments_trimmed_and_untrimmed(
    config: str, per_video: int, essential: Essential, segments: Path, tmp_path: Path
) -> None:
    places = (f"data.path={segments / 'list.json'}", f"data.root={segments / 'videos'}")
    store = f"features.store={tmp_path / 'store'}"
    name = f"vclimb/activitynet-{config}-10"
    done = essential("train", "--config", name, "--out", tmp_path / "run", *_settings(*places, store))
    assert done.code == 0, done.err
    record = Record.read(tmp_path / "run" / "record.json")
    assert [len(task.classes) for task in record.protocol.tasks] == [2, 2]
    assert [task.train_videos for task in record.protocol.tasks] == [8 * per_video] * 2
    assert [task.test_videos for task in record.protocol.tasks] == [4 * per_video] * 2
    assert record.protocol.list_sha256 is not None
    assert len(record.protocol.list_sha256) == 64
    (tmp_path / "run" / "record.json").unlink()
    resumed = essential("train", "--config", name, "--out", tmp_path / "run", *_settings(*places, store), "--resume")
    assert resumed.code == 0, resumed.err
    again = record_without_seconds(tmp_path / "run")
    assert again["accuracy"] == [list(row) for row in record.accuracy]
    assert again["protocol"] == record.protocol.model_dump(mode="json")
    assert "the same accuracies as in record.json" in essential("evaluate", tmp_path / "run").out


def test_a_list_is_checked_by_its_file(essential: Essential, segments: Path) -> None:
    checked = essential("data", "check", "--protocol", segments / "list.json", "--root", segments / "videos")
    assert checked.code == 0, checked.out + checked.err


def test_tasks_other_than_the_lists_are_refused(essential: Essential, segments: Path, tmp_path: Path) -> None:
    places = (f"data.path={segments / 'list.json'}", f"data.root={segments / 'videos'}", "protocol.tasks=3")
    name = "vclimb/activitynet-trimmed-10"
    done = essential("train", "--config", name, "--out", tmp_path / "run", *_settings(*places))
    assert done.code == 2
    assert "protocol.tasks=3, but the list fixes its own tasks (tasks=2); leave it out" in done.err


def test_folders_of_frames_give_what_their_videos_do(essential: Essential, ucf: Path, tmp_path: Path) -> None:
    frames = Path(shutil.copytree(ucf, tmp_path / "frames"))
    for path in sorted((frames / "UCF-101").rglob("v_*")):
        images = read_frames(path, range).frames
        path.unlink()
        path.with_suffix("").mkdir()
        for number, frame in enumerate(images, 1):
            Image.fromarray(frame).save(path.with_suffix("") / f"img_{number:05d}.png")
    for name, data in (("videos", ucf), ("images", frames)):
        (tmp_path / name).mkdir()
        assert _train_ucf(essential, data, tmp_path / name / "run").code == 0
    videos, images = (Record.read(tmp_path / name / "run" / "record.json") for name in ("videos", "images"))
    assert images.protocol.id == videos.protocol.id
    assert images.accuracy == videos.accuracy
