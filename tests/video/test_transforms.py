"""Plain views are exact; augmented ones are drawn from their seed alone, once for the whole clip."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torchvision.transforms import v2

from essential.video.config import AugmentConfig, PixelFormat
from essential.video.views import augmented_view, plain_view

RAW = PixelFormat(size=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), interpolation="bilinear")
NOTHING = AugmentConfig(
    crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), horizontal_flip=False, rand_augment_ops=0, erase_probability=0
)


def noise(frames: int = 3, *, height: int = 32, width: int = 32) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), np.uint8)


def scaled(frames: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(frames.astype(np.float32) / 255).permute(0, 3, 1, 2)


def with_only(**settings: Any) -> AugmentConfig:
    return NOTHING.model_copy(update=settings)


def test_a_plain_view_of_the_right_size_is_only_normalised() -> None:
    pixels = PixelFormat(size=32, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), interpolation="bicubic")
    expected = (scaled(noise()) - torch.tensor(pixels.mean).view(3, 1, 1)) / torch.tensor(pixels.std).view(3, 1, 1)
    torch.testing.assert_close(plain_view(noise(), pixels), expected)


@pytest.mark.parametrize(("height", "width"), [(32, 50), (50, 32)])
def test_a_plain_view_cuts_out_the_centre(height: int, width: int) -> None:
    frames = noise(height=height, width=width)
    top, left = (height - 32) // 2, (width - 32) // 2
    torch.testing.assert_close(plain_view(frames, RAW), scaled(frames[:, top : top + 32, left : left + 32]))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(240, 320), (320, 240), (16, 20), (9, 100), (33, 32)])
def test_any_size_becomes_the_size_asked_for(height: int, width: int, interpolation: Any) -> None:
    pixels = PixelFormat(size=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), interpolation=interpolation)
    frames = np.full((2, height, width, 3), (200, 100, 50), np.uint8)
    for view in (plain_view(frames, pixels), augmented_view(frames, pixels, with_only(crop_scale=(0.1, 1)), seed=3)):
        assert view.shape == (2, 3, 32, 32)
        assert view.dtype == torch.float32
        expected = torch.tensor([200, 100, 50]).view(1, 3, 1, 1) / 255
        torch.testing.assert_close(view, expected.expand_as(view))


def test_shrinking_averages_instead_of_picking() -> None:
    frames = np.zeros((1, 256, 256, 3), np.uint8)
    frames[:, :, ::2] = 255
    assert plain_view(frames, RAW).sub(0.5).abs().max() < 0.02


def test_the_defaults_are_the_published_recipe() -> None:
    assert AugmentConfig().model_dump() == {
        "crop_scale": (0.08, 1.0),
        "crop_ratio": (0.75, 1.333),
        "horizontal_flip": True,
        "rand_augment_ops": 4,
        "rand_augment_magnitude": 7,
        "erase_probability": 0.25,
    }


def test_with_everything_off_an_augmented_view_is_plain() -> None:
    for seed in range(5):
        assert torch.equal(augmented_view(noise(), RAW, NOTHING, seed=seed), plain_view(noise(), RAW))


def test_all_frames_of_a_clip_get_the_same_draw() -> None:
    frames = np.repeat(noise(1, height=48, width=64), 5, axis=0)
    for seed in range(60):
        view = augmented_view(frames, RAW, AugmentConfig(), seed=seed)
        assert torch.equal(view, view[:1].expand_as(view)), f"seed {seed}"


def test_the_seed_alone_decides() -> None:
    frames = noise(height=48, width=64)
    views = []
    for state in (1, 2):
        torch.manual_seed(state)
        views.append([augmented_view(frames, RAW, AugmentConfig(), seed=seed) for seed in (0, 1, 2**63 - 1)])
    for first, second in zip(*views, strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(views[0][0], views[0][1])


def test_the_global_generators_are_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    augmented_view(noise(), RAW, AugmentConfig(), seed=8)
    assert torch.equal(torch.get_rng_state(), before)


def test_half_of_the_views_are_mirrored() -> None:
    plain = plain_view(noise(), RAW)
    views = [augmented_view(noise(), RAW, with_only(horizontal_flip=True), seed=seed) for seed in range(200)]
    mirrored = [torch.equal(view, plain.flip(-1)) for view in views]
    assert all(torch.equal(view, plain) or flipped for view, flipped in zip(views, mirrored, strict=True))
    assert 75 < sum(mirrored) < 125


def test_a_crop_keeps_the_part_asked_for() -> None:
    """A frame whose red and green count its columns and rows shows what was cut out."""
    rows, columns = np.mgrid[0:200, 0:200]
    frames = np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8)[None]
    for seed in range(50):
        view = augmented_view(frames, RAW, with_only(crop_scale=(0.25, 0.5), crop_ratio=(0.8, 1.25)), seed=seed) * 255
        width, height = ((view[0, i].max() - view[0, i].min()).item() * 32 / 31 for i in (0, 1))
        assert 0.22 < width * height / 200**2 < 0.53
        assert 0.75 < width / height < 1.35


def test_each_operation_is_applied_to_half_of_the_views() -> None:
    plain = plain_view(noise(), RAW)
    augment = with_only(rand_augment_ops=1, rand_augment_magnitude=9)
    same = sum(torch.equal(augmented_view(noise(), RAW, augment, seed=seed), plain) for seed in range(300))
    assert 0.5 * 300 - 30 < same < (0.5 + 0.5 * 2 / 14) * 300 + 30  # identity and autocontrast change nothing here


def test_erasing_fills_one_rectangle_with_noise() -> None:
    plain = plain_view(noise(4), RAW)
    for seed in range(30):
        view = augmented_view(noise(4), RAW, with_only(erase_probability=1.0), seed=seed)
        changed = (view != plain).any(1)
        rows, columns = changed[0].nonzero().unbind(1)
        assert torch.equal(changed, changed[:1].expand_as(changed))
        height, width = (int(axis.max() - axis.min()) + 1 for axis in (rows, columns))
        assert len(rows) == height * width
        assert 0.01 < height * width / 32**2 < 0.36
        erased = view[changed.unsqueeze(1).expand_as(view)]
        assert erased.std() > 0.5


def test_the_frames_given_are_not_changed_and_may_be_read_only() -> None:
    frames = noise()
    frames.setflags(write=False)
    for seed in range(10):
        augmented_view(frames[:, ::-1], RAW, AugmentConfig(), seed=seed)
    plain_view(frames[:, :, ::-1], RAW)
    np.testing.assert_array_equal(frames, noise())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop_scale": (0.5, 0.2)}, r"\[0.5, 0.2\] is not allowed; give \[least, greatest\]"),
        ({"crop_scale": (0.0, 1.0)}, r"\[0.0, 1.0\] is not allowed"),
        ({"crop_scale": (0.5, 1.5)}, r"\[0.5, 1.5\] is not allowed; a crop keeps 1"),
        ({"crop_ratio": (2.0, 1.0)}, r"\[2.0, 1.0\] is not allowed"),
        ({"rand_augment_ops": -1}, "rand_augment_ops"),
        ({"rand_augment_magnitude": 11}, "less than or equal to 10"),
        ({"erase_probability": 1.01}, "less than or equal to 1"),
        ({"flip": True}, "flip"),
    ],
)
def test_values_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AugmentConfig(**settings)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 64), (91, 37), (20, 113)])
def test_a_plain_view_is_torchvisions_to_the_last_bit(
    height: int, width: int, interpolation: Literal["bilinear", "bicubic"]
) -> None:
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
    theirs = v2.Compose(
        [
            v2.Resize([32], v2.InterpolationMode(interpolation), antialias=True),
            v2.CenterCrop([32, 32]),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean, std),
        ]
    )
    frames = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    view = plain_view(frames, PixelFormat(size=32, mean=mean, std=std, interpolation=interpolation))
    assert torch.equal(view, theirs(torch.from_numpy(frames).permute(0, 3, 1, 2)))
