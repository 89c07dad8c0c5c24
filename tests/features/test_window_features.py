"""Features of windows against those of each window encoded as a clip of its own; how often, and beside how many."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_encoder import FakeEncoder
from jaxtyping import Float

from counting_encoder import CountingEncoder
from essential.encoders.base import over_time
from essential.errors import VideoError
from essential.features.config import FeaturesConfig
from essential.features.pipeline import ClipEncoder
from essential.features.provenance import build_recipe
from essential.features.windows import window_features
from essential.progress import QUIET, Progress
from essential.video.config import AugmentConfig
from essential.video.decode import read_frames
from essential.video.views import plain_view
from essential.video.windows import WindowedVideo
from seen_progress import SeenProgress
from video_files import numbered_frame, write_video

FRAMES, READ = 4, 6


ENCODERS = {
    "frames": {"per_frame": True},
    "clips": {"per_frame": False},
    "longer clips": {"per_frame": False, "clip_frames": READ},
}


def _features(
    video: WindowedVideo, encoder: FakeEncoder, *, workers: int = 1, batch_clips: int = 1, seen: Progress = QUIET
) -> Any:
    recipe = build_recipe(FeaturesConfig(), encoder, augment=AugmentConfig(), frames=FRAMES, seed=0)
    clips = ClipEncoder(encoder, frames=FRAMES, batch_clips=batch_clips, precision="float32")
    return window_features(video, clips, recipe=recipe, workers=workers, progress=seen)


def _brute_force(video: WindowedVideo, encoder: FakeEncoder) -> Float[np.ndarray, "windows frames dim"]:
    features, frames = [], read_frames(video.path, range).frames
    for window in video.windows:
        encoded = encoder.encode(plain_view(frames[list(window.frames)], encoder.pixel_format)[None])
        features.append(over_time(encoded, FRAMES)[0].float().numpy())
    return np.stack(features)


@pytest.mark.numeric
@pytest.mark.parametrize("kind", list(ENCODERS))
@pytest.mark.parametrize(("workers", "batch_clips"), [(0, 1), (1, 3)])
@pytest.mark.parametrize(
    ("times", "window", "stride"),
    [
        (range(100), 0.8, 0.2),  # whole numbers of frames
        (range(100), 0.5, 0.13),  # neither these, nor middles that fall together; the last window is elsewhere
        (range(100), 0.4, 0.4),  # side by side
        ([number + number // 20 * 15 for number in range(100)], 0.8, 0.2),
        (range(0, 1000, 10), 0.5, 0.25),  # frames shown for almost as long as a window
        (range(3), 9.0, 4.0),  # shorter than a window, and of fewer frames
    ],
)
def test_windows_have_the_features_of_their_clips(
    tmp_path: Path, kind: str, workers: int, batch_clips: int, times: range, window: float, stride: float
) -> None:
    path = write_video(tmp_path / "v.mp4", [numbered_frame(number) for number in range(len(times))], times=times)
    encoder, reference = CountingEncoder(**ENCODERS[kind]), CountingEncoder(**ENCODERS[kind])
    read = encoder.frames_read(FRAMES)
    video = WindowedVideo(path, frames=read, window_seconds=window, stride_seconds=stride)
    seen = SeenProgress()
    parts = list(_features(video, encoder, workers=workers, batch_clips=batch_clips, seen=seen))
    counts = [done for done, _ in seen.steps]
    expected = _brute_force(video, reference)
    # Sums of 48 products in float64, perhaps in another order, rounded to one float32 or to its neighbour.
    np.testing.assert_allclose(np.concatenate(parts), expected, rtol=2**-22, atol=1e-12)
    assert counts == sorted(counts)
    assert counts[-1] == len(video.windows)
    # The last batch is filled up with grey, which looks like number 0 or the highest, after all others.
    if kind == "frames":
        numbers = sorted({number for one in video.windows for number in one.frames})
        assert encoder.given[: len(numbers)] == numbers
        rest = encoder.given[len(numbers) :]
        assert len(rest) < FRAMES * batch_clips
        assert set(rest[: -len(numbers) % FRAMES]) <= {numbers[-1]}
    else:
        assert encoder.given[: len(reference.given)] == reference.given


def test_few_features_are_held_at_a_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", [numbered_frame(number) for number in range(400)])
    video = WindowedVideo(path, frames=FRAMES, window_seconds=0.4, stride_seconds=0.1)
    held: list[int] = []
    features = _features(
        video, CountingEncoder(per_frame=True), seen=SeenProgress(lambda _: held.append(len(_local("held"))))
    )

    def _local(name: str) -> Any:
        return features.gi_frame.f_locals[name]

    parts = [len(part) for part in features]
    assert sum(parts) == len(video.windows) > 150
    assert len(held) > 35
    # Sixteen windows have 19 frames, and they begin and end within a clip of four.
    assert max(held) <= 6


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_that_decoding_finds_is_told_and_the_thread_ends(tmp_path: Path, workers: int) -> None:
    before = threading.active_count()
    parts = [write_video(tmp_path / f"{width}.ts", [numbered_frame(5, size=(width, 48))] * 80) for width in (64, 80)]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    video = WindowedVideo(path, frames=FRAMES, window_seconds=0.2, stride_seconds=0.05)
    features = _features(video, CountingEncoder(per_frame=True), workers=workers)
    assert len(next(features)) >= 16
    with pytest.raises(VideoError, match=r"both\.ts: the size of its frames changes from 64x48 to 80x48"):
        list(features)
    assert threading.active_count() == before


@pytest.mark.parametrize("kind", ["frames", "clips"])
def test_a_file_damaged_at_its_end_is_told_after_the_windows_before(tmp_path: Path, kind: str) -> None:
    images = [numbered_frame(number) for number in range(100)]
    path = write_video(tmp_path / "tail.mp4", images, options={"movflags": "faststart"})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 9 // 10] + bytes(len(content) - len(content) * 9 // 10))
    video = WindowedVideo(path, frames=FRAMES, window_seconds=0.4, stride_seconds=0.1)
    features = _features(video, CountingEncoder(**ENCODERS[kind]))
    assert len(next(features)) >= 16
    with pytest.raises(VideoError, match=r"tail\.mp4: it cannot be decoded"):
        list(features)


def test_the_thread_ends_with_whoever_asks(tmp_path: Path) -> None:
    before = threading.active_count()
    path = write_video(tmp_path / "long.mp4", [numbered_frame(number) for number in range(400)])
    features = _features(
        WindowedVideo(path, frames=FRAMES, window_seconds=0.4, stride_seconds=0.1), CountingEncoder(per_frame=True)
    )
    next(features)
    assert threading.active_count() == before + 1
    features.close()
    assert threading.active_count() == before
