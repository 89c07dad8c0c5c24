"""A video's views: a clip, sampled and transformed. View 0 is plain, the others are augmented, each by its own draw.

torchvision takes a second to import: only augmented views need it.
"""

import platform
import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn.functional import interpolate

from essential.protocols.protocol import Video
from essential.seeded import drawing_from
from essential.seeding import seed_from
from essential.video.config import STRONGEST, AugmentConfig, PixelFormat
from essential.video.decode import read_frames

# Raise it whenever the same request begins to give other pixels; stores made before are then refused.
_TRANSFORM_VERSION = 1
_RAND_AUGMENT_PROBABILITY = 0.5
_FLIP_PROBABILITY = 0.5
# timm's: the part of the frame that is erased, and its width over its height.
_ERASED_AREA = (0.02, 1 / 3)
_ERASED_RATIO = (0.3, 1 / 0.3)


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """Which views of a video are wanted, and how they are made. A ValueError if no frame or view is, or one below 0.

    Attributes:
        frames: frames in a clip, one of each of as many equal segments.
        view_numbers: 0 is the plain view with the segment centres; 1 and above are augmented.
        seed: what the draws start from, beside the video's key and the view's number.
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


class Views(NamedTuple):
    """The views of a video, and how many frames it has, or its segment: if fewer than a view, some are repeated."""

    clips: Float[Tensor, "views frames 3 size size"]
    frame_count: int


def read_views(video: Video, request: ViewRequest) -> Views:
    """Read a video, or its segment, once and return the views in the order asked for; errors as of `read_frames`.

    A view is a function of the video, its segment, `request.frames`, the pixel format, the augmentation, and
    `seed_from(request.seed, video.key, view)`; which other views are asked for does not matter.
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
    return Views(torch.stack(views) if len(views) > 1 else views[0].unsqueeze(0), decoded.frame_count)


def segment_indices(frame_count: int, segments: int, *, generator: np.random.Generator | None) -> list[int]:
    """Cut a video into equal segments and return the index of one frame of each, sorted.

    The segments are cut in real numbers, `frame_count / segments` long, so every frame is in reach of a draw whatever
    the remainder; this is TSN's sampling (Wang et al. 2016) without its rounding to whole frames. A video shorter than
    `segments` repeats frames. Without a `generator`, which draws a place inside each segment (training), the segment
    centres are taken (evaluation).

    Raises:
        ValueError: either number is below 1.
    """
    if frame_count < 1 or segments < 1:
        raise ValueError(f"cannot take {segments} segments of {frame_count} frames; both must be 1 or more")
    if generator is None:
        return [(2 * segment + 1) * frame_count // (2 * segments) for segment in range(segments)]
    return [int(index) for index in segment_table(frame_count, generator.random((1, segments)))[0]]


def segment_table(
    frame_count: int, draws: Float[np.ndarray, "videos segments"]
) -> Int64[np.ndarray, "videos segments"]:
    """Return a frame of each equal segment of many videos of `frame_count` frames.

    A draw says where in its segment a frame lies, from 0 to below 1; 0.5 is the centre.
    """
    places = (np.arange(draws.shape[1]) + draws) * frame_count / draws.shape[1]
    # A draw next to 1 in the last segment may round up to the end of the video.
    indices: np.ndarray[Any, np.dtype[np.int64]] = np.minimum(places.astype(np.int64), frame_count - 1)
    return indices


def transform_identity(pixel_format: PixelFormat, augment: AugmentConfig) -> dict[str, Any]:
    """Return, as JSON values, all that decides how frames become pixels, for a store's provenance."""
    return {
        "version": _TRANSFORM_VERSION,
        "torchvision": _torchvision_version(),
        "size": pixel_format.size,
        "mean": list(pixel_format.mean),
        "std": list(pixel_format.std),
        "interpolation": pixel_format.interpolation,
        "augment": augment.model_dump(mode="json"),
    }


def _torchvision_version() -> str:
    """Return `torchvision.__version__`, which names the build too, without importing it where its file says it."""
    package = find_spec("torchvision")
    file = Path(package.origin).with_name("version.py") if package and package.origin else None
    text = file.read_text(encoding="utf-8") if file and file.is_file() else ""
    written = re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE)
    return str(written[1] if written else import_module("torchvision").__version__)


def plain_view(
    frames: UInt8[np.ndarray, "frames height width 3"], pixel_format: PixelFormat
) -> Float[Tensor, "frames 3 size size"]:
    """Scale the short side to `size`, cut out the centre, normalise. Draws nothing.

    It gives what torchvision's transforms do to the last bit, without them: they load torch's compiler, in a second.
    """
    scaled = _scaled(_channels_first(frames), pixel_format)
    top, left = (round((side - pixel_format.size) / 2) for side in scaled.shape[-2:])
    view: Tensor = _Normalised(pixel_format)(
        scaled[..., top : top + pixel_format.size, left : left + pixel_format.size]
    )
    return view


def _scaled(frames: Tensor, pixel_format: PixelFormat) -> Tensor:
    height, width = frames.shape[-2:]
    size, short = pixel_format.size, min(height, width)
    if short == size:
        return frames
    # As torchvision chooses: by bytes where torch does that as fast, else by floats.
    fast = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") or platform.machine() in ("aarch64", "arm64")
    in_bytes = fast or pixel_format.interpolation == "bicubic"
    scaled = interpolate(
        frames if in_bytes else frames.float(),
        size=[size * height // short, size * width // short],
        mode=pixel_format.interpolation,
        align_corners=False,
        antialias=True,
    )
    return scaled if in_bytes else scaled.round_().to(torch.uint8)


def augmented_view(
    frames: UInt8[np.ndarray, "frames height width 3"], pixel_format: PixelFormat, augment: AugmentConfig, *, seed: int
) -> Float[Tensor, "frames 3 size size"]:
    """Return a view drawn from `seed`: the same crop, flip, operations and erasing for all frames.

    torchvision draws from torch's global generator: no two threads of one process may do this at once.
    """
    with drawing_from(seed):
        view: Tensor = _augmentation(pixel_format, augment)(_channels_first(frames))
    return view


def _channels_first(frames: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.require(frames, requirements=["C", "W"])).permute(0, 3, 1, 2)


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
        num_magnitude_bins=STRONGEST + 1,
        interpolation=InterpolationMode.BILINEAR,
        fill=[255 * channel for channel in pixel_format.mean],
    )
    flip = [v2.RandomHorizontalFlip(_FLIP_PROBABILITY)] if augment.horizontal_flip else []
    operations = [v2.RandomApply([operation], _RAND_AUGMENT_PROBABILITY)] * augment.rand_augment_ops
    erase = v2.RandomErasing(augment.erase_probability, scale=_ERASED_AREA, ratio=_ERASED_RATIO, value="random")
    transform: nn.Module = v2.Compose([crop, *flip, *operations, _Normalised(pixel_format), erase])
    return transform


class _Normalised(nn.Module):
    """Frames of bytes as floats, by the mean and the deviation of each colour."""

    def __init__(self, pixel_format: PixelFormat) -> None:
        super().__init__()
        self._mean, self._std = (
            torch.tensor(of_colours).view(-1, 1, 1) for of_colours in (pixel_format.mean, pixel_format.std)
        )

    def forward(self, frames: Tensor) -> Tensor:
        # One plane for each colour, while pixels are bytes: arithmetic on three of them at a time is slow.
        return frames.contiguous().float().mul_(1 / 255).sub_(self._mean).div_(self._std)
