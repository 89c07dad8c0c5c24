"""A segment holds the frames shown while it lasts, on every kind of file; checked frame by frame."""

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from special_files import hide_first_frames, hide_last_half, promise_frames, write_packed_video, write_video_with_blanks

from essential.errors import VideoError
from essential.protocols.protocol import Segment
from essential.video.decode import read_frames
from essential.video.timing import Timing
from video_files import read_number, write_numbered_video

RATE = 25
EVEN = list(range(40))
# Bursts and pauses, in 1/25 s.
UNEVEN = [number + 3 * (number // 5) for number in range(40)]
KINDS: dict[str, dict[str, Any]] = {
    "h264.mp4": {"codec": "libx264"},
    "h264.mkv": {"codec": "libx264"},
    "h264.ts": {"codec": "libx264"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "mpeg4-no-b.avi": {"codec": "mpeg4", "b_frames": 0},
    "vp9.webm": {"codec": "libvpx-vp9", "b_frames": 0},
}
# In 1/25 s: edges on a frame, between two, inside a pause of UNEVEN, of no length, past the end.
PARTS = [
    (0, 0), (0, 1), (0, 7), (0, 61), (0, 1000), (3, 3), (3, 4), (5, 17), (5.5, 5.5), (5.5, 6.5), (6, 7), (6.8, 24.2),
    (8, 9), (12, 39), (12.5, 14), (20, 1000), (39, 39), (39, 40), (39, 41), (58.5, 60.5), (60, 61),
]  # fmt: skip


def shown(times: Sequence[float], start: float, end: float) -> list[int]:
    """Return which frames are shown from `start` to before `end`, or at `start`, asking each frame by itself."""
    ends = [*times[1:], math.inf]
    return [
        number
        for number, (first, over) in enumerate(zip(times, ends, strict=True))
        if first <= start < over or (first < end and over > start)
    ]


def numbers_in(path: Path, segment: Segment | None) -> list[int]:
    """Return the numbers of a segment's frames."""
    decoded = read_frames(path, range, segment=segment)
    assert decoded.frame_count == len(decoded.frames)
    return [read_number(image) for image in decoded.frames]


def expect_parts(path: Path, times: Sequence[float], numbers: Sequence[int] | None = None) -> None:
    """Check all of PARTS on a file whose frames are shown at `times`, in 1/25 s."""
    counted = 0
    for start, end in PARTS:
        if start < times[-1] + 1:
            places = shown(times, start, end)
            expected = places if numbers is None else [numbers[place] for place in places]
            assert numbers_in(path, Segment(start / RATE, end / RATE)) == expected, (start, end)
            counted += 1
    assert counted >= 8


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("times", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_segments_hold_what_is_shown_meanwhile(tmp_path: Path, name: str, times: list[int]) -> None:
    expect_parts(write_numbered_video(tmp_path / name, 40, times=times, **KINDS[name]), times)


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "vp9.webm", "h264.ts"])
def test_seconds_count_from_the_first_frame_whatever_its_time(tmp_path: Path, name: str) -> None:
    late = [50 + time for time in UNEVEN]
    path = write_numbered_video(tmp_path / name, 40, times=late, **KINDS[name])
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).time
        assert first is not None
        assert first >= 2
    expect_parts(path, UNEVEN)


def test_frames_hidden_by_an_edit_list_take_no_time(tmp_path: Path) -> None:
    source = write_numbered_video(tmp_path / "source.mp4", 40)
    late = hide_first_frames(source, tmp_path / "late.mp4", hidden=5)
    expect_parts(late, range(35), range(5, 40))
    expect_parts(hide_last_half(source), range(20))
    with pytest.raises(VideoError, match=r"starts at 0\.8 s, the video ends at 0\.800 s"):
        numbers_in(source, Segment(0.8, 2.0))


def test_packed_b_frames(tmp_path: Path) -> None:
    expect_parts(write_packed_video(tmp_path / "packed.avi", 41), range(41))


def test_a_wrong_estimate_leaves_no_trace(tmp_path: Path) -> None:
    """The packets promise frames that the decoder does not give; what is shown before them lasts longer."""
    path = write_video_with_blanks(tmp_path / "blanks.avi", 40, blanks=[7, 8, 9, 20, 21, 30])
    with av.open(str(path)) as container:
        decoded = [(frame.pts, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    times = [float(pts) for pts, _ in decoded if pts is not None]
    assert len(times) == 34
    for start, end in PARTS:
        if start < 40:
            places = shown(times, start, end)
            frames = read_frames(path, range, segment=Segment(start / RATE, end / RATE)).frames
            np.testing.assert_array_equal(frames, [decoded[place][1] for place in places])


@pytest.mark.parametrize("name", ["v.h264"])
def test_without_times_the_rate_tells_them(tmp_path: Path, name: str) -> None:
    path = write_numbered_video(tmp_path / name, 40)
    with av.open(str(path)) as container:
        assert {frame.pts for frame in container.decode(video=0)} == {None}
    expect_parts(path, range(40))
    with pytest.raises(VideoError, match=r"starts at 1\.6 s, the video ends at 1\.600 s"):
        numbers_in(path, Segment(1.6, 2.0))


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.avi"])
@pytest.mark.parametrize("rate", [30, 24, 7])
def test_every_frames_own_time_finds_it_however_it_is_rounded(tmp_path: Path, name: str, rate: int) -> None:
    """1/3 s is no float, Matroska keeps milliseconds, and lists keep two or three places."""
    codec = "mpeg4" if name == "v.avi" else "libx264"
    path = write_numbered_video(tmp_path / name, 12, codec=codec, rate=rate)
    for number in (0, 1, 5, 10, 11):
        start, end = number / rate, (number + 1) / rate
        for off in (0, 1e-9, -1e-9, 1e-3, -1e-3):
            if start + off >= 0:
                assert numbers_in(path, Segment(start + off, end)) == [number]
            assert numbers_in(path, Segment(start, end + off)) == [number]


def test_indices_count_inside_the_segment_in_any_order_with_repeats(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "v.avi", 40, codec="mpeg4")
    counts = []
    wanted = [9, 0, 0, 4]
    decoded = read_frames(path, lambda count: counts.append(count) or wanted, segment=Segment(0.4, 0.8))
    assert [read_number(image) for image in decoded.frames] == [19, 10, 10, 14]
    assert decoded.frame_count == 10
    assert set(counts) == {10}
    with pytest.raises(ValueError, match=r"choose\(10\) gave \[-1\]; .* from 0 to 9"):
        read_frames(path, lambda _: [-1], segment=Segment(0.4, 0.8))


@pytest.mark.parametrize("name", ["h264.mp4", "mpeg4.avi", "h264.mkv"])
@pytest.mark.parametrize(
    "segment", [Segment(1.6, 1.7), Segment(1.6, 1.6), Segment(99.5, 100.0), Segment(math.inf, math.inf)]
)
def test_a_start_at_or_past_the_end_is_an_error_that_names_both(tmp_path: Path, name: str, segment: Segment) -> None:
    path = write_numbered_video(tmp_path / name, 40, **KINDS[name])
    with pytest.raises(
        VideoError, match=rf"starts at {segment.start_seconds} s, the video ends at 1\.600 s; .*correct the segment"
    ) as caught:
        numbers_in(path, segment)
    assert str(path) in str(caught.value)
    assert numbers_in(path, Segment(1.59, 1.6)) == [39]


@pytest.mark.parametrize(
    "segment", [Segment(-0.1, 1.0), Segment(1.0, 0.5), Segment(math.nan, 1.0), Segment(0.0, math.nan)]
)
def test_a_segment_that_is_none_is_an_error_that_names_it(tmp_path: Path, segment: Segment) -> None:
    path = write_numbered_video(tmp_path / "v.mp4", 10)
    with pytest.raises(VideoError, match=rf"it starts at {segment[0]} s and ends at {segment[1]} s; expected a start"):
        numbers_in(path, segment)


def test_damage_outside_the_segment_is_still_damage(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "v.avi", 40, codec="mpeg4")
    promise_frames(path, 60)
    with pytest.raises(VideoError, match="it promises about 59 frames and gives 40"):
        numbers_in(path, Segment(0.0, 0.5))


def test_a_file_that_tells_no_time_at_all_has_no_segments() -> None:
    silent = Timing([(None, None)] * 40, Fraction(1, 1000), None)
    assert silent.frames_in(None) == range(40)
    assert silent.frames_in(Segment(0.0, 1.0)) == range(0)
    with pytest.raises(
        VideoError,
        match=r"v\.mp4: segment 0\.0-1\.0 s .*: the file says neither when its frames",
    ):
        silent.refuse_outside(Path("v.mp4"), Segment(0.0, 1.0))
    silent.refuse_outside(Path("v.mp4"), None)


def test_times_in_any_order_and_twice() -> None:
    """A frame shown for no time is skipped, unless the segment starts at its time: then the later one is shown."""
    timing = Timing([(30, 10), (10, 10), (20, 10), (20, 10)], Fraction(1, 10), None)
    assert timing.frames_in(Segment(0.0, 1.0)) == range(1)
    assert timing.frames_in(Segment(1.0, 2.0)) == range(2, 3)
    assert timing.frames_in(Segment(0.0, 9.0)) == range(4)


@pytest.mark.parametrize("duration", [None, 0, 1])
def test_a_last_frame_without_a_duration_is_shown_as_long_as_another(duration: int | None) -> None:
    timing = Timing([(0, 100), (100, 100), (200, duration)], Fraction(1, 100), None)
    assert timing.frames_in(Segment(2.0, 3.0)) == range(2, 3)
    assert timing.frames_in(Segment(2.8, 3.0)) == range(2, 3)
    with pytest.raises(VideoError, match=r"the video ends at 3\.000 s"):
        timing.refuse_outside(Path("v.mp4"), Segment(3.0, 4.0))


def test_a_long_last_frame_is_shown_to_its_end() -> None:
    timing = Timing([(0, 1), (1, 1), (2, 100)], Fraction(1, 1), None)
    assert timing.frames_in(Segment(101.0, 200.0)) == range(2, 3)
    assert timing.frames_in(Segment(102.0, 200.0)) == range(0)


def test_real_files_a_segment_of_everything_is_everything(shared_folder: Path) -> None:
    paths = sorted((shared_folder / "clips" / "codecs").iterdir())
    assert len(paths) == 8
    for path in paths:
        with av.open(str(path)) as container:
            rate = container.streams.video[0].average_rate
        assert rate is not None

        def choose(count: int) -> list[int]:
            return [count - 1, 0, count // 2]

        whole = read_frames(path, choose)
        length = float(whole.frame_count / rate)
        for end in (length, length + 100):
            part = read_frames(path, choose, segment=Segment(0.0, end))
            assert part.frame_count == whole.frame_count
            np.testing.assert_array_equal(part.frames, whole.frames)


def test_real_files_a_segment_is_a_slice(shared_folder: Path) -> None:
    """These files are of one rate throughout, so that a frame's time is its place divided by the rate."""
    for name, rate in {"test.avi": 25, "demo.mp4": 28, "nasa_13013.mp4": 25, "av1_video.mkv": 25}.items():
        path = shared_folder / "clips" / "codecs" / name
        expected = read_frames(path, lambda _: [30, 31, 59]).frames
        part = read_frames(path, lambda count: [0, 1, count - 1], segment=Segment(30 / rate, 60 / rate))
        assert part.frame_count == 30
        np.testing.assert_array_equal(part.frames, expected)
