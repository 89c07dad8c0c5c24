"""Bad input by the command line: code 2, one message, no traceback, nothing half-written.

The commands run inside the tests' process, which saves the start of Python; `test_commands` starts real ones.
"""

import shutil
from pathlib import Path

import pytest

from essential.files.atomic import folder_lock
from essential.records import Record
from in_process import Essential
from small_runs import small_overrides
from video_files import cut_short, write_numbered_video, write_sound

CLASSES = ("2-left", "2-right")


@pytest.fixture
def data(small_data: Path, tmp_path: Path) -> Path:
    """Return a folder of two classes that the test may spoil."""
    for split in ("train", "test"):
        for label in CLASSES:
            shutil.copytree(small_data / split / label, tmp_path / "data" / split / label)
    return tmp_path / "data"


class Shell:
    """Runs `essential` on a copy of the small data, in a folder of its own."""

    def __init__(self, folder: Path, essential: Essential) -> None:
        self.out, self.store = folder / "run", folder / "store"
        self._folder, self._essential = folder, essential

    def train(self, data: Path, *more: str, method: str = "finetune", out: Path | None = None) -> list[str | Path]:
        """Return a small training on a folder of videos."""
        first = ("data.kind=folder", "protocol.tasks=2", "training.epochs=2", "features.workers=0")
        settings = small_overrides(data, self.store, *first, *more, rehearsal=method != "finetune")
        flags = [part for setting in settings for part in ("-s", setting)]
        return ["train", "--config", f"moving-digits/{method}", "--out", out or self.out, *flags]

    def succeeds(self, *arguments: str | Path) -> str:
        """Run a command that must succeed; return its output."""
        outcome = self._essential(*arguments)
        assert outcome.code == 0, outcome.err
        return outcome.out

    def fails(self, *arguments: str | Path) -> str:
        """Run a command that must fail in the proper way; return its message without `error: `."""
        outcome = self._essential(*arguments)
        err = outcome.err
        assert outcome.code == 2, err
        assert outcome.out == ""
        assert "Traceback" not in err
        assert sum(line.startswith("error: ") for line in err.splitlines()) == 1, err
        assert not list(self._folder.rglob("*.tmp"))
        assert not list(self._folder.rglob("record.json"))
        return err[err.index("error: ") + 7 :].removesuffix("\n")


@pytest.fixture
def shell(tmp_path: Path, essential: Essential) -> Shell:
    return Shell(tmp_path, essential)


# What is wrong with the settings: nothing is written at all.


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("training.epoch=3", "unknown key 'training.epoch' (did you mean 'epochs'?)"),
        ("training.epochs=0", "training.epochs=0 is not allowed: "),
        ("training.epochs", "override 'training.epochs' is not of the form key.sub=value"),
        ("data.root=null", "data.kind=folder needs the folder of the videos: -s data.root=DIR"),
        ("method.name=nosuch", "'nosuch'"),
    ],
)
def test_settings_that_are_wrong(setting: str, expected: str, shell: Shell, tmp_path: Path) -> None:
    assert expected in shell.fails(*shell.train(tmp_path / "data", setting))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("config", ["moving-digits/esential", "no.yaml"])
def test_a_config_that_does_not_exist(config: str, shell: Shell, tmp_path: Path) -> None:
    assert config in shell.fails("train", "--config", config, "--out", shell.out)
    assert config in shell.fails("extract", "--config", config, "--store", shell.store)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shard", ["3/2", "2/2", "-1/2", "0/0", "a/b", "1", "1/2/3", "0.5/2", ""])
def test_a_shard_that_does_not_exist(shard: str, shell: Shell, tmp_path: Path) -> None:
    message = shell.fails("extract", "--config", "moving-digits/finetune", "--store", shell.store, f"--shard={shard}")
    assert message == f"--shard {shard!r} is not allowed; use i/n with i from 0 to n - 1, such as 0/4 to 3/4"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("protocol.tasks=3", "protocol.tasks=3 is more than the 2 classes found; use 2 at most"),
        ("protocol.base_classes=2", "protocol.base_classes=2 with protocol.tasks=2 does not fit 2 classes"),
        ("encoder.name=nosuch", "nosuch"),
    ],
)
def test_settings_that_do_not_fit(setting: str, expected: str, shell: Shell, data: Path) -> None:
    assert expected in shell.fails(*shell.train(data, setting))
    assert not shell.store.exists()


def test_more_frames_kept_than_a_clip_has(shell: Shell, data: Path) -> None:
    assert "frames_kept" in shell.fails(*shell.train(data, "method.frames_kept=9", method="essential"))


