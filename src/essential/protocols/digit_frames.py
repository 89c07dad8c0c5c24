"""Real handwritten digits drawn into frames: scikit-learn's scans on a textured, noisy background.

The scans of each digit are divided once and for all into three disjoint sets: half for the embedded encoder, a third
for training clips, a sixth for test clips. The division depends on nothing but the digit, because the encoder's weights
are shipped.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8

from essential.protocols.digit_motion import Trajectory
from essential.seeding import numpy_generator

ScanSet = Literal["encoder", "train", "test"]
Scan = Float32[np.ndarray, "side side"]
Frames = UInt8[np.ndarray, "frames size size 3"]

_SCAN_SIDE = 64  # a scan of 8 x 8 is upscaled smoothly to this before it is moved


@dataclass(frozen=True)
class Scene:
    """Everything in a clip that is neither the digit nor its motion. Colours are RGB from 0 to 1."""

    background: Float32[np.ndarray, "size size 3"]
    colour: Float32[np.ndarray, "3"]
    grain: float  # standard deviation of the noise in each frame


@cache
def scans(digit: int, scan_set: ScanSet) -> Float32[np.ndarray, "scans side side"]:
    """Return the upscaled scans of `digit` in one of the three disjoint sets, values from 0 to 1."""
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    data = load_digits()
    images = data.images[data.target == digit].astype(np.float32) / 16.0
    order = numpy_generator("moving-digits scans", digit).permutation(len(images))
    half, two_thirds = len(order) // 2, len(order) // 2 + len(order) // 3
    chosen = {"encoder": order[:half], "train": order[half:two_thirds], "test": order[two_thirds:]}[scan_set]
    # The border keeps strokes that touch the scan's edge from being cut off.
    padded = np.pad(images[np.sort(chosen)], ((0, 0), (1, 1), (1, 1)))
    factor = _SCAN_SIDE / padded.shape[1]
    upscaled = [zoom(image, factor, order=3, mode="grid-constant", grid_mode=True) for image in padded]
    return np.asarray(np.clip(np.stack(upscaled), 0.0, 1.0), dtype=np.float32)


def draw_scene(generator: np.random.Generator, size: int) -> Scene:
    """Draw a dark, tinted background texture, the digit's brighter colour and the strength of the grain."""
    texture = 0.5 * _draw_texture(generator, 4, size) + 0.5 * _draw_texture(generator, 12, size)
    level, contrast = generator.uniform(0.2, 0.4), generator.uniform(0.04, 0.12)
    background = np.clip((level + contrast * texture)[..., None] * generator.uniform(0.8, 1.2, size=3), 0.0, 1.0)
    colour = np.clip(level + generator.uniform(0.2, 0.55) * generator.uniform(0.8, 1.2, size=3), 0.0, 1.0)
    grain = float(generator.uniform(0.015, 0.045))
    return Scene(background.astype(np.float32), colour.astype(np.float32), grain)


def draw_frames(scan: Scan, trajectory: Trajectory, scene: Scene, generator: np.random.Generator) -> Frames:
    """Draw the digit in each pose over the scene, with fresh grain in each frame."""
    size = len(scene.background)
    ink = draw_ink(scan, trajectory, size)[..., None]
    frames = scene.background + ink * (scene.colour - scene.background)
    grain = generator.standard_normal(ink.shape, dtype=np.float32)
    frames += np.float32(scene.grain) * grain
    return np.asarray(np.clip(frames * 255.0 + 0.5, 0.0, 255.0)).astype(np.uint8)


def _draw_texture(generator: np.random.Generator, cells: int, size: int) -> Float32[np.ndarray, "size size"]:
    from scipy.ndimage import zoom

    coarse = generator.standard_normal((cells, cells))
    return np.asarray(zoom(coarse, size / cells, order=3, mode="nearest", grid_mode=True), dtype=np.float32)


def draw_ink(scan: Scan, trajectory: Trajectory, size: int) -> Float32[np.ndarray, "frames size size"]:
    """Return how much of each pixel the digit covers: each pixel looks up its place in the scan."""
    from scipy.ndimage import map_coordinates

    pixel = (np.arange(size) + 0.5) / size
    right = pixel[None, None, :] - trajectory.x[:, None, None]
    down = pixel[None, :, None] - trajectory.y[:, None, None]
    scale = (_SCAN_SIDE / np.exp(trajectory.log_size))[:, None, None]
    cosine, sine = np.cos(trajectory.angle)[:, None, None], np.sin(trajectory.angle)[:, None, None]
    middle = (_SCAN_SIDE - 1) / 2
    column = scale * (cosine * right + sine * down) + middle
    row = scale * (cosine * down - sine * right) + middle
    ink = map_coordinates(scan, [row, column], order=1, mode="constant", output=np.float32)
    return np.asarray(ink * trajectory.strength[:, None, None].astype(np.float32))
