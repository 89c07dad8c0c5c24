"""A long video in windows: each clip is the one that a segment of that time would give, decoded once."""

from pathlib import Path

import pytest
import torch

from essential.errors import ConfigError, VideoError
from essential.protocols.protocol import Segment, Video
from essential.video.transforms import AugmentConfig, PixelFormat
from essential.video.views import ViewRequest, read_views
from essential.video.windows import WindowedVideo, cut_windows
from video_files import numbered_picture, write_video

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


@pytest.mark.parametrize("kind", ["steady.mp4", "b-frames.avi", "uneven.mp4"])
def test_each_window_is_the_segment_of_its_time(tmp_path: Path, kind: str) -> None:
    pictures = [numbered_picture(number) for number in range(60)]
    times = [number + number // 20 * 15 for number in range(60)] if kind.startswith("uneven") else None
    codec = "mpeg4" if kind.endswith(".avi") else "libx264"
    path = write_video(tmp_path / kind, pictures, codec=codec, times=times)
    video = WindowedVideo(path, frames=4, window_seconds=0.8, stride_seconds=0.4)
    clips = list(video.clips(PIXELS))
    assert [segment for segment, _ in clips] == [window.segment for window in video.windows]
    assert len(clips) >= 5
    for segment, clip in clips:
        expected = read_views(Video("v", str(path), "", "test", Segment(*segment)), REQUEST)[0]
        torch.testing.assert_close(clip, expected)


def test_few_pictures_are_held_at_a_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", [numbered_picture(number) for number in range(200)])
    video = WindowedVideo(path, frames=4, window_seconds=0.4, stride_seconds=0.2)
    clips = video.clips(PIXELS)
    held = 0
    for _ in clips:
        frame = clips.gi_frame
        held = max(held, len(frame.f_locals["seen"]) if frame is not None else 0)
    assert 0 < held <= 12


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "whole.mp4", [numbered_picture(number) for number in range(40)])
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError, match=r"cut\.mp4"):
        WindowedVideo(cut, frames=4, window_seconds=0.4, stride_seconds=0.2)
    _, clip = next(WindowedVideo(path, frames=4, window_seconds=9.0, stride_seconds=9.0).clips(PIXELS))
    assert bool(clip.isfinite().all())
