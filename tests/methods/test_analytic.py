"""The ridge classifier against the paper's recursion, which sees one task after the other."""

import pytest
import torch
from torch import Tensor

from essential.methods.analytic import Analytic, AnalyticConfig
from essential.methods.ridge import RidgeProblem
from pooled_tasks import PooledTask, learn_all, make_pool, pooled_tasks

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]


def _recursion(tasks: list[PooledTask], vectors_of: torch.nn.Module, ridge: float, width: int) -> Tensor:
    """Return the weights, the intercept last: the first task's in closed form, then Woodbury's recursion over tasks."""
    inverse, weight = torch.zeros(0), torch.zeros(width + 1, 0, dtype=torch.float64)
    for task in tasks:
        table = task.plain()
        clips = vectors_of(table.features)
        clips = torch.cat([clips, torch.ones(len(clips), 1, dtype=torch.float64)], dim=1)
        targets = torch.nn.functional.one_hot(table.slots, task.slots.stop).double()
        weight = torch.cat([weight, torch.zeros(width + 1, len(task.slots), dtype=torch.float64)], dim=1)
        if task.index == 0:
            penalty = torch.diag(torch.tensor([ridge] * width + [0.0], dtype=torch.float64))
            inverse = torch.linalg.inv(clips.T @ clips + penalty)
        else:
            gain = torch.linalg.inv(torch.eye(len(clips), dtype=torch.float64) + clips @ inverse @ clips.T)
            inverse = inverse - inverse @ clips.T @ gain @ clips @ inverse
        weight = weight + inverse @ clips.T @ (targets - clips @ weight)
    return weight


@pytest.mark.parametrize("clip", ["mean", "side-by-side"])
@pytest.mark.parametrize("ridge", [0.1, 5.0])
def test_it_is_the_recursion_over_tasks(clip: str, ridge: float) -> None:
    features, labels = make_pool()
    tasks = pooled_tasks(features, labels, range(6), [2, 3, 1])
    method = Analytic(AnalyticConfig(clip=clip, ridge=ridge), dim=5, frames=3, seed=0)
    learn_all(method, tasks)
    width = 5 if clip == "mean" else 15
    weight = _recursion(tasks, method.scores.vectors, ridge, width)
    tests = make_pool(seed=1)[0]
    expected = method.scores.vectors(tests) @ weight[:-1] + weight[-1]
    assert torch.allclose(method.predictor(tests), expected, atol=1e-5)


def test_the_ridge_is_chosen_anew_with_every_task() -> None:
    features, labels = make_pool()
    method = Analytic(AnalyticConfig(), dim=5, frames=3, seed=0)
    ridges = []
    for task in pooled_tasks(features, labels, range(6), [2, 4]):
        method.begin(task)
        method.finish(task)
        problem = RidgeProblem.of(method.statistics)
        ridges.append(problem.best_ridge())
        weight, bias = problem.solve(ridges[-1])
        torch.testing.assert_close(method.scores.weight, weight)
        torch.testing.assert_close(method.scores.bias, bias)
    assert ridges[0] != ridges[1]
