"""A long video in windows: each clip is of the frames shown at moments in the window, decoded once."""

from collections.abc import Generator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from essential.errors import ConfigError, VideoError
from essential.protocols.protocol import Segment, Video
from essential.video import timing
from essential.video.config import AugmentConfig, PixelFormat
from essential.video.views import ViewRequest, read_views, segment_indices
from essential.video.windows import MOST_WINDOWS, WindowedVideo, _middles, count_windows, cut_windows
from video_files import numbered_frame, read_number, write_video

PIXELS = PixelFormat(48, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "bilinear")
REQUEST = ViewRequest(frames=4, view_numbers=(0,), seed=0, pixel_format=PIXELS, augment=AugmentConfig())


def test_windows_cover_the_video_and_the_last_ends_with_it() -> None:
    assert cut_windows(10.0, window_seconds=4.0, stride_seconds=2.0) == [(0, 4), (2, 6), (4, 8), (6, 10)]
    assert cut_windows(9.5, window_seconds=4.0, stride_seconds=2.0) == [(0, 4), (2, 6), (4, 8), (5.5, 9.5)]
    assert cut_windows(3.0, window_seconds=4.0, stride_seconds=2.0) == [(0, 3)]
    assert cut_windows(8.0, window_seconds=4.0, stride_seconds=4.0) == [(0, 4), (4, 8)]


@pytest.mark.parametrize(
    ("window", "stride"), [(0.0, 1.0), (4.0, 0.0), (4.0, 5.0), (float("nan"), 1.0), (float("inf"), 1.0), (-1.0, -1.0)]
)
def test_windows_that_leave_gaps_are_refused(window: float, stride: float) -> None:
    with pytest.raises(ConfigError, match="not allowed"):
        cut_windows(10.0, window_seconds=window, stride_seconds=stride)


@pytest.mark.parametrize("kind", ["steady.mp4", "b-frames.avi"])
def test_each_window_is_the_segment_of_its_time(tmp_path: Path, kind: str) -> None:
    images = [numbered_frame(number) for number in range(60)]
    path = write_video(tmp_path / kind, images, codec="mpeg4" if kind.endswith(".avi") else "libx264")
    video = WindowedVideo(path, frames=4, window_seconds=0.8, stride_seconds=0.4)
    clips = list(_clips(video))
    assert len(clips) == len(video.windows) >= 5
    for window, clip in zip(video.windows, clips, strict=True):
        for segment in window.segments:
            expected = read_views(Video("v", str(path), "", "test", Segment(*segment)), REQUEST).clips[0]
            torch.testing.assert_close(clip, expected)


def test_frames_of_varying_rate_are_taken_by_their_times(tmp_path: Path) -> None:
    times = [number + number // 20 * 15 for number in range(60)]
    path = write_video(tmp_path / "uneven.mp4", [numbered_frame(number) for number in range(60)], times=times)
    video = WindowedVideo(path, frames=4, window_seconds=0.8, stride_seconds=0.4)
    for window, clip in zip(video.windows, _clips(video), strict=True):
        for start, end in window.segments:
            middles = [Fraction(start) + (Fraction(end) - Fraction(start)) * Fraction(2 * i + 1, 8) for i in range(4)]
            # No middle is nearer to a frame's time than a tenth of a frame, or on it but for the float of a segment.
            shown = [sum(time <= 25 * middle + Fraction(1, 1000) for time in times) - 1 for middle in middles]
            assert list(window.frames) == shown
        assert [read_number(_image(frame[None])) for frame in clip] == list(window.frames)


@pytest.mark.parametrize("rate", [24, 25, Fraction(30000, 1001), 30, 50, 60])
@pytest.mark.parametrize("per_second", [None, 1000])
def test_windows_share_frames_and_hold_those_of_a_clip_but_for_one(rate: Fraction, per_second: int | None) -> None:
    """Times as exact as those of MP4, and rounded to milliseconds as those of Matroska."""
    base = Fraction(1, per_second) if per_second else 1 / (1000 * Fraction(rate))
    times = [round(number / Fraction(rate) / base) for number in range(int(30 * rate))]
    shown = timing.Timing([(time, times[1]) for time in times], base, None)
    for seconds in (1, 1.5, 2, 2.5, 3, 4, 5, 7.3):
        segments = cut_windows(shown.end_seconds, window_seconds=seconds, stride_seconds=seconds / 4)
        frames = shown.shown_at(_middles(segments, parts=8))
        of_clips = []
        for segment in segments:
            held = shown.frames_in(segment)
            of_clips.append([held.start + place for place in segment_indices(len(held), 8, generator=None)])
        assert abs(frames - of_clips).max() <= (0 if (seconds / 4 * rate) % 1 == 0 else 1)
        # Two of a window's eight are new; the last window ends with the video, wherever that is.
        assert len(np.unique(frames)) <= 2 * len(segments) + 6 + 8


def test_few_frames_are_held_at_a_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", [numbered_frame(number) for number in range(200)])
    video = WindowedVideo(path, frames=4, window_seconds=0.4, stride_seconds=0.2)
    clips = _clips(video)
    held = 0
    for _ in clips:
        frame = clips.gi_frame
        held = max(held, len(frame.f_locals["seen"]) if frame is not None else 0)
    assert 0 < held <= 12


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "whole.mp4", [numbered_frame(number) for number in range(40)])
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError, match=r"cut\.mp4"):
        WindowedVideo(cut, frames=4, window_seconds=0.4, stride_seconds=0.2)
    clip = next(_clips(WindowedVideo(path, frames=4, window_seconds=9.0, stride_seconds=9.0)))
    assert bool(clip.isfinite().all())


