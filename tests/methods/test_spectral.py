"""Spectral: spectra and areas against loops, what areas do not see, budgets kept exactly, and odd clips."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from essential.errors import CheckpointError, ConfigError
from essential.memory.ledger import total_by_kind
from essential.methods.discriminant import chosen_shrinkage, expected_discriminant, shrunk
from essential.methods.spectral import Spectral, SpectralConfig, principal_directions
from essential.methods.statistics import ClassStatistics
from pooled_tasks import PooledTable, PooledTask, learn_all, make_pool, pooled_tasks

DIM, FRAMES = 20, 5


def _method(budget: int | None = None, *, dim: int = DIM, frames: int = FRAMES, bits: Any = 16) -> Spectral:
    config = SpectralConfig(budget_bytes=budget, statistics_bits=bits)
    return Spectral(config, dim=dim, frames=frames, seed=0)


def _learned(budget: int | None = None, *, sizes: tuple[int, ...] = (3, 2, 1), bits: Any = 16) -> Spectral:
    method = _method(budget, bits=bits)
    learn_all(method, pooled_tasks(*make_pool(frames=FRAMES, dim=DIM), range(6), sizes))
    return method


def _clips() -> Tensor:
    return make_pool(frames=FRAMES, dim=DIM, seed=1)[0]


def _bytes(method: Spectral) -> int:
    return total_by_kind(method.ledger())["total"]


@pytest.mark.numeric
def test_a_vector_is_the_spectrum_and_the_areas_of_loops_over_frames() -> None:
    vectors = _learned().vectors
    axes = vectors.directions.T
    for clip, vector in zip(_clips()[:3].double(), vectors(_clips()[:3]), strict=True):
        spectrum = []
        for k in range(4):
            size = math.sqrt((1 if k == 0 else 2) / FRAMES)
            turns = [size * math.cos(math.pi * k * (t + 0.5) / FRAMES) for t in range(FRAMES)]
            spectrum += sum(turn * frame for turn, frame in zip(turns, clip, strict=True)).tolist()
        along = [[float(axis @ frame) for axis in axes] for frame in clip]
        areas = [
            sum(now[i] * then[j] - now[j] * then[i] for now, then in pairwise(along))
            for j in range(len(axes))
            for i in range(j)
        ]
        torch.testing.assert_close(vector, torch.tensor(spectrum + areas, dtype=torch.float64), rtol=1e-9, atol=1e-9)


def test_a_task_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # With live features every reading decodes and encodes.
    read = []
    monkeypatch.setattr(PooledTask, "plain", lambda task: read.append(task.index) or task.clips)
    _learned(sizes=(4, 2))
    assert read == [0, 1]


@pytest.mark.numeric
def test_areas_change_neither_with_the_place_nor_with_the_speed_of_a_motion_and_turn_with_its_direction() -> None:
    clip = _clips()[:1]
    vectors = _learned().vectors

    def areas(frames: Tensor) -> Tensor:
        own = type(vectors)(type(vectors.spectrum)("dct", dim=DIM, frames=frames.shape[1], coefficients=4))
        own.load_state_dict(vectors.state_dict())
        return own(frames)[:, own.spectrum.width :]

    middles = torch.stack([clip[:, :-1], (clip[:, 1:] + clip[:, :-1]) / 2], dim=2).flatten(1, 2)
    slower = torch.cat([middles, clip[:, -1:]], dim=1)
    later = torch.cat([clip[:, :1], clip[:, :1], clip, clip[:, -1:]], dim=1)
    torch.testing.assert_close(areas(slower), areas(clip), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(areas(later), areas(clip))
    torch.testing.assert_close(areas(clip.flip(1)), -areas(clip))


@pytest.mark.numeric
def test_directions_hold_nearly_all_of_the_variance_that_so_many_can_hold() -> None:
    clips, labels = make_pool(classes=8, per_class=90, frames=FRAMES, dim=DIM)
    found = principal_directions(PooledTable(clips, labels), 3, torch.device("cpu"))
    frames = clips.double().flatten(0, 1) - clips.double().mean(dim=(0, 1))
    torch.testing.assert_close(found.T @ found, torch.eye(3, dtype=torch.float64))
    variances = torch.linalg.svdvals(frames).square()
    held = (frames @ found).square().sum(dim=0)
    assert float(held.sum()) > 0.98 * float(variances[:3].sum())
    assert held.tolist() == sorted(held.tolist(), reverse=True)


@pytest.mark.numeric
def test_signs_tell_the_directions_of_areas_once_and_for_all() -> None:
    first = pooled_tasks(*make_pool(frames=FRAMES, dim=DIM), range(6), (3, 3))
    method = _method()
    learn_all(method, first[:1])
    axes = method.vectors.directions.clone()
    whole = principal_directions(first[0].plain(), 16, torch.device("cpu"))
    torch.testing.assert_close(axes.T @ axes, torch.eye(16, dtype=torch.float64))
    # Signs made orthogonal to those before them: the span of the first ones is that of their signs.
    signs = torch.where(whole >= 0, 1.0, -1.0).double()
    torch.testing.assert_close(axes[:, 0], signs[:, 0] / math.sqrt(DIM))
    torch.testing.assert_close(axes @ (axes.T @ signs), signs)
    learn_all(method, first[1:])
    assert torch.equal(method.vectors.directions, axes)


@pytest.mark.numeric
def test_scores_are_discriminants_of_every_coefficient_and_of_the_areas() -> None:
    method = _learned(bits=64)
    clips, labels = make_pool(frames=FRAMES, dim=DIM)
    vectors, tested = method.vectors(clips), method.vectors(_clips())
    edges = [0, DIM, 2 * DIM, 3 * DIM, 4 * DIM, method.vectors.width]
    parts, apart = [], []
    for start, stop in pairwise(edges):
        statistics = ClassStatistics(stop - start, bits=64)
        statistics.add([vectors[labels == label][:, start:stop] for label in range(6)])
        (block,) = statistics.blocks()
        covariance = shrunk(block.covariance, chosen_shrinkage(block))
        weight, bias = expected_discriminant(block, covariance, chosen_shrinkage(block))
        parts.append(tested[:, start:stop] @ weight.T + bias)
        within = covariance.numpy()
        apart.append(sum(float(row @ within @ row) for row in weight.numpy()))
    silent = [distance <= 0.03 * max(apart) for distance in apart]
    expected = sum(part for part, nothing in zip(parts, silent, strict=True) if not nothing)
    torch.testing.assert_close(method.predictor(_clips()), expected)


@pytest.mark.parametrize("budget", [800, 1500, 3000, 6000, 40_000])
def test_a_budget_is_kept_after_every_task_and_used_where_there_is_more_to_keep(budget: int) -> None:
    method = _method(budget)
    for task in pooled_tasks(*make_pool(frames=FRAMES, dim=DIM), range(6), (2, 3, 1)):
        learn_all(method, [task])
        assert _bytes(method) <= budget
        assert method.predictor(_clips()).shape[1] == task.slots.stop
    assert _bytes(method) == _bytes(_learned()) or _bytes(method) > 0.8 * budget


def test_where_order_says_nothing_the_mean_gets_the_whole_budget() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(8).repeat_interleave(30)
    still = 3 * torch.randn(8, 1, DIM, generator=generator)[labels]
    clips = still + torch.randn(len(labels), FRAMES, DIM, generator=generator)
    method = _method(1600)
    learn_all(method, pooled_tasks(clips, labels, range(8), (4, 4)))
    assert method.statistics.form.blocks == 1
    assert method.statistics.form.rank == DIM
    assert method.areas.form.rank == 1
    moving = clips * torch.linspace(-1, 1, FRAMES)[:, None]
    method = _method(1600)
    learn_all(method, pooled_tasks(moving, labels, range(8), (4, 4)))
    assert method.statistics.form.blocks > 1


def test_the_smallest_budget_is_named_and_holds() -> None:
    with pytest.raises(
        ConfigError, match=r"^method.budget_bytes: 100 bytes do not hold 6 classes.* take (\d+)"
    ) as raised:
        _method(100).check_room(["clip"] * 6, tasks=2)
    least = int(str(raised.value).split("take ")[1].split(";")[0].split(".")[0])
    with pytest.raises(ConfigError, match=f"give {least} or more"):
        _method(least - 1).check_room(["clip"] * 6, tasks=2)
    _method(least).check_room(["clip"] * 6, tasks=2)
    method = _learned(least, sizes=(6,))
    assert _bytes(method) == least
    assert torch.isfinite(method.predictor(_clips())).all()


@pytest.mark.parametrize("budget", [None, 2000])
def test_a_state_is_taken_on_and_goes_on_the_same(budget: int | None) -> None:
    straight, resumed = _method(budget), _method(budget)
    for task in pooled_tasks(*make_pool(frames=FRAMES, dim=DIM), range(6), (2, 3, 1)):
        learn_all(straight, [task])
        learn_all(resumed, [task])
        state, resumed = resumed.state_dict(), _method(budget)
        resumed.load_state_dict(state)
        alone = _method(budget)
        alone.load_predictor(straight.predictor.state_dict())
        assert torch.equal(straight.predictor(_clips()), resumed.predictor(_clips()))
        assert torch.equal(straight.predictor(_clips()), alone.predictor(_clips()))


def test_a_state_of_other_frames_is_refused() -> None:
    state = _learned().state_dict()
    with pytest.raises(CheckpointError, match="does not fit"):
        _method(dim=DIM + 1).load_state_dict(state)


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("dim", [1, 2, 20])
@pytest.mark.parametrize("what", ["ordinary", "one clip per class", "equal within classes", "all equal", "all zero"])
def test_every_clip_is_scored(frames: int, dim: int, what: str) -> None:
    features, labels = make_pool(per_class=4, frames=frames, dim=dim)
    firsts = torch.stack([features[labels == label][0] for label in range(6)])
    if what == "one clip per class":
        features, labels = firsts, torch.arange(6)
    elif what == "equal within classes":
        features = firsts[labels]
    elif what != "ordinary":
        features = torch.full_like(features, 0.1 if what == "all equal" else 0.0)
    method = _method(dim=dim, frames=frames)
    for task in pooled_tasks(features, labels, range(6), (1, 2, 3)):
        learn_all(method, [task])
        scores = method.predictor(features)
        assert scores.shape == (len(features), task.slots.stop)
        assert torch.isfinite(scores).all()
    if dim == 20 and what in ("one clip per class", "equal within classes"):
        # Slots are labels here: the order of the classes is that of the pool.
        assert scores.argmax(dim=1).tolist() == labels.tolist()
