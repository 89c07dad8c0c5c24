"""Classes of one clip beside classes of many: what the mathematics of Gaussians says that must come out."""

import pytest
import torch

from essential.methods.slda import Slda, SldaConfig
from pooled_tasks import PooledTable, PooledTask

pytestmark = pytest.mark.numeric

CLASSES, WIDTH, BETWEEN = 12, 400, 0.3


def _accuracy(counts: list[int], *, means: str) -> tuple[float, float]:
    """Return the accuracy on the first half of the classes, and on the other, for clips of unit noise."""
    generator = torch.Generator().manual_seed(3)
    centres = BETWEEN**0.5 * torch.randn(CLASSES, 1, WIDTH, generator=generator)

    def draw(counts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.arange(CLASSES).repeat_interleave(torch.tensor(counts))
        return centres[labels] + torch.randn(len(labels), 1, WIDTH, generator=generator), labels

    method = Slda(SldaConfig(means=means, shrinkage=1.0), dim=WIDTH, frames=1, seed=0)
    task = PooledTask(0, range(CLASSES), PooledTable(*draw(counts)))
    method.begin(task)
    method.finish(task)
    features, labels = draw([40] * CLASSES)
    right = (method.predictor(features).argmax(dim=1) == labels).float()
    return float(right[labels < CLASSES // 2].mean()), float(right[labels >= CLASSES // 2].mean())


def test_a_class_of_one_clip_is_found() -> None:
    # With classes that differ by a variance b in each of D dimensions, and unit noise, the score of a clip's own class,
    # of one clip, beats that of a class of many by D (2 b - 1) / 2 on average: -80, with a deviation of about 25. With
    # the expected mean, b / (b + 1) of the way, it is D b (b / (b + 1) + 1) / 2 = 74, with about 12; another of one
    # clip it beats by D b b / (b + 1) = 28, with about 8.
    counts = [1] * (CLASSES // 2) + [40] * (CLASSES // 2)
    few, many = _accuracy(counts, means="plain")
    assert few < 0.05
    better, still = _accuracy(counts, means="expected")
    assert better > 0.9
    assert still >= many - 0.005


def test_equal_counts_lose_nothing() -> None:
    plain, expected = (sum(_accuracy([10] * CLASSES, means=means)) / 2 for means in ("plain", "expected"))
    assert expected >= plain - 0.005
