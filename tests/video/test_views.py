"""A view depends on its seed, its video and its number, and on nothing else that is asked for."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from essential.errors import VideoError
from essential.protocols.protocol import Segment, Video
from essential.seeding import seed_from
from essential.video import views
from essential.video.config import AugmentConfig, PixelFormat
from essential.video.decode import read_frames
from essential.video.views import ViewRequest, read_views, segment_indices, transform_identity
from video_files import read_number, write_frame_folder, write_numbered_video, write_sound

RAW = PixelFormat(size=48, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), interpolation="bilinear")
NOTHING = AugmentConfig(
    crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), horizontal_flip=False, rand_augment_ops=0, erase_probability=0
)
REQUEST = ViewRequest(frames=4, view_numbers=(0, 1, 2), seed=7, pixel_format=RAW, augment=AugmentConfig())


def clips_of(video: Video, request: ViewRequest) -> Tensor:
    return read_views(video, request).clips


@pytest.fixture(params=["mp4", "avi"])
def video(request: pytest.FixtureRequest, tmp_path: Path) -> Video:
    """Return a video of 50 numbered frames."""
    codec = {"mp4": "libx264", "avi": "mpeg4"}[request.param]
    path = write_numbered_video(tmp_path / f"v.{request.param}", 50, size=(48, 48), codec=codec)
    return Video("class/v", str(path), "class", "train")


def numbers(view: Tensor) -> list[int]:
    """Return the frame numbers that a view without augmentation shows."""
    return [read_number(image) for image in (view * 255).round().byte().permute(0, 2, 3, 1).numpy()]


def test_a_video_of_fewer_frames_than_a_view_repeats_some_and_says_how_many_it_has(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "short.mp4", 3, size=(48, 48))
    clips, frame_count = read_views(Video("v", str(path), "a", "test"), replace(REQUEST, frames=8, augment=NOTHING))
    assert frame_count == 3
    assert numbers(clips[0]) == [0, 0, 0, 1, 1, 2, 2, 2]


def test_the_plain_view_shows_the_segments_centres(video: Video) -> None:
    result = clips_of(video, replace(REQUEST, view_numbers=(0,)))
    assert result.shape == (1, 4, 3, 48, 48)
    assert numbers(result[0]) == [6, 18, 31, 43]


def test_augmented_views_show_the_frames_drawn_from_their_seed(video: Video) -> None:
    result = clips_of(video, replace(REQUEST, view_numbers=(0, 1, 2, 9), augment=NOTHING))
    drawn = [
        segment_indices(50, 4, generator=np.random.default_rng(seed_from(7, video.key, number))) for number in (1, 2, 9)
    ]
    assert [numbers(view) for view in result] == [[6, 18, 31, 43], *drawn]
    assert drawn[0] != drawn[1] != drawn[2]


def test_the_same_request_gives_the_same_pixels(video: Video) -> None:
    assert torch.equal(clips_of(video, REQUEST), clips_of(video, REQUEST))


def test_a_view_is_the_same_whatever_else_is_asked_for(video: Video) -> None:
    everything = clips_of(video, replace(REQUEST, view_numbers=(0, 1, 2, 3)))
    for wanted in [(2,), (3, 1), (1, 0, 2), (2, 2)]:
        assert torch.equal(clips_of(video, replace(REQUEST, view_numbers=wanted)), everything[list(wanted)])


def test_seed_key_and_number_each_change_the_augmented_views_only(video: Video) -> None:
    first = clips_of(video, REQUEST)
    for other in (clips_of(video, replace(REQUEST, seed=8)), clips_of(video._replace(key="class/w"), REQUEST)):
        assert torch.equal(other[0], first[0])
        assert not torch.equal(other[1], first[1])
        assert not torch.equal(other[2], first[2])
    assert not torch.equal(first[1], first[2])


def test_where_the_file_lies_changes_nothing(video: Video, tmp_path: Path) -> None:
    first = clips_of(video, REQUEST)
    moved = video.path.rename(tmp_path / "elsewhere")
    assert torch.equal(clips_of(video._replace(file=str(moved)), REQUEST), first)


@pytest.mark.parametrize("frames", [2, 3, 5, 8, 31])
def test_short_and_long_videos_give_clips_of_one_length(tmp_path: Path, frames: int) -> None:
    path = write_numbered_video(tmp_path / "v.mp4", frames, size=(48, 48))
    result = clips_of(Video("v", str(path), "a", "test"), replace(REQUEST, frames=8, augment=NOTHING))
    assert result.shape == (3, 8, 3, 48, 48)
    assert numbers(result[0]) == segment_indices(frames, 8, generator=None)


def test_a_video_is_opened_once_for_all_views(video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = []

    def counted(path: Path, choose: Any, *, segment: Segment | None) -> Any:
        paths.append(path)
        return read_frames(path, choose, segment=segment)

    monkeypatch.setattr(views, "read_frames", counted)
    clips_of(video, replace(REQUEST, view_numbers=(0, 1, 2, 3, 4)))
    assert paths == [video.path]


def test_a_segment_is_viewed_as_a_video_of_its_own(video: Video) -> None:
    part = video._replace(key="class/v@0.4-1.6", segment=Segment(0.4, 1.6))
    result = clips_of(part, replace(REQUEST, view_numbers=(0, 1, 2), augment=NOTHING))
    drawn = [
        segment_indices(30, 4, generator=np.random.default_rng(seed_from(7, part.key, number))) for number in (1, 2)
    ]
    assert [numbers(view) for view in result] == [[10 + index for index in clip] for clip in [[3, 11, 18, 26], *drawn]]


def test_two_segments_of_one_file_draw_each_for_itself(video: Video) -> None:
    parts = [video._replace(key=f"class/v{suffix}", segment=Segment(0.4, 1.6)) for suffix in ("", "#2")]
    first, second = (clips_of(part, REQUEST) for part in parts)
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[1], second[1])


def test_a_folder_of_frames_gives_the_views_of_a_file_with_these_frames(video: Video, tmp_path: Path) -> None:
    images = read_frames(video.path, range).frames
    folder = write_frame_folder(tmp_path / "frames", images, name="img_{:05d}.png")
    assert torch.equal(clips_of(video._replace(file=str(folder)), REQUEST), clips_of(video, REQUEST))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "sound.avi")
    with pytest.raises(VideoError, match=r"sound\.avi: it holds no video stream"):
        clips_of(Video("sound", str(path), "a", "train"), REQUEST)


@pytest.mark.parametrize("change", [{"frames": 0}, {"view_numbers": ()}, {"view_numbers": (0, -1)}])
def test_an_impossible_request_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"frames=\d, view_numbers=\(.*\): ask for one frame and one view or more"):
        replace(REQUEST, **change)


def test_the_identity_is_json_and_changes_with_every_setting() -> None:
    identity = transform_identity(RAW, NOTHING)
    assert identity["torchvision"] == torchvision.__version__
    assert json.loads(json.dumps(identity)) == identity
    formats = [
        replace(RAW, **change)
        for change in ({"size": 64}, {"mean": (0.1, 0.0, 0.0)}, {"std": (1.0, 1.0, 0.9)}, {"interpolation": "bicubic"})
    ]
    augments = [
        NOTHING.model_copy(update={name: value})
        for name, value in AugmentConfig().model_dump().items()
        if name != "rand_augment_magnitude"
    ]
    others = [transform_identity(pixels, NOTHING) for pixels in formats]
    others += [transform_identity(RAW, augment) for augment in augments]
    assert len(others) == 9
    assert identity not in others


def test_a_real_video_can_be_viewed(shared_folder: Path) -> None:
    path = shared_folder / "clips" / "codecs" / "test.avi"
    result = clips_of(Video("test.avi", str(path), "a", "train"), replace(REQUEST, view_numbers=(0, 1, 2, 3, 4)))
    assert result.shape == (5, 4, 3, 48, 48)
    assert result.isfinite().all()
