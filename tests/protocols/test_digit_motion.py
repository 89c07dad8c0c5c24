"""Motions: directions, opposite pairs that are each other's time reversal, and untrimmed clips."""

import numpy as np
import pytest

from essential.protocols.digit_frames import (
    MOTIONS,
    PAIRS,
    Trajectory,
    draw_frames,
    draw_ink,
    draw_progress,
    draw_scene,
    draw_trajectory,
    scans,
)
from essential.seeding import numpy_generator

AXES = tuple(PAIRS)
SIDE = 64


def drawn(motion: str, seed: int) -> Trajectory:
    generator = numpy_generator("test", seed)
    return draw_trajectory(motion, generator, progress=draw_progress(generator, 20, untrimmed=bool(seed % 2)))


def still(*, x: float = 0.5, y: float = 0.5, side: float = 0.5, angle: float = 0.0) -> Trajectory:
    return Trajectory(*(np.array([value]) for value in (x, y, np.log(side), angle, 1.0)))


def test_there_are_eight_motions_in_four_pairs() -> None:
    assert len(MOTIONS) == 8
    assert len(set(MOTIONS)) == 8
    assert set(PAIRS.values()) == {("right", "left"), ("down", "up"), ("grow", "shrink"), ("turn-right", "turn-left")}


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("seed", range(20))
def test_opposite_motions_are_each_others_exact_time_reversal(axis: str, seed: int) -> None:
    forward, backward = (drawn(motion, seed) for motion in PAIRS[axis])
    for name in (*AXES, "strength"):
        np.testing.assert_array_equal(getattr(forward, name), getattr(backward, name)[::-1])


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("seed", range(20))
def test_a_motion_goes_its_way_and_moves_most_along_its_own_axis(axis: str, seed: int) -> None:
    forward = drawn(PAIRS[axis][0], seed)
    assert (np.diff(getattr(forward, axis)) >= 0).all()
    # Ranges relative to the least full extent of each axis: a drift is at most half of the greatest.
    least = {"x": 0.18, "y": 0.18, "log_size": np.log(1.26), "angle": np.radians(30)}
    moved = {name: np.ptp(getattr(forward, name)) / least[name] for name in AXES}
    assert moved[axis] >= 1 - 1e-9
    assert all(moved[name] < 1 for name in AXES if name != axis)


@pytest.mark.parametrize("seed", range(20))
def test_progress_rises_from_none_to_all(seed: int) -> None:
    progress, strength = draw_progress(numpy_generator("progress", seed), 30)
    assert (strength == 1).all()
    assert progress[0] == 0.0
    assert progress[-1] == pytest.approx(1.0)
    assert (np.diff(progress) > 0).all()


def test_untrimmed_motion_fills_a_random_part_between_two_still_ones() -> None:
    starts, shares = [], []
    for seed in range(200):
        progress, strength = draw_progress(numpy_generator("untrimmed", seed), 100, untrimmed=True)
        moving = np.flatnonzero(np.diff(progress) > 0)
        assert (np.diff(moving) == 1).all()
        assert (progress[: moving[0] + 1] == 0).all()
        assert progress[moving[-1] + 1 :] == pytest.approx(1.0)
        assert (strength[moving[1:]] == 1).all()
        assert (strength[: moving[0]] == 0.4).all()
        assert (strength[moving[-1] + 2 :] == 0.4).all()
        starts.append(moving[0])
        shares.append(len(moving) / 100)
    assert 0.33 <= min(shares) < 0.38
    assert 0.57 < max(shares) <= 0.61
    assert min(starts) < 5
    assert max(starts) > 50


@pytest.mark.parametrize(("x", "y"), [(0.5, 0.5), (0.3, 0.6), (0.7, 0.4)])
def test_ink_lies_where_the_pose_says(x: float, y: float) -> None:
    ink = draw_ink(np.ones((64, 64), np.float32), still(x=x, y=y, side=0.25), SIDE)[0]
    rows, columns = np.indices(ink.shape)
    assert (columns * ink).sum() / ink.sum() + 0.5 == pytest.approx(x * SIDE, abs=0.6)
    assert (rows * ink).sum() / ink.sum() + 0.5 == pytest.approx(y * SIDE, abs=0.6)
    assert ink.sum() == pytest.approx((0.25 * SIDE) ** 2, rel=0.15)


def test_a_positive_angle_turns_clockwise_on_the_screen() -> None:
    scan = np.zeros((64, 64), np.float32)
    scan[4:12, 28:36] = 1.0  # a spot at the top
    ink = draw_ink(scan, still(side=1.0, angle=np.pi / 2), SIDE)[0]
    rows, columns = np.nonzero(ink > 0.5)
    assert columns.mean() > 50  # is at the right after a quarter turn
    assert rows.mean() == pytest.approx(31.5, abs=1)


def test_the_three_sets_of_scans_are_disjoint_and_complete() -> None:
    for digit in (0, 2, 9):
        parts = [scans(digit, name) for name in ("encoder", "train", "test")]
        distinct = {scan.tobytes() for part in parts for scan in part}
        total = sum(len(part) for part in parts)
        assert len(distinct) == total
        assert total == {0: 178, 2: 177, 9: 180}[digit]
        assert len(parts[0]) == total // 2
        assert len(parts[1]) == total // 3


def test_frames_show_the_digit_brighter_than_the_background_with_fresh_grain() -> None:
    generator = numpy_generator("frames")
    scene = draw_scene(generator, SIDE)
    poses = Trajectory(*(np.repeat(getattr(still(side=0.6), name), 2) for name in (*AXES, "strength")))
    scan = scans(2, "train")[0]
    frames = draw_frames(scan, poses, scene, generator)
    assert frames.shape == (2, SIDE, SIDE, 3)
    assert frames.dtype == np.uint8
    ink = draw_ink(scan, poses, SIDE)[0]
    assert frames[0][ink > 0.9].mean() > frames[0][ink == 0].mean() + 20
    assert 0 < np.abs(frames[0].astype(int) - frames[1]).mean() < 25
