"""`essential predict --camera` as its user meets it: a clip that plays like a camera stands in for one."""

import csv
import io
import json
import re
import time
from collections.abc import Callable, Generator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from essential import VideoLearner
from essential.cli.answers import StreamedForm, row_printer
from essential.cli.live import _COLUMNS, _counts, _line, _Shown, _slow, _summarise, _table
from essential.errors import CameraError
from essential.learner.prediction import Prediction, Scored
from essential.video import camera as cameras
from essential.video.camera import Arrival, Camera, CameraAddress
from in_process import Essential
from rtsp_server import Behaviour, rtsp_camera
from taught import MACHINE
from video_files import numbered_frame

RATE = 50


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that has learned noise: what it answers is not looked at here."""
    learner = VideoLearner(encoder="tiny", method="slda", overrides=MACHINE)
    draw = np.random.default_rng(0)
    learner.learn_features({name: draw.normal(size=(12, 8, 128)).astype(np.float32) for name in ("up", "down")})
    path = tmp_path_factory.mktemp("live") / "a.bundle"
    learner.save(path)
    return path


Play = Callable[[Exception | None, int], None]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Return a function that makes of every camera one which gives some frames, and then ends as it is told."""

    def set_up(end: Exception | None, frames: int) -> None:
        opened: list[Camera] = []

        def source() -> Generator[Arrival, None, None]:
            while not opened or (opened[0]._grid is None and not opened[0]._is_closed):  # until someone looks
                time.sleep(0.001)
            for number in range(frames):
                time.sleep(1 / RATE)
                yield Arrival(time.monotonic(), av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24"))
            if end is not None:
                raise end

        def open_camera(address: CameraAddress) -> Camera:
            opened[:] = [Camera(address.name, source())]
            return opened[0]

        monkeypatch.setattr(cameras, "open_camera", open_camera)

    return set_up


def _interrupted_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Send Ctrl-C with an answer."""
    from essential.cli import answers, live, terminal

    said = live.say
    left = [count]

    def say(text: str, *, err: bool = False) -> None:
        said(text, err=err)
        left[0] -= not err
        if not err and not left[0]:
            raise KeyboardInterrupt

    for module in (answers, live, terminal):
        monkeypatch.setattr(module, "say", say)


FOREVER = 10**6


def test_what_a_camera_shows_is_answered_until_ctrl_c_which_is_its_normal_end(
    bundle: Path, play: Play, essential: Essential, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(None, FOREVER)
    _interrupted_after(monkeypatch, 4)
    outcome = essential("predict", bundle, "--camera", "0", "--window", "0.4", "--every", "0.1", "--format", "jsonl")
    assert outcome.code == 0, outcome.err
    answers = [json.loads(line) for line in outcome.out.splitlines()]
    assert len(answers) == 4
    for answer in answers:
        assert answer.keys() >= {"seconds", "label", "score", "unknown", "unknown_score", "top", "latency_seconds"}
        assert answer["frames"].keys() == {"received", "used", "dropped", "repeated", "damaged"}
        assert answer["latency_seconds"] > 0
        assert "path" not in answer
    assert all(before["seconds"] < after["seconds"] for before, after in pairwise(answers))
    assert answers[-1]["frames"]["received"] >= answers[-1]["frames"]["used"] >= 8
    assert "camera 0: the last 0.4 s, every 0.1 s; stop with Ctrl-C\n" in outcome.err
    assert "4 answers in " in outcome.err
    assert "(95th percentile)\nframes: " in outcome.err
    assert "Traceback" not in outcome.err


def test_in_a_file_there_is_a_line_for_each_answer(
    bundle: Path, play: Play, essential: Essential, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(None, FOREVER)
    _interrupted_after(monkeypatch, 2)
    outcome = essential("predict", bundle, "--camera", "0", "--window", "0.4")
    assert outcome.code == 0, outcome.err
    assert len(outcome.out.splitlines()) == 2
    shape = re.compile(r" +0:\d\d\.\d\d  .* \d\.\d{4} +latency \d+\.\d{3} s")
    assert all(map(shape.fullmatch, outcome.out.splitlines()))
    play(None, 60)
    outcome = essential("predict", bundle, "--camera", "0", "--window", "0.4", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert len(rows) >= 1
    assert {row["label"] for row in rows} <= {"up", "down"}
    assert [*rows[0]] == ["seconds", "label", "score", "unknown", "unknown_score", "latency_seconds"]


@pytest.mark.parametrize("form", ["table", "jsonl", "csv"])
def test_a_name_controls_neither_a_terminal_nor_a_spreadsheet(
    form: StreamedForm, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction = Prediction(Path("live"), (Scored("=up\x1b[2J", 0.6),), 0.5)
    answer = _Shown(1.0, prediction, 0.1, {})
    row_printer(form, _COLUMNS)(answer.as_json(), _line(answer))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert ("'=up" in shown) == (form == "csv")


def test_a_camera_that_is_gone_is_said_after_the_summary(bundle: Path, play: Play, essential: Essential) -> None:
    play(CameraError("it is gone: it was unplugged, or failed", where="camera 0", remedy="check its cable"), 50)
    outcome = essential("predict", bundle, "--camera", "0", "--window", "0.2")
    assert outcome.code == 2
    lines = outcome.err.splitlines()
    assert "answer" in lines[-3]
    assert lines[-2].startswith("frames: ")
    assert lines[-1] == "error: camera 0: it is gone: it was unplugged, or failed; check its cable"


def test_a_camera_that_gives_too_few_frames_is_called_slow_once(bundle: Path, play: Play, essential: Essential) -> None:
    play(None, 60)
    # 50 frames a second at most, and 160 are needed.
    outcome = essential("predict", bundle, "--camera", "0", "--window", "0.05", "--every", "0.05")
    assert outcome.err.count("frames a second, and the window needs 160.0: some stand in for others") == 1
    assert "give a longer --window" in outcome.err
    assert " 0 repeated" not in outcome.err


def test_a_camera_in_the_network_is_labelled(
    bundle: Path, essential: Essential, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupted_after(monkeypatch, 3)
    images = [numbered_frame(number, size=(320, 240)) for number in range(50)]
    with rtsp_camera(images, Behaviour()) as url:
        outcome = essential("predict", bundle, "--camera", url.replace("//", "//me:secret@"), "--window", "0.8")
    assert outcome.code == 0, outcome.err
    assert len(outcome.out.splitlines()) == 3
    assert f"{url}: the last 0.8 s" in outcome.err
    assert "secret" not in outcome.err + outcome.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("clip.mp4", "--camera", "0"), "PATH has no meaning beside --camera; give a camera, or files to label"),
        (("--camera", "0", "--stride", "1"), "--stride has no meaning beside --camera"),
        (("--camera", "0", "--sheet", "a.png"), "--sheet has no meaning beside --camera"),
        (("clip.mp4", "--every", "1"), "--every has no meaning without --camera; give both, or neither"),
        (("--camera", "clip.mp4"), "--camera 'clip.mp4' is no camera; give its number (0)"),
        (("--camera", "http://me:secret@host/"), "--camera 'http://host/' is no camera"),
        (("--camera", "0", "--window", "2", "--every", "0.1"), "an answer every 0.1 s is not allowed"),
    ],
)
def test_wrong_use_is_named(
    bundle: Path, play: Play, essential: Essential, arguments: tuple[str, ...], said: str
) -> None:
    play(None, FOREVER)
    outcome = essential("predict", bundle, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err
    assert "secret" not in outcome.err


def test_the_camera_and_the_bundle_are_looked_for_before_anything_is_loaded(
    tmp_path: Path, bundle: Path, essential: Essential, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VideoLearner, "load", None)
    outcome = essential("predict", tmp_path / "no.bundle", "--camera", "0")
    assert "there is no bundle" in outcome.err
    monkeypatch.setattr("essential.video.camera_errors.devices", list)
    outcome = essential("predict", bundle, "--camera", "999")
    assert outcome.code == 2
    assert "camera 999: it cannot be opened: there is no /dev/video999; connect one, or use one in the" in outcome.err


@pytest.mark.parametrize("given", ["rtsp://127.0.0.1:1/x", "http://127.0.0.1:1/x", "/dev/video0"])
def test_an_address_in_a_list_is_a_file_that_is_not_there(
    tmp_path: Path, bundle: Path, essential: Essential, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setattr(cameras, "open_camera", None)
    (tmp_path / "list").write_text(f"{given}\n")
    with (tmp_path / "list").open() as listed:
        monkeypatch.setattr("sys.stdin", listed)
        outcome = essential("predict", bundle, "--format", "jsonl")
    assert outcome.code == 2
    assert json.loads(outcome.out)["error"].startswith("there is no such file")
    refused = essential("predict", bundle, given)
    assert refused.code == 2
    assert (
        "is an address, and a path is expected" if "://" in given else "there is no file and no folder"
    ) in refused.err


class _Counted:
    """A camera and a recogniser, by their counts alone."""

    def __init__(self, **counts: float) -> None:
        self.received = self.dropped = self.damaged = self.used = self.repeated = 0
        self.frame_seconds = 0.25
        vars(self).update(counts)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"received": 300}, ""),
        ({"received": 300, "repeated": 2}, ""),
        ({"received": 30, "repeated": 10}, "the camera gives 3.0 frames a second, and the window needs 4.0"),
        ({"received": 300, "dropped": 7, "repeated": 7}, "this machine is behind: .* 7 so far"),
    ],
)
def test_what_is_too_slow_is_told_apart(counts: dict[str, float], said: str) -> None:
    counted: Any = _Counted(**counts)
    found = _slow(counted, counted, seconds=10.0)
    assert bool(found) == bool(said)
    assert re.match(said, found)


def test_the_summary_counts_every_frame(capsys: pytest.CaptureFixture[str]) -> None:
    counted: Any = _Counted(received=100, used=20, dropped=5, repeated=6, damaged=3)
    _summarise([0.01 * number for number in range(1, 101)], _counts(counted, counted), seconds=30.0)
    assert capsys.readouterr().err == (
        "100 answers in 30.0 s; latency 0.505 s (median), 0.950 s (95th percentile)\n"
        "frames: 100 received, 20 used, 5 dropped, 6 repeated, 3 damaged, 75 more than needed\n"
    )


def test_the_table_in_a_terminal_fits_80_columns() -> None:
    from essential.cli.console import Terminal

    top = (Scored("a name that is longer than any column of a table can be", 0.6), Scored("up", 0.4))
    frames = {"received": 123456, "used": 12345, "dropped": 1234}
    console = Terminal(width=80)
    with console.capture() as captured:
        console.print(_table(_Shown(3725.5, Prediction(Path("live"), top, 1.5), 0.0123, frames)))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("62:05.50  none of these (closest: a name that is longer")
    assert any("0.4000" in line and line.rstrip().endswith("#" * 12) for line in lines)
    assert "latency 0.012 s; frames: 123456 received, 12345 used, 1234 dropped" in lines[-1]
