"""iCaRL's losses against plain loops over clips and slots, and its rule of decision."""

import math
from typing import Any

import pytest
import torch

from essential.contract.synthetic_tasks import clips_of
from essential.methods.icarl import ICaRL
from essential.models.classifier import ClipClassifier, NearestMeans
from method_batches import SIZES, batch_of, second_task, values, weights

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]

MEMORY: dict[str, Any] = {"name": "icarl", "exemplars_per_class": 3}


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _binary(logit: float, target: float) -> float:
    return -target * math.log(_sigmoid(logit)) - (1 - target) * math.log(1 - _sigmoid(logit))


def _logits(classifier: ClipClassifier, features: torch.Tensor) -> list[list[float]]:
    rows: list[list[float]] = classifier(features).tolist()
    return rows


def _losses(reading: str) -> tuple[dict[str, float], list[list[float]], list[list[float]], list[int]]:
    method, task = second_task(**MEMORY, reading=reading)
    assert isinstance(method, ICaRL)
    batch = batch_of(method, task)
    terms = [*method.losses("mixed", batch, generator=torch.Generator())]
    teacher = method.network["teacher"]
    assert isinstance(teacher, ClipClassifier)
    old, new = _logits(teacher, batch.features), _logits(method.classifier, batch.features)
    slots = batch.slots.tolist()
    assert min(slots) < SIZES[0] <= max(slots)
    assert weights(terms) == {"classification": 1.0, "distillation": 1.0}
    return values(terms), old, new, slots


def test_the_papers_loss_is_binary_for_every_slot() -> None:
    terms, old, new, slots = _losses("paper")
    classification = distillation = 0.0
    for clip, slot in enumerate(slots):
        for column in range(SIZES[0]):
            distillation += _binary(new[clip][column], _sigmoid(old[clip][column]))
        for column in range(SIZES[0], sum(SIZES)):
            classification += _binary(new[clip][column], 1.0 if column == slot else 0.0)
    assert terms["classification"] == pytest.approx(classification / len(slots), rel=1e-5)
    assert terms["distillation"] == pytest.approx(distillation / len(slots), rel=1e-5)


def test_vclimbs_loss_is_cross_entropy_and_binary_for_old_slots() -> None:
    terms, old, new, slots = _losses("vclimb")
    classification = distillation = 0.0
    for clip, slot in enumerate(slots):
        classification += math.log(sum(math.exp(logit) for logit in new[clip])) - new[clip][slot]
        for column in range(SIZES[0]):
            distillation += _binary(new[clip][column], _sigmoid(old[clip][column]))
    assert terms["classification"] == pytest.approx(classification / len(slots), rel=1e-5)
    assert terms["distillation"] == pytest.approx(distillation / len(slots), rel=1e-5)


@torch.no_grad()
def test_decides_by_the_nearest_mean_of_exemplars() -> None:
    method, task = second_task(**MEMORY)
    method.finish(task)
    assert isinstance(method.predictor, NearestMeans)
    classifier, memory = method.predictor.classifier, method.memory
    clips = clips_of(torch.arange(5), seed=4)
    tokens = classifier.tokens(clips, torch.arange(8).expand(5, -1))
    stored = classifier.tokens(memory.features, memory.positions)
    for clip in range(5):
        distances = []
        for slot in range(5):
            members = [row / row.norm() for row, of in zip(stored, memory.slots.tolist(), strict=True) if of == slot]
            mean = sum(members, torch.zeros(24)) / len(members)
            distances.append(float((tokens[clip] / tokens[clip].norm() - mean / mean.norm()).square().sum()))
        # The squared distance of unit vectors is 2 - 2 * cosine.
        expected = [1 - distance / 2 for distance in distances]
        assert method.predictor(clips)[clip].tolist() == pytest.approx(expected, abs=1e-5)


def test_old_exemplars_are_cut_to_the_quota_in_the_order_of_choice() -> None:
    method, task = second_task(name="icarl", exemplars_per_class=None, total_exemplars=12)
    before = method.memory.names
    assert len(before) == 12
    method.finish(task)
    # 12 exemplars in all: 4 for each of 3 classes, then 2 for each of 5.
    assert torch.bincount(method.memory.slots).tolist() == [2] * 5
    kept = [before[4 * slot + rank] for slot in range(3) for rank in range(2)]
    assert list(method.memory.names[:6]) == kept


def test_nothing_of_the_teacher_is_left_after_the_task() -> None:
    method, task = second_task(**MEMORY)
    assert "teacher" in method.network
    method.finish(task)
    assert "teacher" not in method.network
