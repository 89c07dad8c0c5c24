"""A learner, and the command, tested on folders of clips."""

import errno
import json
import shutil
from pathlib import Path

import pytest

from essential import VideoLearner
from essential.errors import DataError
from essential.learner.lesson import content_key
from essential.progress import Progress
from essential.protocols.folder import holds_class
from in_process import Essential
from taught import MACHINE, Clips, new_learner

MINE = [word for override in MACHINE for word in ("-s", override)]


@pytest.fixture
def folder(clips: Clips, tmp_path: Path) -> Path:
    """Return test clips of two known classes and one that is not, one clip in a folder of its class's folder."""
    root = tmp_path / "asked"
    for motion, paths in clips.to_ask("left", "right", "up").items():
        (root / motion / "scene").mkdir(parents=True)
        for number, path in enumerate(paths):
            shutil.copy(path, root / motion / ("scene" if number == 0 else ""))
    return root


class Seen(Progress):
    """Keeps what is shown."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.notes: list[str] = []
        self.started: tuple[str, int] | None = None

    def start(self, title: str, total: int) -> None:
        self.started = title, total

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:  # noqa: ARG002
        self.steps.append(done)

    def say(self, note: str) -> None:
        self.notes.append(note)


def test_the_results_are_those_of_asking_clip_by_clip(taught_bundle: Path, folder: Path) -> None:
    seen = Seen()
    learner = VideoLearner.load(taught_bundle, overrides=MACHINE, progress=seen)
    (folder / "left" / "broken.mp4").write_text("no video")
    (folder / "left" / "notes.txt").touch()
    results = learner.test(folder)
    right, clips, broken = 0, 0, 0
    for path in sorted(path for path in folder.rglob("*.*") if path.is_file() and path.suffix != ".txt"):
        label = path.relative_to(folder).parts[0]
        (answer,) = learner.predict(path)
        if answer.error is not None:
            broken += 1
        elif label != "up":
            clips += 1
            right += answer.label == label and not answer.unknown
    assert broken == 1
    assert (results.total.right, results.total.clips) == (right, clips)
    assert clips == 8
    assert results.open_set.clips == 4
    assert [(one.path.name, one.label) for one in results.unread] == [("broken.mp4", "left")]
    assert results.unknown_classes == ("up",)
    assert results.taught == 0
    assert results.passed_over == {"no video by their extension": 1}
    assert seen.started == ("test clips", 13)
    assert seen.steps == [*range(1, 14)]
    assert "passed over: 1 file or folder" in seen.notes[0]


def test_clips_that_were_taught_are_counted(learner: VideoLearner, clips: Clips) -> None:
    taught, new = clips.to_teach("left")["left"], clips.to_ask("left")["left"]
    results = learner.test({"left": [*taught[:3], *new]})
    assert results.taught == 3
    assert content_key(taught[0]) != content_key(taught[1])


def test_a_folder_among_paths_stands_for_its_clips(learner: VideoLearner, clips: Clips) -> None:
    given = clips.to_ask("left")["left"]
    results = learner.test({"left": [given[0].parent]})
    assert results.total.clips == len(given) == 4


def test_names_are_matched_as_everywhere(learner: VideoLearner, clips: Clips) -> None:
    given = clips.to_ask("left")["left"]
    learner = new_learner()
    learner.learn({"Übung": clips.to_teach("left")["left"], "right": clips.to_teach("right")["right"]})
    results = learner.test({"U\u0308bung ": given})
    assert results.known == ("Übung",)
    seen = Seen()
    learner._progress = seen
    assert learner.test({"übung": given}).unknown_classes == ("übung",)
    assert "differ only in case" in seen.notes[0]


def test_no_pixels_are_kept_unless_asked_for(learner: VideoLearner, clips: Clips) -> None:
    # All of them are wrong, whatever is answered.
    given = {"right": clips.to_ask("left")["left"], "left": clips.to_ask("right")["right"]}
    assert not any(clip.frames for clip in learner.test(given).wrong)
    assert any(clip.frames for clip in learner.test(given, thumbnail_bytes=1_000_000).wrong)


def test_what_cannot_be_tested_is_refused(learner: VideoLearner, clips: Clips) -> None:
    with pytest.raises(DataError, match=r"give .*test, whose folders are the classes"):
        learner.test(clips.root)
    with pytest.raises(DataError, match="nothing was taught yet"):
        new_learner().test(clips.to_ask("left"))


def test_the_command_prints_tables_and_json_of_the_same_numbers(
    taught_bundle: Path, folder: Path, tmp_path: Path, essential: Essential
) -> None:
    page = tmp_path / "page.html"
    table = essential("test", taught_bundle, folder, *MINE, "--page", page)
    assert table.code == 0, table.err
    assert max(map(len, table.out.splitlines())) <= 80
    outcome = essential("test", taught_bundle, folder, *MINE, "--format", "json")
    results = json.loads(outcome.out)
    assert set(results) >= {"accuracy", "clips", "per_class", "confusion", "unknown", "wrong"}
    assert f"accuracy: {results['accuracy']:.1%}".replace("%", " %") in table.out
    assert f"({results['right']} of {results['clips']} clips; 95 % interval" in table.out
    for name, one in results["per_class"].items():
        assert f"{name} " in table.out
        assert f"{one['right']} of {one['clips']}" in table.out
    others = results["unknown_classes"]
    assert f'1 class not in the bundle: {others["right"]} of 4 clips answered "none of these"' in table.out
    for one in [*results["wrong"], *others["wrong"]]:
        assert Path(one["path"]).is_file()
        assert str(Path(one["path"]).relative_to(folder)) in table.out
    assert f"page: {page}" in table.err
    assert "two.bundle on asked" in page.read_text(encoding="utf-8")


def test_a_clip_that_cannot_be_read_is_named_and_the_exit_code_is_that_of_predict(
    taught_bundle: Path, folder: Path, essential: Essential
) -> None:
    broken = folder / "left" / "broken\x1b.mp4"
    broken.write_text("no video")
    outcome = essential("test", taught_bundle, folder, *MINE, "--format", "json")
    assert outcome.code == 2
    assert "error: 1 of 13 clips could not be read (see above)" in outcome.err
    assert f"cannot be read: {str(broken).replace(chr(27), chr(0xFFFD))}: " in outcome.err
    assert [one["path"] for one in json.loads(outcome.out)["unreadable"]] == [str(broken)]
    assert "\x1b" not in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none.bundle", "asked"), "there is no bundle none.bundle"),
        (("two.bundle", "gone"), "the folder gone does not exist"),
        (("two.bundle", "bare"), "bare holds no class folder"),
        (("two.bundle", "flat"), "is in no class's folder"),
        (("two.bundle", "two.bundle"), "give --window SECONDS"),
        (("two.bundle", "two.bundle", "--page", "page.html"), "--page shows clips, and spans are tested"),
        (("two.bundle", "asked", "--window", "2"), "--window has no meaning without a file of spans"),
        (("two.bundle", "asked", "--page", "two.bundle/page.html"), "cannot write"),
        (("two.bundle", "reserved"), "it is what is answered for a clip of no class"),
    ],
)
def test_what_is_cheap_to_see_is_refused_before_an_encoder_is_loaded(
    arguments: tuple[str, ...],
    words: str,
    taught_bundle: Path,
    folder: Path,
    essential: Essential,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr("essential.learner.video_learner.open_encoder", None)
    shutil.copy(taught_bundle, "two.bundle")
    Path("bare").mkdir()
    Path("flat").mkdir()
    Path("flat/a.mp4").touch()
    Path("reserved/None of these").mkdir(parents=True)
    Path("reserved/None of these/a.mp4").touch()
    outcome = essential("test", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert "Traceback" not in outcome.err


def test_predict_offers_it_for_such_a_folder(taught_bundle: Path, folder: Path, essential: Essential) -> None:
    outcome = essential("predict", taught_bundle, folder, *MINE)
    offer = f"to count what is right: essential test {taught_bundle} {folder}"
    assert outcome.err.splitlines()[-1] == offer
    for other in (folder / "left", next(folder.rglob("*.mp4"))):
        assert "essential test" not in essential("predict", taught_bundle, other, *MINE).err


def test_a_folder_that_cannot_be_listed_is_offered_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "up").mkdir()
    assert holds_class(tmp_path, ["up"])
    assert not holds_class(tmp_path / "none", ["up"])
    monkeypatch.setattr(Path, "iterdir", refused)
    assert not holds_class(tmp_path, ["up"])
