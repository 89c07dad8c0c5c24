"""How a moving digit moves: eight motions in four opposite pairs, as poses over time.

Both motions of a pair draw the same trajectory; the backward one then plays it from its end. So for a pair the
set of poses has one and the same distribution, and only their order in time tells the two classes apart.
Nothing below depends on the direction, and nothing may.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

Poses = Float64[np.ndarray, "frames"]

# (forward, backward) for each axis of motion. Turning right is clockwise as seen on the screen.
PAIRS = {
    "x": ("right", "left"),
    "y": ("down", "up"),
    "log_size": ("grow", "shrink"),
    "angle": ("turn-right", "turn-left"),
}
MOTIONS = tuple(motion for pair in PAIRS.values() for motion in pair)

# How far a motion goes along its own axis, from its first to its last frame: fractions of the frame's side,
# a ratio of sizes, radians.
_EXTENTS = {
    "x": (0.18, 0.30),
    "y": (0.18, 0.30),
    "log_size": (math.log(1.26), math.log(1.58)),
    "angle": (math.radians(30), math.radians(56)),
}
# Where the middle of a motion lies, the same for all motions so that a still frame does not give away the axis.
_MIDDLES = {
    "x": (0.40, 0.60),
    "y": (0.40, 0.60),
    "log_size": (math.log(0.45), math.log(0.62)),
    "angle": (math.radians(-20), math.radians(20)),
}
# The other axes drift at random, either way, by at most this part of a full motion.
_DRIFT = 0.5
# An untrimmed clip: the part of it in which the digit moves, and how strong the digit is while it rests.
_ACTIVE = (0.35, 0.60)
_RESTING_STRENGTH = 0.4


@dataclass(frozen=True)
class Progress:
    """How much of a motion is done in each frame, from 0 to 1, and how strong the digit is there, up to 1."""

    done: Poses
    strength: Poses


@dataclass(frozen=True)
class Trajectory:
    """A digit's pose in each frame.

    `x` and `y` are its centre from the left and the top, and `exp(log_size)` its side, as fractions of the frame's
    side; `angle` is in radians, clockwise; `strength` is how much of the background it covers, up to 1.
    """

    x: Poses
    y: Poses
    log_size: Poses
    angle: Poses
    strength: Poses


def draw_progress(generator: np.random.Generator, frames: int) -> Progress:
    """Draw a motion that fills the clip, at full strength: never backward, at a random varying speed."""
    return Progress(_draw_rise(generator, frames), np.ones(frames))


def draw_untrimmed_progress(generator: np.random.Generator, frames: int) -> Progress:
    """Draw a motion that fills 35% to 60% of the clip, anywhere; before and after the digit is still and faint.

    At full strength the still ends would show start and goal of the motion at fixed positions, and such clips were
    measured to be easier than those that the motion fills.
    """
    active = round(frames * generator.uniform(*_ACTIVE))
    before = int(generator.integers(0, frames - active + 1))
    done, strength = np.zeros(frames), np.full(frames, _RESTING_STRENGTH)
    done[before : before + active] = _draw_rise(generator, active)
    done[before + active :] = 1.0
    strength[before : before + active] = 1.0
    return Progress(done, strength)


def draw_trajectory(motion: str, generator: np.random.Generator, *, progress: Progress) -> Trajectory:
    """Draw the poses of one clip of `motion`, one of `MOTIONS`, for a drawn `progress`.

    The backward motion of a pair is the forward one, drawn alike, in reverse order.
    """
    axis = next(axis for axis, pair in PAIRS.items() if motion in pair)
    values = {name: _draw_axis(name, generator, progress.done, moving=name == axis) for name in PAIRS}
    values["strength"] = progress.strength
    if motion == PAIRS[axis][1]:
        values = {name: value[::-1].copy() for name, value in values.items()}
    return Trajectory(**values)


def _draw_rise(generator: np.random.Generator, frames: int) -> Poses:
    time = np.linspace(0.0, 1.0, frames)
    wave, skew = generator.uniform(-0.45, 0.45, size=2)
    # The speed 1 + wave cos(2 pi t) + skew (1 - 2 t) stays above 0.1.
    return np.asarray(time + wave * np.sin(2 * np.pi * time) / (2 * np.pi) + skew * time * (1 - time))


def _draw_axis(axis: str, generator: np.random.Generator, done: Poses, *, moving: bool) -> Poses:
    middle = generator.uniform(*_MIDDLES[axis])
    extent = generator.uniform(*_EXTENTS[axis])
    share = 1.0 if moving else generator.uniform(-_DRIFT, _DRIFT)
    return np.asarray(middle + share * extent * (done - 0.5))
