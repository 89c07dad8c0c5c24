"""Thumbnails of clips: the right frames, small, and none of a video that cannot be read."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from essential.analysis import thumbnails
from essential.features.config import FeaturesConfig
from essential.protocols.protocol import Segment, Video
from essential.records.analysis import ForgottenClip
from video_files import cut_short, read_number, write_numbered_video

CONFIG = FeaturesConfig(workers=2)


def _image(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_frames_of_the_clip_are_shown_in_order_and_small(tmp_path: Path) -> None:
    plain = write_numbered_video(tmp_path / "plain.mp4", 40)
    large = write_numbered_video(tmp_path / "large.mp4", 8, size=(480, 320))
    tall = write_numbered_video(tmp_path / "tall.mp4", 8, size=(200, 400))
    videos = [Video(path.name, str(path), "a", "test") for path in (plain, large, tall)]
    found = [[_image(text) for text in images] for images in thumbnails(videos, frames=8, config=CONFIG)]
    # Of 40 frames 8 make the clip, and its second, fourth, sixth and last are the centres of its quarters.
    assert [read_number(image) for image in found[0]] == [7, 17, 27, 37]
    assert [read_number(image) for image in found[1]] == [1, 3, 5, 7]
    assert [images[0].shape for images in found] == [(48, 64, 3), (64, 96, 3), (96, 48, 3)]


def test_of_a_segment_only_the_segment_is_shown(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "long.mp4", 100, rate=25)
    video = Video("long#1", str(path), "a", "test", Segment(2.0, 3.0))
    (images,) = thumbnails([video], frames=2, config=CONFIG)
    assert [read_number(_image(text)) for text in images] == [56, 68]


def test_what_cannot_be_read_has_no_thumbnail_and_costs_no_other(tmp_path: Path) -> None:
    whole = write_numbered_video(tmp_path / "whole.mp4", 8)
    damaged = cut_short(write_numbered_video(tmp_path / "damaged.mp4", 8), 0.5)
    paths = [tmp_path / "gone.mp4", damaged, tmp_path, whole]
    videos = [Video(path.name, str(path), "a", "test") for path in paths]
    found = thumbnails(videos, frames=8, config=CONFIG)
    assert [len(images) for images in found] == [0, 0, 0, 4]
    assert thumbnails([], frames=8, config=CONFIG) == []


def test_a_video_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "slow.mp4", 8)
    config = FeaturesConfig(workers=1, video_seconds_limit=1e-6)
    assert thumbnails([Video("slow", str(path), "a", "test")], frames=8, config=config) == [()]


@pytest.mark.parametrize("size", [(96, 96), (640, 360)])
def test_even_noise_fits_into_an_analysis(tmp_path: Path, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(1, 3):
        Image.fromarray(noise).save(folder / f"img_{number:05d}.png")
    (images,) = thumbnails([Video("noise", str(folder), "a", "test")], frames=2, config=CONFIG)
    clip = {
        "video": "noise",
        "label": "a",
        "known_after_task": 0,
        "lost_after_task": 1,
        "predicted": "b",
        "margin": 1.0,
    }
    assert len(ForgottenClip.model_validate({**clip, "frames": images}).frames) == 2
