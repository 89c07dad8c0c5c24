"""Which pixels an encoder is fed, and how an augmented view of a clip differs from the plain one."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from essential.configs.schema import Section

# RandAugment's strengths run from 0 to 10, as in the paper (Cubuk et al. 2020) and in timm's "m7".
STRONGEST = 10


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
    - Posterize keeps more bits (5 at strength 7, timm's `inc1` keeps 2), translations reach 0.45 of the frame at
      strength 10 as in timm, other strengths are equal;
    - every frame of a clip gets the same noise where it is erased.

    The recipe's colour jitter does nothing in timm when RandAugment is on, and is left out.
    """

    crop_scale: tuple[float, float] = Field(
        (0.08, 1.0), description="Least and greatest part of the frame's area that a random crop keeps, 0 to 1."
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
    rand_augment_magnitude: int = Field(7, ge=0, le=STRONGEST, description="Strength of RandAugment, 0 to 10.")
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
            raise ValueError(f"{list(bounds)} is not allowed; a crop keeps 1 of the frame at most")
        return bounds
