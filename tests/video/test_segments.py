"""Segments by seconds: exactly the pictures that are shown in them, on every kind of file."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from special_files import hide_first_frames, write_packed_video

from essential.errors import VideoError
from essential.protocols.protocol import Segment
from essential.video.decode import read_frames
from essential.video.segments import end_seconds, picture_times, pictures_in
from video_files import read_number, write_numbered_video

KINDS = {
    "h264.mp4": {"codec": "libx264"},
    "h264.mkv": {"codec": "libx264"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4-no-b.avi": {"codec": "mpeg4", "b_frames": 0},
    "vp9.webm": {"codec": "libvpx-vp9", "b_frames": 0},
}
FRAMES = 41
UNEVEN = [0, 1, 2, 7, 8, 20, 21, 22, 23, 40, 41, 55]


def _shown(times: Sequence[float], start: float, end: float) -> list[int]:
    """Go through the pictures one by one: those on screen at `start`, or that come on before `end`."""
    shown = []
    for index, time in enumerate(times):
        gone = times[index + 1] if index + 1 < len(times) else float("inf")
        if (time <= start < gone) or (start <= time < end):
            shown.append(index)
    return shown


def _numbers(path: Path, start: float, end: float) -> list[int]:
    decoded = read_frames(path, range, Segment(start, end))
    return [read_number(frame) for frame in decoded.frames]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("rate", [25, 30])
def test_a_segment_holds_what_is_shown_in_it(name: str, rate: int, tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / name, FRAMES, rate=rate, **KINDS[name])
    times = [index / rate for index in range(FRAMES)]
    bounds = [0.0, 0.01, 3 / rate, 3.5 / rate, 10 / rate, 1.0, 40 / rate, 99.0]
    tried = 0
    for start, end in itertools.combinations(bounds, 2):
        if start < FRAMES / rate:
            assert _numbers(path, start, end) == _shown(times, start, end), (start, end)
            tried += 1
    assert tried > 15


@pytest.mark.parametrize("name", ["uneven.mp4", "uneven.mkv"])
def test_the_time_of_a_picture_counts_not_its_number(name: str, tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / name, len(UNEVEN), rate=25, times=UNEVEN)
    times = [time / 25 for time in UNEVEN]
    for start, end in itertools.combinations([0.0, 0.05, 0.3, 0.5, 0.8, 0.9, 1.6, 2.1, 2.3], 2):
        assert _numbers(path, start, end) == _shown(times, start, end), (start, end)


def test_time_counts_from_the_first_picture_that_is_shown(tmp_path: Path) -> None:
    whole = write_numbered_video(tmp_path / "whole.mp4", FRAMES, codec="libx264")
    cut = hide_first_frames(whole, tmp_path / "cut.mp4", hidden=10)
    assert _numbers(cut, 0.0, 0.2) == [10, 11, 12, 13, 14]
    late = write_numbered_video(tmp_path / "late.mkv", FRAMES, times=range(100, 100 + FRAMES))
    assert _numbers(late, 0.2, 0.4) == [5, 6, 7, 8, 9]


def test_a_packed_bitstream_is_cut_by_number(tmp_path: Path) -> None:
    path = write_packed_video(tmp_path / "packed.avi", FRAMES)
    whole = [read_number(frame) for frame in read_frames(path, range).frames]
    assert _numbers(path, 0.0, 99.0) == whole
    assert _numbers(path, 0.4, 0.8) == whole[10:20]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 0.0, [0]),  # ActivityNet lists such
        (0.5, 0.5, [12]),
        (1.6, 1.6, [40]),
        (1.5, 142.0, [37, 38, 39, 40]),  # an end past the end is cut
        (1.63, 1.64, [40]),  # the last picture is still shown
        (1 / 3, 2 / 3, list(range(8, 17))),
    ],
)
def test_the_edges(start: float, end: float, expected: list[int], tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "v.mp4", FRAMES)
    assert _numbers(path, start, end) == expected


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("start", [1.64, 1.7, 142.281])
def test_a_start_past_the_end_is_an_error(name: str, start: float, tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / name, FRAMES, **KINDS[name])
    with pytest.raises(VideoError, match=rf"its segment starts at {start:g} s, and it ends at 1\.6[34]\d* s"):
        read_frames(path, range, Segment(start, start + 1))


def test_pictures_are_chosen_within_the_segment(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "v.avi", FRAMES, codec="mpeg4")
    counts = []
    decoded = read_frames(path, lambda count: counts.append(count) or [9, 0, 4], Segment(0.4, 0.8))
    assert set(counts) == {10}
    assert [read_number(frame) for frame in decoded.frames] == [19, 10, 14]
    assert decoded.frame_count == FRAMES
    with pytest.raises(ValueError, match=r"gave \[10\]; give one index or more, each from 0 to 9"):
        read_frames(path, lambda _: [10], Segment(0.4, 0.8))


def test_the_whole_range_of_real_files_is_the_whole_file(shared_folder: Path) -> None:
    files = sorted(path for path in (shared_folder / "clips" / "codecs").iterdir() if path.stat().st_size < 650_000)
    assert len(files) >= 5
    for path in files:

        def some(count: int) -> list[int]:
            return [0, count // 2, count - 1]

        whole, part = read_frames(path, some), read_frames(path, some, Segment(0.0, 1e6))
        assert np.array_equal(whole.frames, part.frames), path.name


def test_times_come_from_the_file_or_from_the_rate() -> None:
    assert picture_times([2.0, 2.5, 4.0], 25.0) == [0.0, 0.5, 2.0]
    assert picture_times([None, 2.5, 4.0], 2.0) == [0.0, 0.5, 1.0]
    assert picture_times([1.0, 3.0, 3.0], 2.0) == [0.0, 0.5, 1.0]
    assert picture_times([None, None], None) is None
    assert end_seconds([0.0, 0.5, 2.0], 25.0) == 3.5
    assert end_seconds([0.0], 25.0) == 0.04


def test_rounding_moves_no_border() -> None:
    # Matroska writes 1/30 s as 0.033; a list may say 0.0333... or 0.033.
    rounded = [round(index / 30, 3) for index in range(300)]
    for index in range(299):
        for time in (index / 30, round(index / 30, 3), round(index / 30, 2) if index % 3 == 0 else index / 30):
            assert pictures_in(Segment(time, 99.0), rounded, 10.0).start == index
            assert pictures_in(Segment(0.0, time), rounded, 10.0).stop == max(1, index)
