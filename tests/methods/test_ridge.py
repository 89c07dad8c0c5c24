"""The ridge regression from statistics, against the clips themselves: hat matrices, and left-out clips."""

import pytest
import torch
from torch import Tensor

from essential.methods.ridge import RidgeProblem
from essential.methods.statistics import ClassStatistics

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]


def _clips(classes: int, per_class: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(width)
    labels = torch.arange(classes).repeat_interleave(per_class)
    means = torch.randn(classes, width, generator=generator, dtype=torch.float64)
    noise = torch.randn(len(labels), width, generator=generator, dtype=torch.float64)
    return means[labels] + 3 + noise, labels


def _problem(clips: Tensor, labels: Tensor) -> RidgeProblem:
    statistics = ClassStatistics(clips.shape[1], bits=64)
    statistics.add([clips[labels == label] for label in range(int(labels.max()) + 1)])
    return RidgeProblem.of(statistics)


def _design(clips: Tensor) -> Tensor:
    return torch.cat([clips, torch.ones(len(clips), 1, dtype=torch.float64)], dim=1)


def _hat(clips: Tensor, ridge: float) -> Tensor:
    """Return the matrix that turns targets into fitted values, with an intercept that is not penalised."""
    design = _design(clips)
    penalty = ridge * torch.eye(design.shape[1], dtype=torch.float64)
    penalty[-1, -1] = 0
    return design @ torch.linalg.inv(design.T @ design + penalty) @ design.T


SHAPES = [(3, 20, 4), (4, 5, 40), (2, 2, 30)]


@pytest.mark.parametrize(("classes", "per_class", "width"), SHAPES)
@pytest.mark.parametrize("ridge", [0.01, 1.0, 300.0])
def test_the_fit_is_that_of_the_clips_themselves(classes: int, per_class: int, width: int, ridge: float) -> None:
    clips, labels = _clips(classes, per_class, width)
    weight, bias = _problem(clips, labels).solve(ridge)
    fitted = _hat(clips, ridge) @ torch.nn.functional.one_hot(labels).double()
    assert torch.allclose(clips @ weight.T + bias, fitted, atol=1e-5)


@pytest.mark.parametrize(("classes", "per_class", "width"), SHAPES)
def test_the_ridge_is_the_best_of_the_grid_by_cross_validation(classes: int, per_class: int, width: int) -> None:
    clips, labels = _clips(classes, per_class, width)
    targets = torch.nn.functional.one_hot(labels).double()
    chosen = _problem(clips, labels).best_ridge()
    scale = float((clips - clips.mean(dim=0)).square().sum()) / width
    # Directions among clips that are free of the intercept; the kernel in them has as many rows as there are.
    free = torch.linalg.qr(torch.cat([torch.ones(len(clips), 1), torch.eye(len(clips))], dim=1).double()).Q[:, 1:]
    kernel = free.T @ clips @ clips.T @ free

    def error(ridge: float) -> float:
        left = ridge * torch.linalg.inv(kernel + ridge * torch.eye(len(kernel), dtype=torch.float64))
        return float((left @ free.T @ targets).square().sum() / left.trace() ** 2)

    assert error(scale) == pytest.approx(_error_by_hat_matrix(clips, targets, scale))
    grid = {ridge: error(ridge) for ridge in (scale * 10 ** (tenth / 10) for tenth in range(-50, 31))}
    best = min(grid.values())
    assert chosen == pytest.approx(max(ridge for ridge, value in grid.items() if value <= best * (1 + 1e-6)), rel=1e-5)


def _error_by_hat_matrix(clips: Tensor, targets: Tensor, ridge: float) -> float:
    hat = _hat(clips, ridge)
    return float((targets - hat @ targets).square().sum() / (len(clips) - hat.trace()) ** 2)


def test_it_is_cross_validation_when_all_clips_weigh_the_same() -> None:
    # Clips at the corners of a cube, one of them mislabelled: every diagonal entry of the hat matrix is the same, and
    # then leaving out each clip in turn gives the generalised error exactly.
    signs = (1.0, -1.0)
    clips = torch.tensor([[a, b, c] for a in signs for b in signs for c in signs], dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1])
    targets = torch.nn.functional.one_hot(labels).double()

    def left_out(ridge: float) -> float:
        error = 0.0
        for clip in range(8):
            others = torch.arange(8) != clip
            design = _design(clips[others])
            penalty = torch.diag(torch.tensor([ridge, ridge, ridge, 0.0], dtype=torch.float64))
            weight = torch.linalg.solve(design.T @ design + penalty, design.T @ targets[others])
            error += float((targets[clip] - _design(clips)[clip] @ weight).square().sum())
        return error

    chosen = _problem(clips, labels).best_ridge()
    assert left_out(chosen) < min(left_out(chosen * factor) for factor in (0.5, 0.8, 1.25, 2.0))


def test_without_variance_the_scores_are_the_shares() -> None:
    # Numbers, and shares, whose means are not to the last bit what they are.
    clips = (torch.arange(1, 8, dtype=torch.float64) / 7).sqrt().expand(24, 7)
    labels = torch.tensor([0] * 7 + [1] * 12 + [2] * 5)
    problem = _problem(clips, labels)
    weight, bias = problem.solve(problem.best_ridge())
    shares = torch.tensor([7 / 24, 12 / 24, 5 / 24], dtype=torch.float64)
    assert torch.allclose((clips + 1) @ weight.T + bias, shares.expand(24, 3))


def test_one_class_of_one_clip_is_scored() -> None:
    problem = _problem(torch.tensor([[1.0, 2.0]], dtype=torch.float64), torch.tensor([0]))
    _, bias = problem.solve(problem.best_ridge())
    assert bias.tolist() == [1.0]
