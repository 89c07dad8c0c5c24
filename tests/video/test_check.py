"""The check of a protocol's videos: every kind of fault, counted by hand."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from PIL import Image

from essential.protocols.listed import ListedVideo
from essential.protocols.places import locate_videos
from essential.protocols.protocol import Listing, Protocol, Segment, build_protocol
from essential.video import check
from essential.video.check import CheckedFile, CheckReport, check_videos, probe_listed
from essential.video.decode import read_frames
from essential.video.worker_pool import Lost
from seen_progress import SeenProgress
from video_files import cut_short, numbered_frame, write_numbered_video

LISTED = [
    ListedVideo("run/good.avi", "run", "train"),
    ListedVideo("run/broken.avi", "run", "train"),
    ListedVideo("run/short.avi", "run", "train"),
    ListedVideo("run/good.avi", "run", "test", Segment(0.0, 1.0)),
    ListedVideo("run/good.avi", "run", "test", Segment(2.5, 3.0)),
    ListedVideo("run/good.avi", "run", "test", Segment(1.5, 9.0)),
    ListedVideo("run/good.avi", "run", "test", Segment(1.9, 9.0)),
    ListedVideo("walk/twice", "walk", "train"),
    ListedVideo("unclear", "walk", "train"),
    ListedVideo("walk/gone.avi", "walk", "test"),
]
FRAMES = 8


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the listed videos, most of them faulty in one way."""
    root = tmp_path_factory.mktemp("videos")
    good = write_numbered_video(root / "run/good.mp4", 50)  # 2 seconds
    cut_short(write_numbered_video(root / "run/broken.avi", 60, codec="mpeg4"), 0.8)
    write_numbered_video(root / "run/short.avi", 7, codec="mpeg4")
    (root / "walk").mkdir()
    (root / "walk/twice.mp4").write_bytes(good.read_bytes())
    for name in ("a", "b"):
        write_numbered_video(root / name / "unclear.mp4", 10)
    (root / "b/unclear.mp4").write_bytes((root / "b/unclear.mp4").read_bytes() + b"\0")
    return root


@pytest.fixture(scope="module")
def protocol(root: Path) -> Protocol:
    """Return the protocol of the listed videos, a class in each task."""
    videos = locate_videos(LISTED, root, ()).videos
    return build_protocol("p", Listing(videos, ("run", "walk")), tasks=2, order_seed=None)


@pytest.fixture(scope="module")
def report(root: Path, protocol: Protocol) -> CheckReport:
    """Return what a check of all of it finds."""
    return check_videos(
        protocol, locate_videos(LISTED, root, ()), root=root, frames=FRAMES, workers=2, seconds_limit=60.0
    )


def test_every_fault_is_named_with_its_reason(report: CheckReport) -> None:
    problems = {(one.kind, one.video, one.file, one.task): one.reason for one in report.problems}
    assert list(problems) == [
        ("unreadable", "run/broken.avi", "run/broken.avi", 0),
        ("too short", "run/short.avi", "run/short.avi", 0),
        ("too short", "run/good.avi@1.9-9", "run/good.mp4", 0),
        ("too short", "run/good.avi@2.5-3", "run/good.mp4", 0),
        ("ambiguous", "unclear", "a/unclear.mp4", 1),
        ("missing", "walk/gone.avi", "walk/gone.avi", 1),
    ]
    reasons = list(problems.values())
    assert reasons[0].startswith("it is damaged or cut short: it promises about 59 frames and gives 39")
    assert reasons[1:5] == [
        "it has 7 frames, and 8 are wanted",
        "its segment from 1.9 s to 9 s has about 3 frames, and 8 are wanted",
        "its segment starts at 2.5 s, past the end of the video at 2.00 s",
        "it may also be b/unclear.mp4",
    ]
    assert reasons[5].startswith("there is no such file")


@pytest.mark.parametrize(
    ("start", "end"), [(0.0, 1.0), (0.28, 0.6), (0.3, 0.58), (1.9, 9.0), (0.28, 0.281), (0.3, 0.31), (0.5, 0.5)]
)
def test_the_frames_of_a_segment_are_those_that_a_run_takes(start: float, end: float, root: Path) -> None:
    video = root / "run" / "good.mp4"
    inside = read_frames(video, range, segment=Segment(start, end)).frame_count
    found = locate_videos([ListedVideo("run/good", "run", "train", Segment(start, end))], root, ())
    protocol = build_protocol("p", Listing([found.videos[0]], ("run",)), tasks=1)
    assert check_videos(protocol, found, root=root, frames=inside, workers=1, seconds_limit=60.0).clean
    (problem,) = check_videos(protocol, found, root=root, frames=inside + 1, workers=1, seconds_limit=60.0).problems
    assert f"has about {inside} frames, and {inside + 1} are wanted" in problem.reason


