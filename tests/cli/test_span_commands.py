"""`learn --spans`, `predict --window` and `test` with a file of spans, from one to the next."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from essential import VideoLearner
from essential.learner.cutting import cut_spans
from essential.protocols.moving_digits import MovingDigitsConfig, encode, make_moving_digits
from essential.spans import read_spans
from essential.video.decode import read_frames
from in_process import Essential
from taught import MACHINE

CLIPS, RATE = 8, 25
FRAMES = 50
SECONDS = FRAMES / RATE


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a video of eight clips of each of two classes, in turns, and of its spans."""
    root = tmp_path_factory.mktemp("recording")
    config = MovingDigitsConfig(digits=1, frames=FRAMES, train_clips_per_class=CLIPS, test_clips_per_class=1)
    make_moving_digits(root / "data", config, workers=2)
    names = ("2-left", "2-right")
    rows, frames = [], []
    for number in range(CLIPS):
        for name in names:
            start = len(rows) * SECONDS
            rows.append(f"long.mp4,{start},{start + SECONDS},{name}")
            frames.append(read_frames(sorted((root / "data" / "train" / name).iterdir())[number], range).frames)
    (root / "long.mp4").write_bytes(encode(np.concatenate(frames), "mp4"))
    (root / "spans.csv").write_text("\n".join(["path,start_seconds,end_seconds,label", *rows, ""]))
    return root


@pytest.fixture(scope="module")
def bundle(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that was taught all spans, in windows of a second."""
    learner = VideoLearner(encoder="tiny", overrides=MACHINE)
    learner.learn(cut_spans(read_spans(recording / "spans.csv"), window_seconds=1.0))
    path = tmp_path_factory.mktemp("bundle") / "actions.bundle"
    learner.save(path)
    return path


def test_a_file_of_spans_is_taught(recording: Path, essential: Essential, tmp_path: Path) -> None:
    (tmp_path / "uploads.csv").write_text(
        (recording / "spans.csv").read_text().replace("long.mp4", "/x/0a1b2c3d-long.mp4")
    )
    settings = ("--encoder", "tiny", *(word for setting in MACHINE for word in ("-s", setting)))
    given = ("--spans", tmp_path / "uploads.csv", "--videos", recording)
    learned = essential("learn", "--into", tmp_path / "new.bundle", *given, "--window", "1", *settings)
    assert learned.code == 0, learned.err
    assert "videos found by their names: /x/0a1b2c3d-long.mp4 -> " in learned.err
    assert f"try: essential predict {tmp_path / 'new.bundle'} VIDEO --window SECONDS" in learned.out
    # Eight spans of two seconds each, in windows of one.
    assert "     1     16  2-left\n" in essential("classes", tmp_path / "new.bundle").out
    again = essential("learn", "--into", tmp_path / "new.bundle", *given, "--window", "1", "--more-of-known")
    assert again.code == 2
    assert "32 clips were taught before" in again.err


def test_what_is_predicted_is_read_back_in_every_form(
    recording: Path, bundle: Path, essential: Essential, tmp_path: Path
) -> None:
    asked = ("predict", bundle, recording / "long.mp4", "--window", "1", "--stride", "0.25")
    outcome = essential(*asked, "--format", "jsonl")
    spans = [json.loads(line) for line in outcome.out.splitlines()]
    assert len(spans) >= 4
    assert all((span["unknown_score"] > 1) is span["unknown"] for span in spans)
    known = [(span["start"], span["end"], span["label"]) for span in spans if span["label"]]
    for form, name in (("vtt", "long.vtt"), ("srt", "long.srt"), ("csv", "found.csv"), ("label-studio", "tasks.json")):
        printed = essential(*asked, "--format", form)
        assert printed.code == 0, printed.err
        (tmp_path / name).write_text(printed.out)
        read = [span for span in read_spans(tmp_path / name, videos=recording) if span.label]
        again = [(*(round(seconds, 3) for seconds in span.segment), span.label) for span in read]
        # Frames are a 25th of a second.
        assert [label for *_, label in again] == [label for *_, label in known]
        assert np.allclose(
            [each[:2] for each in again], [each[:2] for each in known], atol=0.0005 if form != "label-studio" else 0.041
        )
    rows = [*csv.DictReader((tmp_path / "found.csv").read_text().splitlines())]
    assert [row["unknown_score"] for row in rows] == [str(span["unknown_score"] or "") for span in spans]


def test_a_file_of_spans_is_tested(recording: Path, bundle: Path, essential: Essential) -> None:
    asked = ("test", bundle, recording / "spans.csv", "--window", "1", "--stride", "0.25")
    printed = essential(*asked)
    assert printed.code == 0, printed.err
    assert "spans found: " in printed.out
    assert " of 16, at an overlap of 0.5" in printed.out
    said = json.loads(essential(*asked, "--format", "json", "--overlap", "0.3").out)
    assert said["labelled"] == 16
    assert said["overlap"] == 0.3
    assert said["per_class"].keys() == {"2-left", "2-right"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("predict", "{bundle}", "{video}", "--format", "vtt"), "--format vtt is a file of spans of a video; give the"),
        (("predict", "{bundle}", "{video}", "{video}", "--window", "1", "--format", "srt"), "srt is of one video"),
        (("predict", "{bundle}", "{folder}", "--window", "1", "--format", "vtt"), "vtt is of one video"),
        (("predict", "{bundle}", "{video}", "--shortest", "1"), "--shortest has no meaning without --window"),
        (("predict", "{bundle}", "--camera", "0", "--format", "vtt"), "--format vtt is a file of spans"),
        (("test", "{bundle}", "{spans}"), "give --window SECONDS"),
        (("test", "{bundle}", "{spans}", "--window", "1", "--page", "p.html"), "--page shows clips"),
        (
            ("test", "{bundle}", "{folder}/data/train", "--window", "1"),
            "--window has no meaning without a file of spans",
        ),
        (("test", "{bundle}", "{folder}/gone.csv", "--window", "1"), "gone.csv does not exist"),
        (("learn", "--into", "new.bundle"), "no clips are given; give --videos DIR, or --spans FILE"),
        (("learn", "--into", "n.bundle", "--videos", "{folder}", "--window", "1"), "--window has no meaning without"),
        (("learn", "--into", "n.bundle", "--spans", "{folder}/gone.csv"), "gone.csv does not exist"),
        (("learn", "--into", "n.bundle", "--spans", "{spans}", "--frame-rate", "25"), "the frame rate 25.0 has no"),
    ],
)
def test_wrong_ways_to_use_spans_are_refused(
    arguments: tuple[str, ...],
    words: str,
    recording: Path,
    bundle: Path,
    essential: Essential,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"bundle": bundle, "video": recording / "long.mp4", "spans": recording / "spans.csv", "folder": recording}
    outcome = essential(*(argument.format(**places) for argument in arguments))
    assert outcome.code == 2
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert not [*tmp_path.iterdir()]