@pytest.mark.parametrize(("length", "window", "stride"), [(18.9, 0.7, 0.7), (20.0, 1.0, 0.3333), (0.3, 0.1, 0.1)])
def test_windows_side_by_side_share_a_border(length: float, window: float, stride: float) -> None:
    _check_cover(cut_windows(length, window_seconds=window, stride_seconds=stride), length)


def test_no_windows_leave_a_gap_or_a_part_shorter_than_a_millisecond() -> None:
    draw = np.random.default_rng(0)
    for digits in (1, 2, 3, 17):
        for _ in range(150):
            length, window = round(draw.uniform(1, 60), digits), round(draw.uniform(0.1, 5), digits)
            stride = window / draw.integers(1, 5) if draw.random() < 0.5 else round(window * draw.uniform(0.2, 1), 3)
            segments = cut_windows(length, window_seconds=window, stride_seconds=stride)
            assert len(segments) <= count_windows(length, window_seconds=window, stride_seconds=stride)
            _check_cover(segments, length)


def _check_cover(segments: list[Segment], length: float) -> None:
    assert segments[0].start_seconds == 0
    assert segments[-1].end_seconds == pytest.approx(length, abs=0.00051)
    for before, after in pairwise(segments):
        assert before.start_seconds < after.start_seconds <= before.end_seconds <= after.end_seconds
    borders = sorted({border for segment in segments for border in segment})
    assert min(np.diff(borders)) > 0.00099


def test_frames_that_are_shown_for_longer_than_a_window_make_one_clip(tmp_path: Path) -> None:
    images = [numbered_frame(number) for number in range(20)]
    path = write_video(tmp_path / "lapse.mkv", images, b_frames=0, times=range(0, 5000, 250))
    video = WindowedVideo(path, frames=4, window_seconds=0.5, stride_seconds=0.25)
    assert sum(len(window.segments) for window in video.windows) > 750
    assert [window.frames[0] for window in video.windows if len(set(window.frames)) == 1] == list(range(20))
    # A window may hold the end of one frame and the beginning of the next.
    assert len(video.windows) <= 2 * 20
    clips = list(_clips(video))
    assert len(clips) == len(video.windows)
    assert read_number(_image(clips[-1])) == 19


def _clips(video: WindowedVideo) -> Generator[torch.Tensor, None, None]:
    return video.clips(np.array([window.frames for window in video.windows]), PIXELS)


def _image(clip: torch.Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return (clip[0].permute(1, 2, 0).numpy() * 255).clip(0, 255).astype(np.uint8)


def test_a_video_that_says_it_is_years_long_is_refused_before_it_is_cut(tmp_path: Path) -> None:
    images = [numbered_frame(number) for number in range(4)]
    path = write_video(tmp_path / "bomb.mkv", images, b_frames=0, times=[0, 1, 2, 75_000_000])
    assert path.stat().st_size < 4000
    with pytest.raises(
        VideoError, match=r"bomb\.mkv: it is 3,000,000 s long, which is 3,000,000 windows .* 100,000 are"
    ):
        WindowedVideo(path, frames=4, window_seconds=2.0, stride_seconds=1.0)
    short = write_video(tmp_path / "short.mp4", images)
    with pytest.raises(VideoError, match=f"{MOST_WINDOWS:,} are allowed; give a longer stride"):
        WindowedVideo(short, frames=4, window_seconds=0.04, stride_seconds=1e-9)


def test_the_times_of_a_long_video_are_put_in_order_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(timing, "sorted", lambda times: calls.append(1) or sorted(times), raising=False)
    stamps = [(5 * number, 5) for number in range(50)]
    shown = timing.Timing(stamps, Fraction(1, 100), None)
    segments = [Segment(start / 10, start / 10 + 1) for start in range(15)]
    held = [shown.frames_in(segment) for segment in segments]
    assert len(calls) == 1
    assert held == [timing.Timing(stamps, Fraction(1, 100), None).frames_in(segment) for segment in segments]


def test_a_video_whose_frames_change_in_size_is_refused(tmp_path: Path) -> None:
    parts = [write_video(tmp_path / f"{width}.ts", [numbered_frame(5, size=(width, 48))] * 8) for width in (64, 80)]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(VideoError, match=r"both\.ts: the size of its frames changes from 64x48 to 80x48"):
        list(_clips(WindowedVideo(path, frames=4, window_seconds=0.2, stride_seconds=0.2)))