def test_a_segment_of_a_folder_of_frames_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "run" / "clip").mkdir(parents=True)
    for number in range(12):
        Image.fromarray(numbered_frame(number)).save(tmp_path / "run" / "clip" / f"{number}.png")
    found = locate_videos([ListedVideo("run/clip", "run", "train", Segment(0.0, 1.0))], tmp_path, ())
    protocol = build_protocol("p", Listing([found.videos[0]], ("run",)), tasks=1)
    (problem,) = check_videos(protocol, found, root=tmp_path, frames=8, workers=1, seconds_limit=60.0).problems
    assert problem.kind == "unreadable"
    assert "does not say how many frames make a second" in problem.reason


def test_counts_and_coverage_add_up(report: CheckReport) -> None:
    counts = {(one.task, one.label, one.split): (one.listed, one.usable) for one in report.counts}
    assert counts == {
        (0, "run", "train"): (3, 1),
        (0, "run", "test"): (4, 2),
        (1, "walk", "train"): (2, 1),
        (1, "walk", "test"): (1, 0),
    }
    assert {split: (one.listed, one.usable, one.share) for split, one in report.coverage.items()} == {
        "train": (5, 2, 0.4),
        "test": (5, 2, 0.4),
    }
    assert not report.clean


def test_files_of_the_same_content_are_named(report: CheckReport) -> None:
    # Four segments of one file are no duplicates of each other.
    assert [set(one.videos) for one in report.duplicates] == [
        {
            ("walk/twice",),
            ("run/good.avi", *(f"run/good.avi@{part}" for part in ("0-1", "2.5-3", "1.5-9", "1.9-9"))),
        }
    ]


def test_what_the_files_are(report: CheckReport) -> None:
    assert [one.file for one in report.files] == [
        "a/unclear.mp4",
        "run/good.mp4",
        "run/short.avi",
        "walk/twice.mp4",
    ]
    assert report.codecs == {"h264 (mov,mp4,m4a,3gp,3g2,mj2)": 3, "mpeg4 (avi)": 1}
    assert report.sizes == {"64x48": 4}
    assert report.rates == {"25": 4}
    assert report.files[1].seconds == 2.0


def test_the_report_goes_through_json(report: CheckReport) -> None:
    assert CheckReport.model_validate_json(json.dumps(report.model_dump(mode="json"))) == report


def test_one_worker_or_two_find_the_same(report: CheckReport, root: Path, protocol: Protocol) -> None:
    seen = SeenProgress()
    found = locate_videos(LISTED, root, ())
    again = check_videos(protocol, found, root=root, frames=FRAMES, workers=1, seconds_limit=60.0, progress=seen)
    assert again == report
    assert seen.steps == [(done, 5) for done in range(1, 6)]


def test_nothing_wrong(root: Path) -> None:
    found = locate_videos(LISTED[:1], root, ())
    protocol = build_protocol("p", Listing([found.videos[0]], ("run",)), tasks=1)
    report = check_videos(protocol, found, root=root, frames=50, workers=1, seconds_limit=60.0)
    assert report.clean
    assert report.coverage["test"].share is None


def test_processes_killed_from_outside_change_nothing(report: CheckReport, root: Path, protocol: Protocol) -> None:
    def kill(_: object) -> None:
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)

    seen = SeenProgress(kill)
    found = locate_videos(LISTED, root, ())
    again = check_videos(protocol, found, root=root, frames=FRAMES, workers=1, seconds_limit=60.0, progress=seen)
    assert again == report


def deadly_probe(file: str) -> CheckedFile | Lost:
    if file.endswith("good.mp4"):
        os.kill(os.getpid(), signal.SIGKILL)
    return probe_listed(file)


def test_a_file_that_kills_its_reader_is_unreadable(
    report: CheckReport, root: Path, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "probe_listed", deadly_probe)
    found = locate_videos(LISTED, root, ())
    problems = check_videos(protocol, found, root=root, frames=FRAMES, workers=2, seconds_limit=60.0).problems
    reason = "the process that read it died (signal 9), and so did a second one"
    assert {one.reason for one in problems if one.file == "run/good.mp4"} == {reason}
    others = [one for one in report.problems if one.file != "run/good.mp4"]
    assert [one for one in problems if one.file != "run/good.mp4"] == others
