"""Moving digits: eight motions in four opposite pairs, and scikit-learn's scans drawn along them, on noise.

Both motions of a pair draw the same trajectory; the backward one plays it in reverse. So the poses of a pair have the
same distribution, and only their order in time separates the two classes. Nothing that is drawn may depend on the
direction.

The scans of each digit are divided into three disjoint sets: half for the embedded encoder, a third for training clips,
a sixth for test clips. The division depends on the digit alone, because the encoder's weights are shipped.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from essential.seeding import numpy_generator

ScanSet = Literal["encoder", "train", "test"]
Scan = Float32[np.ndarray, "side side"]
Frames = UInt8[np.ndarray, "frames size size 3"]
Poses = Float64[np.ndarray, "frames"]

_SCAN_SIDE = 64  # a scan of 8 x 8 is upscaled smoothly to this before it is moved
# (forward, backward) for each axis of motion. Turning right is clockwise as seen on the screen.
PAIRS = {
    "x": ("right", "left"),
    "y": ("down", "up"),
    "log_size": ("grow", "shrink"),
    "angle": ("turn-right", "turn-left"),
}
MOTIONS = tuple(motion for pair in PAIRS.values() for motion in pair)

# How far a motion goes along its own axis, and where its middle lies: fractions of the frame's side, a ratio of sizes,
# radians. The middles are the same for all motions, so that no single frame gives the axis away.
_RANGES = {
    "x": ((0.18, 0.30), (0.40, 0.60)),
    "y": ((0.18, 0.30), (0.40, 0.60)),
    "log_size": ((math.log(1.26), math.log(1.58)), (math.log(0.45), math.log(0.62))),
    "angle": ((math.radians(30), math.radians(56)), (math.radians(-20), math.radians(20))),
}
# The other axes drift at random, either way, by at most this part of a full motion.
_DRIFT = 0.5
# An untrimmed clip: the part of it in which the digit moves, and how strong the digit is while it rests.
_ACTIVE = (0.35, 0.60)
_RESTING_STRENGTH = 0.4


@dataclass(frozen=True)
class Trajectory:
    """A digit's pose in each frame; lengths are fractions of the frame's side."""

    x: Poses  # the centre, from the left
    y: Poses  # from the top
    log_size: Poses  # the logarithm of its side
    angle: Poses  # in radians, clockwise
    strength: Poses  # how much of the background it covers, up to 1


def draw_progress(generator: np.random.Generator, frames: int, *, untrimmed: bool = False) -> tuple[Poses, Poses]:
    """Draw how much of a motion is done in each frame, from 0 to 1, and how strong the digit is there, up to 1.

    The motion never goes backward and has a random varying speed. It fills the clip, at full strength.

    An untrimmed one fills 35% to 60% of the clip, anywhere; before and after it the digit is still and faint. (At full
    strength the still ends would show where the motion starts and ends, which was measured to make clips easier.)
    """
    if not untrimmed:
        return _draw_rise(generator, frames), np.ones(frames)
    active = round(frames * generator.uniform(*_ACTIVE))
    before = int(generator.integers(0, frames - active + 1))
    done, strength = np.zeros(frames), np.full(frames, _RESTING_STRENGTH)
    done[before : before + active] = _draw_rise(generator, active)
    done[before + active :] = 1.0
    strength[before : before + active] = 1.0
    return done, strength


def draw_trajectory(motion: str, generator: np.random.Generator, *, progress: tuple[Poses, Poses]) -> Trajectory:
    """Draw the poses of one clip of `motion`, one of `MOTIONS`, for a drawn `progress`.

    The backward motion of a pair is the forward one, drawn alike, in reverse order.
    """
    axis = next(axis for axis, pair in PAIRS.items() if motion in pair)
    done, strength = progress
    values = {name: _draw_axis(name, generator, done, moving=name == axis) for name in PAIRS}
    values["strength"] = strength
    if motion == PAIRS[axis][1]:
        values = {name: value[::-1].copy() for name, value in values.items()}
    return Trajectory(**values)


def _draw_rise(generator: np.random.Generator, frames: int) -> Poses:
    time = np.linspace(0.0, 1.0, frames)
    wave, skew = generator.uniform(-0.45, 0.45, size=2)
    # The speed 1 + wave cos(2 pi t) + skew (1 - 2 t) stays above 0.1.
    return np.asarray(time + wave * np.sin(2 * np.pi * time) / (2 * np.pi) + skew * time * (1 - time))


def _draw_axis(axis: str, generator: np.random.Generator, done: Poses, *, moving: bool) -> Poses:
    extents, middles = _RANGES[axis]
    middle, extent = generator.uniform(*middles), generator.uniform(*extents)
    share = 1.0 if moving else generator.uniform(-_DRIFT, _DRIFT)
    return np.asarray(middle + share * extent * (done - 0.5))


@dataclass(frozen=True)
class Scene:
    """The background, the digit's colour and the noise of a clip. Colours are RGB from 0 to 1."""

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
    """Return how much of each pixel the digit covers."""
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
