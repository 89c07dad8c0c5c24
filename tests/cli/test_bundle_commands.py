"""`learn`, `predict`, `classes`, `forget` and `memory` on a bundle, as their user meets them."""

import csv
import io
import json
import os
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from essential.cli.answers import printer
from essential.files.atomic import file_lock
from essential.learner.bundle import Bundle
from essential.learner.prediction import Prediction, Scored, Span
from essential.protocols.moving_digits import MovingDigitsConfig, make_moving_digits
from essential.protocols.protocol import Segment
from in_process import Essential
from small_runs import run_command
from taught import MACHINE, QUICK

BEGIN = ("--encoder", "tiny", "--config", "moving-digits/essential", *(f"-s{override}" for override in QUICK))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with clips to teach in `first` and `later`, clips to ask in `ask`, and a bundle of `first`."""
    root = tmp_path_factory.mktemp("world")
    make_moving_digits(root, MovingDigitsConfig(digits=1, train_clips_per_class=6, test_clips_per_class=2), workers=2)
    names = sorted(path.name for path in (root / "train").iterdir())
    for folder, some in (("first", names[:2]), ("later", names[2:3])):
        for name in some:
            shutil.copytree(root / "train" / name, root / folder / name)
    for name in names[:2]:
        shutil.copytree(root / "test" / name, root / "ask" / name)
    result = run_command("learn", "--into", root / "a.bundle", "--videos", root / "first", *BEGIN)
    assert result.returncode == 0, result.stderr
    assert f"try: essential predict {root / 'a.bundle'} CLIP" in result.stdout
    assert re.search(
        rf"^held-out clips recognised: (2 of 2|[01] of 2 \(weakest: ({'|'.join(names[:2])}), 0 of 1\))$",
        result.stdout,
        re.M,
    )
    return root


@pytest.fixture
def bundle(world: Path, tmp_path: Path) -> Path:
    """Return a bundle of its own."""
    return Path(shutil.copy(world / "a.bundle", tmp_path / "mine.bundle"))


def test_on_a_fresh_machine_without_a_network_it_learns_and_answers(
    world: Path, tmp_path: Path, essential: Essential, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.create_connection", None)
    own, machine = str(tmp_path / "own.bundle"), ["-s", MACHINE[0], "-s", MACHINE[1]]
    learned = essential("learn", "--into", own, "--videos", str(world / "first"), *machine)
    assert learned.code == 0, learned.err
    assert "encoder: efficientnet-lite0, as CLIP's weights are not on this machine" in learned.err
    asked = essential("predict", own, str(world / "ask"), "--format", "jsonl", *machine)
    assert asked.code == 0, asked.err
    names = {path.name for path in (world / "first").iterdir()}
    assert {json.loads(line)["label"] for line in asked.out.splitlines()} <= names | {"none of these"}
    again = essential("learn", "--into", own, "--videos", str(world / "later"), *machine)
    assert again.code == 0, again.err
    assert "encoder:" not in again.err, "it is the bundle's own"


def test_classes_are_taught_later_and_forgotten(world: Path, bundle: Path, essential: Essential) -> None:
    names = sorted(path.name for path in (world / "first").iterdir())
    (later,) = (path.name for path in (world / "later").iterdir())
    listed = essential("classes", str(bundle))
    assert listed.code == 0
    assert all(name in listed.out for name in names)
    assert later not in listed.out
    learned = essential("learn", "--into", str(bundle), "--videos", str(world / "later"))
    assert learned.code == 0
    assert re.search(rf"^ +2 +6  {later}$", learned.out, re.MULTILINE), "it is the second lesson"
    assert "" not in learned.err.splitlines(), "nothing was ignored, so there is no note"
    assert later in essential("classes", str(bundle)).out
    again = essential("learn", "--into", str(bundle), "--videos", str(world / "later"))
    assert again.code == 2
    assert f"known already: '{later}'" in again.err
    assert "--more-of-known" in again.err
    same = essential("learn", "--into", str(bundle), "--videos", str(world / "later"), "--more-of-known")
    assert "6 clips were taught before" in same.err
    shutil.copytree(world / "test" / later, bundle.parent / "more" / f"{later} " / "session 2")
    (bundle.parent / "more" / "notes.txt").touch()
    more = essential("learn", "--into", str(bundle), "--videos", str(bundle.parent / "more"), "--more-of-known")
    assert more.code == 0, more.err
    assert "passed over: 1 file or folder (1 no video by their extension: .txt)\n" in more.err
    lesson = Bundle.read(bundle).lessons[-1]
    assert (lesson.classes, lesson.clips, lesson.passed_over) == ((later,), (2,), {"no video by their extension": 1})
    undo = shutil.copy(bundle, bundle.with_name(f"{bundle.name}.before-0123456789ab"))
    mine = shutil.copy(bundle, bundle.with_name(f"{bundle.name}.before-my-holiday"))
    in_the_way = bundle.with_name(f"{bundle.name}.before-ba9876543210")
    in_the_way.mkdir()
    refused = essential("forget", str(bundle), later)
    assert refused.code == 2
    assert in_the_way.name in refused.err
    in_the_way.rmdir()
    assert later in essential("classes", str(bundle)).out, "so that the same command can be given again"
    undo = shutil.copy(bundle, undo)
    gone = essential("forget", str(bundle), later)
    assert gone.code == 0
    assert f"deleted: 1 file {bundle.name}.before-..." in gone.out
    assert (Path(undo).exists(), Path(mine).exists()) == (False, True)
    assert "2 classes left in" in gone.out
    assert later not in essential("classes", str(bundle)).out
    assert essential("forget", str(bundle), later).code == 2


def test_memory_counts_the_bytes_of_a_bundle(bundle: Path, essential: Essential) -> None:
    outcome = essential("memory", str(bundle))
    assert outcome.code == 0
    for words in ("frame features", "MR module 0", "clips held out", "counted in papers: "):
        assert words in outcome.out


def test_what_is_passed_over_in_a_folder_is_told(
    world: Path, bundle: Path, tmp_path: Path, essential: Essential
) -> None:
    shutil.copytree(world / "ask", tmp_path / "ask")
    (tmp_path / "ask" / "notes.txt").touch()
    (tmp_path / "ask" / "b.mp4").symlink_to("nowhere")
    os.mkfifo(tmp_path / "ask" / "c.mp4")
    outcome = essential("predict", str(bundle), str(tmp_path / "ask"), "--format", "jsonl")
    errors = {Path(line["path"]).name: line.get("error") for line in map(json.loads, outcome.out.splitlines())}
    assert outcome.code == 2
    assert len(errors) == 4
    assert errors["b.mp4"] == "link to nothing, its content not fetched"
    assert errors["c.mp4"] == "not a file but a pipe, a socket or a device"
    assert "passed over: 1 file or folder (1 no video by their extension: .txt)\n" in outcome.err


def test_answers_come_as_json_lines(world: Path, bundle: Path, essential: Essential) -> None:
    outcome = essential("predict", str(bundle), str(world / "ask"), "--format", "jsonl", "--top-k", "1")
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert outcome.code == 0
    assert len(lines) == 4
    for line in lines:
        assert set(line) == {"path", "label", "score", "unknown", "unknown_score", "top"}
        assert line["top"] == [{"label": line["label"], "score": line["score"]}]
        assert Path(line["path"]).is_file()


def test_answers_come_as_a_table_and_as_csv(world: Path, bundle: Path, essential: Essential) -> None:
    table = essential("predict", str(bundle), str(world / "ask"))
    assert table.code == 0
    assert len(table.out.splitlines()) == 4
    rows = list(
        csv.DictReader(io.StringIO(essential("predict", str(bundle), str(world / "ask"), "--format", "csv").out))
    )
    assert [row["path"] for row in rows] == [line.split("  ")[-1] for line in table.out.splitlines()]
    assert {row["unknown"] for row in rows} <= {"True", "False"}


def test_paths_come_from_standard_input(
    world: Path, bundle: Path, essential: Essential, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = sorted((world / "ask").rglob("*.*"))
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{clip}\n" for clip in clips) + "\n"))
    outcome = essential("predict", str(bundle), "--format", "jsonl")
    assert [json.loads(line)["path"] for line in outcome.out.splitlines()] == [str(clip) for clip in clips]


def test_a_clip_that_cannot_be_read_is_named_and_the_others_answered(
    world: Path, bundle: Path, tmp_path: Path, essential: Essential
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    outcome = essential("predict", str(bundle), str(broken), str(world / "ask"), "--format", "jsonl")
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert outcome.code == 2
    assert "error: 1 of 5 clips could not be read (see above)\n" in outcome.err
    assert [line["path"] for line in lines if "error" in line] == [str(broken)]
    assert sum("label" in line for line in lines) == 4
    spans = essential("predict", str(bundle), str(broken), "--window", "1")
    assert spans.code == 2
    assert "cannot be read" in spans.out


def test_a_long_video_is_answered_in_spans(world: Path, bundle: Path, essential: Essential) -> None:
    clip = sorted((world / "ask").rglob("*.mp4"))[0]
    outcome = essential("predict", str(bundle), str(clip), "--window", "0.4", "--format", "jsonl")
    spans = [json.loads(line) for line in outcome.out.splitlines()]
    assert outcome.code == 0
    assert spans[0]["start"] == 0
    assert all(one["end"] == other["start"] for one, other in pairwise(spans))
    assert all(span["unknown"] is (span["label"] is None) for span in spans)
    assert " - " in essential("predict", str(bundle), str(clip), "--window", "0.4").out


def test_a_contact_sheet_shows_the_frames(world: Path, bundle: Path, tmp_path: Path, essential: Essential) -> None:
    sheet = tmp_path / "seen.png"
    outcome = essential("predict", str(bundle), str(world / "ask"), "--sheet", str(sheet))
    assert outcome.code == 0
    with Image.open(sheet) as image:
        assert image.width >= 2 * 8 * 64
        assert image.height >= 2 * 64
        assert np.asarray(image.convert("L")).std() > 20


def test_csv_has_one_header_in_each_mode(world: Path, bundle: Path, tmp_path: Path, essential: Essential) -> None:
    (tmp_path / "empty.mp4").touch()
    clip = sorted((world / "ask").rglob("*.mp4"))[0]
    asked = ("predict", str(bundle), str(tmp_path / "empty.mp4"), str(clip), "--format", "csv")
    for window, columns in (
        ((), "path,label,score,unknown,unknown_score,short_clip,error"),
        (
            ("--window", "0.4"),
            "path,start,end,label,score,unknown,unknown_score,short_clip,error",
        ),
    ):
        outcome = essential(*asked, *window)
        assert outcome.out.splitlines()[0] == columns
        lost, *others = csv.DictReader(io.StringIO(outcome.out))
        assert lost["path"] == str(tmp_path / "empty.mp4")
        assert lost["error"] == "it is empty (0 bytes)"
        assert not lost["score"]
        assert others
        assert all(row["path"] == str(clip) and float(row["score"]) > 0 and not row["error"] for row in others)


def test_names_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with printer("table", ()) as show:
        show(Prediction(Path("a\x1b[2J.mp4"), (Scored("wave\x1b]0;title\x07\u202e", 0.5),)))
        show(Prediction(Path("b.mp4"), error="no\nvideo"))
        show(Span(Path("c\r.mp4"), Segment(0.0, 1.0), Scored("jump\x9b1m", 0.5)))
        show(Span(Path("d.mp4"), Segment(0.0, 75.25), Scored("jump", 0.53), 1.25))
    assert capsys.readouterr().out.splitlines() == [
        "wave\ufffd]0;title\ufffd\ufffd" + " " * 9 + " 0.5000  a\ufffd[2J.mp4",
        "cannot be read" + " " * 19 + "b.mp4: no\ufffdvideo",
        "  0:00.00 -   0:01.00  jump\ufffd1m" + " " * 17 + " 0.5000  c\ufffd.mp4",
        "  0:00.00 -   1:15.25  none of these (closest: jump 0.5300)  d.mp4",
    ]


def test_the_place_of_the_image_is_checked_first(world: Path, bundle: Path, essential: Essential) -> None:
    for sheet, words in (
        (bundle / "seen.png", "cannot write"),
        (bundle.parent / "seen.webp", "seen.webp: the image's name must end in one of .png"),
    ):
        outcome = essential("predict", str(bundle), str(world / "ask"), "--sheet", str(sheet))
        assert (outcome.code, outcome.out) == (2, "")
        assert words in outcome.err


def test_no_standard_input_is_no_clip(bundle: Path, essential: Essential, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    for paths in ((), ("-",)):
        outcome = essential("predict", str(bundle), *paths)
        assert outcome.code == 2
        assert "no clip is given" in outcome.err


def test_an_empty_standard_input_is_noted(bundle: Path, essential: Essential, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    outcome = essential("predict", str(bundle))
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "nothing to label: no path came on standard input\n")


def test_a_long_class_name_is_listed_whole(
    world: Path, bundle: Path, essential: Essential, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "pouring something into something until it overflows, " * 3 + "then wiping"
    shutil.copytree(next((world / "later").iterdir()), bundle.parent / "long" / name)
    assert essential("learn", "--into", str(bundle), "--videos", str(bundle.parent / "long")).code == 0
    monkeypatch.setenv("COLUMNS", "40")
    assert f"     2      6  {name}\n" in essential("classes", str(bundle)).out


def test_names_on_standard_input_are_bytes(
    world: Path, bundle: Path, tmp_path: Path, essential: Essential, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = shutil.copy(sorted((world / "ask").rglob("*.mp4"))[0], os.fsencode(tmp_path) + b"/\xff.mp4")
    lines = io.TextIOWrapper(io.BytesIO(clip + b"\n"), encoding="utf-8", errors="strict")
    monkeypatch.setattr("sys.stdin", lines)
    outcome = essential("predict", str(bundle), "--format", "jsonl")
    assert outcome.code == 0
    assert json.loads(outcome.out)["label"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stride", "1"], "--stride has no meaning without --window"),
        (["--window", "1", "--stride", "2"], "windows of 1.0 s every 2.0 s are not allowed"),
        (["--sheet", "seen.gif"], "seen.gif: the image's name must end in one of .png"),
        (["--sheet", "seen.png", "--window", "1"], "give one of the two"),
        (["-s", "training.epochs=3"], "training.epochs: there 5, here 3"),
    ],
)
def test_wrong_ways_to_ask_are_refused(
    arguments: list[str], words: str, world: Path, bundle: Path, essential: Essential
) -> None:
    outcome = essential("predict", str(bundle), str(world / "ask"), *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert "Traceback" not in outcome.err


def test_a_new_bundle_alone_takes_what_it_is_made_of(world: Path, bundle: Path, essential: Essential) -> None:
    before = bundle.read_bytes()
    outcome = essential("learn", "--into", str(bundle), "--videos", str(world / "later"), "--method", "icarl")
    assert outcome.code == 2
    assert "--method can be given for a new bundle only" in outcome.err
    with file_lock(bundle):
        busy = essential("learn", "--into", str(bundle), "--videos", str(world / "later"))
    assert busy.code == 2
    assert "in use" in busy.err
    assert bundle.read_bytes() == before


def test_nothing_is_half_written_when_a_lesson_is_refused(world: Path, tmp_path: Path, essential: Essential) -> None:
    shutil.copytree(world / "first", tmp_path / "clips")
    (tmp_path / "clips" / "bad").mkdir()
    (tmp_path / "clips" / "bad" / "a.mp4").write_text("no video")
    outcome = essential("learn", "--into", str(tmp_path / "new.bundle"), "--videos", str(tmp_path / "clips"), *BEGIN)
    assert outcome.code == 2
    assert "bad/a.mp4" in outcome.err
    assert not (tmp_path / "new.bundle").exists()
    nothing = essential("predict", str(tmp_path / "new.bundle"), str(world / "ask"))
    assert nothing.code == 2
    assert "there is no bundle" in nothing.err


def test_a_folder_without_a_class_is_refused_before_an_encoder_is_fetched(essential: Essential, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    outcome = essential("learn", "--into", tmp_path / "new.bundle", "--videos", tmp_path / "clips")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {tmp_path / 'clips'} holds no class folder")
    assert not (tmp_path / "new.bundle").exists()
