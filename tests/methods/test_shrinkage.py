"""Shrunk covariances: Ledoit and Wolf's choice against scikit-learn's and against loops over the clips."""

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf as sklearn_ledoit_wolf

from essential.methods.discriminant import chosen_shrinkage, ledoit_wolf, noise_within, shrunk
from essential.methods.statistics import ClassStatistics

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]


def _clips(count: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    mixing = torch.randn(width, width, generator=generator, dtype=torch.float64)
    return torch.randn(count, width, generator=generator, dtype=torch.float64) @ mixing


def _chosen(clips: torch.Tensor) -> float:
    fourth = float(clips.square().sum(dim=1).square().sum())
    return ledoit_wolf(clips.T @ clips / len(clips), fourth, clips=len(clips))


@pytest.mark.parametrize(("count", "width"), [(4, 9), (20, 6), (500, 3)])
def test_the_choice_is_that_of_scikit_learn(count: int, width: int) -> None:
    clips = _clips(count, width)
    covariance, expected = sklearn_ledoit_wolf(clips.numpy(), assume_centered=True)
    assert 0 < expected < 1
    assert _chosen(clips) == pytest.approx(expected, rel=1e-9)
    assert np.allclose(shrunk(clips.T @ clips / count, expected), covariance)


def test_the_choice_is_that_of_loops_over_the_clips() -> None:
    clips = _clips(12, 5).tolist()
    mean = [[sum(x[i] * x[j] for x in clips) / 12 for j in range(5)] for i in range(5)]
    variance = sum(mean[i][i] for i in range(5)) / 5
    distance = sum((mean[i][j] - variance * (i == j)) ** 2 for i in range(5) for j in range(5))
    error = sum((x[i] * x[j] - mean[i][j]) ** 2 for x in clips for i in range(5) for j in range(5)) / 12**2
    assert _chosen(torch.tensor(clips, dtype=torch.float64)) == pytest.approx(min(error / distance, 1.0))


def test_two_opposite_clips_ask_for_no_shrinkage_and_one_number_for_whatever() -> None:
    clip = torch.tensor([[1.0, 2.0, -1.0]], dtype=torch.float64)
    assert _chosen(torch.cat([clip, -clip])) == pytest.approx(0.0, abs=1e-12)
    assert 0 <= _chosen(_clips(6, 1)) <= 1


def test_the_mean_variance_stays() -> None:
    clips = _clips(20, 6)
    covariance = clips.T @ clips / 20
    assert shrunk(covariance, 0.3).trace() == pytest.approx(float(covariance.trace()))
    assert torch.allclose(shrunk(covariance, 1.0), torch.eye(6).double() * covariance.trace() / 6)


def test_no_variance_gives_the_identity() -> None:
    none = torch.zeros(3, 3, dtype=torch.float64)
    assert torch.equal(shrunk(none, 0.5), torch.eye(3, dtype=torch.float64))
    assert torch.equal(shrunk(none + 1e-30, 0.5, negligible=1e-20), torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize(("classes", "per_class", "width"), [(30, 5, 64), (10, 20, 40), (4, 10, 60)])
def test_the_noise_is_that_of_clips_that_were_not_learned_from(classes: int, per_class: int, width: int) -> None:
    generator = torch.Generator().manual_seed(width)
    mixing = torch.randn(width, width, generator=generator) / torch.arange(1, width + 1)
    statistics = ClassStatistics(width, bits=64)
    statistics.add(torch.randn(classes, per_class, width, generator=generator) @ mixing)
    (block,) = statistics.blocks()
    shrinkage = chosen_shrinkage(block)
    factor = torch.linalg.cholesky(shrunk(block.covariance, shrinkage))
    fresh = torch.randn(4000, width, generator=generator) @ mixing
    expected = float(torch.linalg.solve_triangular(factor, fresh.T, upper=False).square().mean())
    measured = float(torch.cholesky_solve(block.covariance, factor).trace()) / width
    freedom = classes * per_class / (classes * per_class - classes)
    assert measured * freedom < 0.85 * expected
    assert noise_within(block, factor, shrinkage) == pytest.approx(expected, rel=0.1)