def test_after_a_corrected_setting_the_same_folder_can_be_used(shell: Shell, data: Path) -> None:
    shell.fails(*shell.train(data, "protocol.tasks=3"))
    shell.succeeds(*shell.train(data))


# What is wrong with the data: the message names it, and no feature is stored.


def test_data_folders_that_are_wrong(shell: Shell, data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (data / "test" / "2-turn").mkdir()
    shutil.copy(data / "test" / "2-left" / "0000.mp4", data / "test" / "2-turn")
    for root, expected in (
        (tmp_path / "none", f"data folder {tmp_path / 'none'} does not exist"),
        (tmp_path / "empty", f"data folder {tmp_path / 'empty'} has no folder 'train'"),
        (data, f"{data}: no training clip for the class '2-turn'"),
    ):
        assert shell.fails(*shell.train(root, out=tmp_path / f"run {root.name}")).startswith(expected)
    assert not shell.store.exists()


def test_a_manifest_that_is_wrong(shell: Shell, data: Path) -> None:
    path = data / "list.csv"
    path.write_text("path,label,split\ntrain/2-left/0000.mp4,a,val\n")
    message = shell.fails(*shell.train(data, "data.kind=manifest", f"data.path={path}"))
    assert message == f"manifest {path}, line 2: split is 'val'; use one of train, test"
    assert not shell.store.exists()


def _spoil(data: Path) -> dict[str, str]:
    """Add five broken videos, and a short one that is fine; return the broken ones' splits by name."""
    (data / "train/2-left/zero.mp4").touch()
    cut_short(write_numbered_video(data / "train/2-right/cut.mp4", 20), 0.5)
    write_sound(data / "test/2-left/sound.mkv")
    (data / "test/2-right/text.avi").write_text("no video")
    write_numbered_video(data / "test/2-right/single.mp4", 1, b_frames=0)
    write_numbered_video(data / "train/2-right/short.mp4", 2, b_frames=0)
    return {
        "train/2-left/zero.mp4": "train",
        "train/2-right/cut.mp4": "train",
        "test/2-left/sound.mkv": "test",
        "test/2-right/text.avi": "test",
        "test/2-right/single.mp4": "test",
    }


@pytest.mark.parametrize("mode", ["stored", "live"])
def test_broken_videos_are_all_named_at_once(mode: str, shell: Shell, data: Path) -> None:
    broken = _spoil(data)
    message = shell.fails(*shell.train(data, f"features.mode={mode}"))
    assert message.startswith("videos that cannot be read: 5\n")
    assert message.endswith("or go on without them: -s features.on_broken_video=skip")
    for name, split in broken.items():
        lines = [line for line in message.splitlines() if name in line]
        assert lines, name
        assert split in lines[0]
    assert "short.mp4" not in message


def test_extract_names_broken_videos_too(shell: Shell, data: Path) -> None:
    broken = _spoil(data)
    flags = shell.train(data)[5:]
    message = shell.fails("extract", "--config", "moving-digits/finetune", *flags)
    assert all(name in message for name in broken)
    skip = ("-s", "features.on_broken_video=skip")
    printed = shell.succeeds("extract", "--config", "moving-digits/finetune", *flags, *skip)
    assert sorted(line.split(": ")[1] for line in printed.splitlines()[:-1]) == sorted(broken)


@pytest.mark.parametrize("mode", ["stored", "live"])
def test_broken_videos_are_skipped_named_and_not_replaced(mode: str, shell: Shell, data: Path) -> None:
    broken = _spoil(data)
    more = ("features.on_broken_video=skip", f"features.mode={mode}", "protocol.order_seed=null")
    printed = shell.succeeds(*shell.train(data, *more))
    record = Record.read(shell.out / "record.json")
    assert {skipped.video: skipped.split for skipped in record.skipped_videos} == broken
    assert all(skipped.reason and str(data) not in skipped.reason for skipped in record.skipped_videos)
    # Per class 4 good training clips and 2 good test clips; the short one is one more.
    assert [(task.train_videos, task.test_videos) for task in record.protocol.tasks] == [(4, 2), (5, 2)]
    for name, split in broken.items():
        assert f"skipped ({split}): {name}: " in printed
        assert Path(name).name in (shell.out / "report.html").read_text()


def test_a_class_whose_training_clips_are_all_broken(shell: Shell, data: Path) -> None:
    for path in (data / "train/2-left").iterdir():
        path.write_bytes(b"")
    message = shell.fails(*shell.train(data, "features.on_broken_video=skip"))
    assert message.startswith("no training clip of 2-left can be read, so the class cannot be learned; ")


@pytest.mark.parametrize("mode", ["stored", "live"])
def test_a_task_whose_test_clips_are_all_broken_has_no_accuracy(mode: str, shell: Shell, data: Path) -> None:
    more = ("features.on_broken_video=skip", f"features.mode={mode}", "protocol.order_seed=null")
    first_class = min((data / "test").iterdir())
    for path in first_class.iterdir():
        path.write_bytes(b"")
    shell.succeeds(*shell.train(data, *more))
    record = Record.read(shell.out / "record.json")
    assert record.protocol.tasks[0].test_videos == 0
    assert record.accuracy[0] == (None, None)
    assert record.metrics.final_accuracy is not None


# What is wrong with places and files of the run or the store.


def test_a_store_of_another_recipe(shell: Shell, data: Path, tmp_path: Path) -> None:
    shell.succeeds("extract", "--config", "moving-digits/finetune", *shell.train(data)[5:])
    before = {path: path.read_bytes() for path in shell.store.rglob("*") if path.is_file()}
    message = shell.fails(*shell.train(data, "video.frames=4"))
    assert message.startswith(f"the feature store {shell.store} was made with other settings:\n")
    assert "frames: 8 in the store, 4 wanted" in message
    assert {path: path.read_bytes() for path in shell.store.rglob("*") if path.is_file()} == before
    # A byte of a shard's data turns over: the file is named, and what to do.
    for shard in (shell.store / "shards").iterdir():
        _flip_last_byte(shard)
    message = shell.fails(*shell.train(data, out=tmp_path / "second"))
    assert str(shell.store / "shards") in message
    assert "is damaged: its content does not match its checksum; delete it and run again" in message


def _flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_loss_that_is_not_a_number_then_a_damaged_state(shell: Shell, data: Path, tmp_path: Path) -> None:
    explode = ("training.learning_rate=1e30", "training.epochs=6", "training.checkpoint_epochs=1")
    message = shell.fails(*shell.train(data, *explode))
    assert message.startswith("the loss is not finite in ")
    assert "classification = " in message
    assert "lower training.learning_rate" in message
    state = shell.out / "state.safetensors"
    _flip_last_byte(state)
    message = shell.fails(*shell.train(data, *explode), "--resume")
    assert message.startswith(f"{state} is damaged")
    assert not (shell.out / "report.html").exists()
    assert tmp_path.is_dir()


def test_a_run_folder_in_use(shell: Shell, data: Path) -> None:
    with folder_lock(shell.out):
        message = shell.fails(*shell.train(data))
    assert message.startswith(f"{shell.out} is in use by process ")
    assert not shell.out.exists()


def test_an_out_path_that_is_a_file(shell: Shell, data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    way = f"cannot write {tmp_path / 'file'}: a file of that name is in the way; choose another folder"
    assert shell.fails(*shell.train(data, out=tmp_path / "file")) == way
    assert shell.fails("data", "make", "moving-digits", "--out", tmp_path / "file") == way
    below = shell.fails(*shell.train(data, out=tmp_path / "file" / "run"))
    assert below.endswith("a part of this path is a file, not a folder; choose another folder")
    assert (tmp_path / "file").read_text() == "mine"
    assert not shell.store.exists()


@pytest.mark.parametrize("place", ["/proc/essential-test", "/sys/essential-test"])
def test_a_place_that_nobody_may_write_to(place: str, shell: Shell, data: Path) -> None:
    if not Path(place).parent.is_dir():
        pytest.skip(f"no {Path(place).parent} on this system")
    assert shell.fails(*shell.train(data, out=Path(place))).startswith(f"cannot write {place}: ")
    message = shell.fails(*shell.train(data, f"features.store={place}"))
    assert message.startswith(f"cannot write {place}")
    assert shell.fails("data", "make", "moving-digits", "--out", place).startswith(f"cannot write {place}: ")


@pytest.mark.parametrize("command", ["evaluate", "memory", "report"])
def test_a_folder_that_holds_no_run(command: str, shell: Shell, tmp_path: Path) -> None:
    assert str(tmp_path / "none") in shell.fails(command, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / "empty") in shell.fails(command, tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []


def test_data_make_into_a_folder_of_other_data(shell: Shell, data: Path) -> None:
    message = shell.fails("data", "make", "moving-digits", "--out", data)
    assert message.startswith(f"{data} already holds 'test', so moving-digits cannot be made there; choose an empty")
