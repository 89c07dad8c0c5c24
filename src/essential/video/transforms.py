"""Pictures -> the pixels an encoder wants, plain or augmented, the same for every frame of a clip.

torchvision takes seconds to import: it is imported where a transform is made, not by all that names its settings.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from pydantic import Field, field_validator
from torch import Tensor, nn

from essential.configs.schema import Section

# RandAugment's strengths run from 0 to 10, as in the paper (Cubuk et al. 2020) and in timm's "m7".
_STRONGEST = 10
_RAND_AUGMENT_PROBABILITY = 0.5
_FLIP_PROBABILITY = 0.5
# timm's: the part of the picture that is erased, and its width over its height.
_ERASED_AREA = (0.02, 1 / 3)
_ERASED_RATIO = (0.3, 1 / 0.3)


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """The pixels an encoder wants: squares of `size` pixels, RGB from 0 to 1, minus `mean`, divided by `std`."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bilinear", "bicubic"]


class AugmentConfig(Section):
    """How a training view differs from the plain one. The defaults are ESSENTIAL's published recipe.

    The recipe names timm's `rand-m7-n4-mstd0.5-inc1`, random erasing 0.25 `pixel`. As there, each of the RandAugment
    operations is applied with probability 0.5, `rand_augment_magnitude` counts to 10, and erased pixels become noise.
    Differs from timm, because torchvision does the work:

    - the strength is the same in every draw (timm's `mstd0.5` adds noise to it);
    - no Invert and no SolarizeAdd; Identity is among the operations;
    - Posterize keeps more bits (5 at strength 7, timm's `inc1` keeps 2), translations reach 0.45 of the picture at
      strength 10 as in timm, other strengths are equal;
    - every frame of a clip gets the same noise where it is erased.

    The recipe's colour jitter does nothing in timm when RandAugment is on, and is left out.
    """

    crop_scale: tuple[float, float] = Field(
        (0.08, 1.0), description="Least and greatest part of the picture's area that a random crop keeps, 0 to 1."
    )
    crop_ratio: tuple[float, float] = Field(
        (0.75, 1.333), description="Least and greatest width over height of a random crop."
    )
    horizontal_flip: bool = Field(
        True, description="Mirror half of the views. Switch off where left and right make classes differ."
    )
    rand_augment_ops: int = Field(
        4, ge=0, le=16, description="RandAugment operations tried on a view, each applied to half of them; 0: none."
    )
    rand_augment_magnitude: int = Field(7, ge=0, le=_STRONGEST, description="Strength of RandAugment, 0 to 10.")
    erase_probability: float = Field(
        0.25, ge=0, le=1, description="Share of the views in which a rectangle is replaced by noise."
    )

    @field_validator("crop_scale", "crop_ratio")
    @classmethod
    def _ordered(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        if not 0 < bounds[0] <= bounds[1]:
            raise ValueError(f"{list(bounds)} is not allowed; give [least, greatest], both above 0")
        return bounds

    @field_validator("crop_scale")
    @classmethod
    def _part(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        if bounds[1] > 1:
            raise ValueError(f"{list(bounds)} is not allowed; a crop keeps 1 of the picture at most")
        return bounds


def plain_view(
    frames: UInt8[np.ndarray, "frames height width 3"], pixel_format: PixelFormat
) -> Float[Tensor, "frames 3 size size"]:
    """Scale the short side to `size`, cut out the centre, normalise. Draws nothing."""
    view: Tensor = _plain(pixel_format)(_channels_first(frames))
    return view


def augmented_view(
    frames: UInt8[np.ndarray, "frames height width 3"], pixel_format: PixelFormat, augment: AugmentConfig, *, seed: int
) -> Float[Tensor, "frames 3 size size"]:
    """Return a view drawn from `seed`: the same crop, flip, operations and erasing for all frames.

    torchvision draws from torch's global generator, which is seeded here and put back, so no two threads of one
    process may do this at once.
    """
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would reseed the GPUs too.
        torch.default_generator.manual_seed(seed)
        view: Tensor = _augmentation(pixel_format, augment)(_channels_first(frames))
    return view


def _channels_first(frames: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.require(frames, requirements=["C", "W"])).permute(0, 3, 1, 2)


@cache
def _plain(pixel_format: PixelFormat) -> nn.Module:
    from torchvision.transforms import InterpolationMode, v2

    size, interpolation = pixel_format.size, InterpolationMode(pixel_format.interpolation)
    transform: nn.Module = v2.Compose(
        [v2.Resize([size], interpolation, antialias=True), v2.CenterCrop([size, size]), *_normalised(pixel_format)]
    )
    return transform


@cache
def _augmentation(pixel_format: PixelFormat, augment: AugmentConfig) -> nn.Module:
    from torchvision.transforms import InterpolationMode, v2

    crop = v2.RandomResizedCrop(
        [pixel_format.size, pixel_format.size],
        scale=augment.crop_scale,
        ratio=augment.crop_ratio,
        interpolation=InterpolationMode(pixel_format.interpolation),
        antialias=True,
    )
    # What turning uncovers gets the mean colour, as in timm.
    operation = v2.RandAugment(
        num_ops=1,
        magnitude=augment.rand_augment_magnitude,
        num_magnitude_bins=_STRONGEST + 1,
        interpolation=InterpolationMode.BILINEAR,
        fill=[255 * channel for channel in pixel_format.mean],
    )
    flip = [v2.RandomHorizontalFlip(_FLIP_PROBABILITY)] if augment.horizontal_flip else []
    operations = [v2.RandomApply([operation], _RAND_AUGMENT_PROBABILITY)] * augment.rand_augment_ops
    erase = v2.RandomErasing(augment.erase_probability, scale=_ERASED_AREA, ratio=_ERASED_RATIO, value="random")
    transform: nn.Module = v2.Compose([crop, *flip, *operations, *_normalised(pixel_format), erase])
    return transform


class _Planes(nn.Module):
    """One plane for each colour, while pixels are bytes: arithmetic on three of them at a time is slow."""

    def forward(self, frames: Tensor) -> Tensor:
        return frames.contiguous()


def _normalised(pixel_format: PixelFormat) -> list[nn.Module]:
    from torchvision.transforms import v2

    # In place of the floats just made.
    normalise = v2.Normalize(list(pixel_format.mean), list(pixel_format.std), inplace=True)
    return [_Planes(), v2.ToDtype(torch.float32, scale=True), normalise]
