"""What decides the numbers in a feature store, and how two such descriptions differ."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from essential import nested
from essential.encoders.base import Encoder
from essential.features.config import FeaturesConfig, FeatureType, Precision
from essential.video.config import AugmentConfig
from essential.video.decode import decoder_identity
from essential.video.views import ViewRequest, transform_identity

SAMPLING_RULE = "equal segments; view 0: centres; view v >= 1: one random frame each, seeded by (seed, video key, v)"

# Of an encoder that reads a number of frames of its own; see `encoders.base`.
STEPS_RULE = "mean of the steps that reach into each of as many equal parts"


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """Everything that decides a feature's value, the video apart: `frames` features a clip, `views` augmented ones."""

    encoder: Encoder
    augment: AugmentConfig
    frames: int
    views: int
    seed: int
    dtype: FeatureType
    precision: Precision

    @property
    def frames_read(self) -> int:
        """How many frames are read of a clip."""
        return self.encoder.frames_read(self.frames)

    def request(self, view_numbers: tuple[int, ...]) -> ViewRequest:
        """Return what to read of a video for these views."""
        return ViewRequest(
            frames=self.frames_read,
            view_numbers=view_numbers,
            seed=self.seed,
            pixel_format=self.encoder.pixel_format,
            augment=self.augment,
        )

    def provenance(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values: the same recipe gives the same values on every machine."""
        encoder = self.encoder
        content: dict[str, Any] = {
            "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint, "dim": encoder.dim},
            "transform": transform_identity(encoder.pixel_format, self.augment),
            "decoder": decoder_identity(),
            "sampling": {"frames": self.frames, "rule": SAMPLING_RULE},
            "views": self.views,
            "seed": self.seed,
            "dtype": self.dtype,
        }
        if encoder.clip_frames is not None:
            content["sampling"] |= {"read": encoder.clip_frames, "steps": STEPS_RULE}
        if self.precision != "float32":
            # Only then: stores made before there was a choice stay good.
            content["precision"] = self.precision
        plain: dict[str, Any] = json.loads(json.dumps(content))
        return plain


def build_recipe(config: FeaturesConfig, encoder: Encoder, *, augment: AugmentConfig, frames: int, seed: int) -> Recipe:
    """Return the recipe of a run: `frames` per clip, every view drawn from `seed`."""
    return Recipe(
        encoder=encoder,
        augment=augment,
        frames=frames,
        seed=seed,
        views=config.views,
        dtype=config.dtype,
        precision=config.precision,
    )


def differences(
    found: Mapping[str, Any], wanted: Mapping[str, Any], found_name: str = "in the store", wanted_name: str = "wanted"
) -> list[str]:
    """Return one line per value that differs between two provenances, named with dots; empty if they are equal."""
    apart = nested.differences(found, wanted, show=str, absent="nothing")
    return [f"{key}: {theirs} {found_name}, {ours} {wanted_name}" for key, (theirs, ours) in sorted(apart)]
