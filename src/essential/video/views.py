"""A video's views: a clip, sampled and transformed. View 0 is plain, the others are augmented, each by its own draw."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from essential.protocols.protocol import Video
from essential.seeding import seed_from
from essential.video.decode import read_frames
from essential.video.sampling import segment_indices
from essential.video.transforms import AugmentConfig, PixelFormat, augmented_view, plain_view

# Raise it whenever the same request begins to give other pixels; stores made before are then refused.
_TRANSFORM_VERSION = 1


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """Which views of a video are wanted, and how they are made.

    Attributes:
        frames: frames in a clip, one of each of as many equal segments.
        view_numbers: 0 is the plain view with the segments' centres; 1 and above are augmented.
        seed: what the draws start from, beside the video's key and the view's number.
        pixel_format: the pixels the encoder wants.
        augment: how views 1 and above differ from the plain one.

    Raises:
        ValueError: no view, a negative view, or no frame is asked for.
    """

    frames: int
    view_numbers: tuple[int, ...]
    seed: int
    pixel_format: PixelFormat
    augment: AugmentConfig

    def __post_init__(self) -> None:
        if self.frames < 1 or not self.view_numbers or min(self.view_numbers) < 0:
            raise ValueError(
                f"frames={self.frames}, view_numbers={self.view_numbers}: ask for one frame and one view or more, "
                "views counted from 0"
            )


def read_views(video: Video, request: ViewRequest) -> Float[Tensor, "views frames 3 size size"]:
    """Read a video, or its segment, once and return the views in the order asked for.

    A view is a function of the video, its segment, `request.frames`, the pixel format, the augmentation, and
    `seed_from(request.seed, video.key, view)`; which other views are asked for does not matter.

    Raises:
        VideoError: the video or its segment cannot be read; see `read_frames`.
    """
    seeds = [seed_from(request.seed, video.key, number) if number else None for number in request.view_numbers]

    def choose(frame_count: int) -> list[int]:
        generators = [None if seed is None else np.random.default_rng(seed) for seed in seeds]
        clips = [segment_indices(frame_count, request.frames, generator=generator) for generator in generators]
        return [index for clip in clips for index in clip]

    decoded = read_frames(video.path, choose, segment=video.segment)
    clips = np.split(decoded.frames, len(seeds))
    views = [
        plain_view(clip, request.pixel_format)
        if seed is None
        else augmented_view(clip, request.pixel_format, request.augment, seed=seed)
        for clip, seed in zip(clips, seeds, strict=True)
    ]
    # One view alone, as in an evaluation, is not copied.
    return torch.stack(views) if len(views) > 1 else views[0].unsqueeze(0)


def transform_identity(pixel_format: PixelFormat, augment: AugmentConfig) -> dict[str, Any]:
    """Return, as JSON values, all that decides how pictures become pixels, for a store's provenance."""
    import torchvision  # seconds to load, and only needed here and to make pixels

    return {
        "version": _TRANSFORM_VERSION,
        "torchvision": torchvision.__version__,
        "size": pixel_format.size,
        "mean": list(pixel_format.mean),
        "std": list(pixel_format.std),
        "interpolation": pixel_format.interpolation,
        "augment": augment.model_dump(mode="json"),
    }
