"""BiC: what is held out, its losses against plain loops, and the pairs' part in the scores."""

import math
from typing import Any

import pytest
import torch

from essential.contract.synthetic_tasks import SyntheticTask, clips_of, make_tasks
from essential.methods.bic import BiC, held_out_quotas, hold_out
from essential.models.classifier import BiasCorrected
from essential.seeded import torch_generator
from method_batches import SIZES, batch_of, second_task, stir, values, weights

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]

MEMORY: dict[str, Any] = {"name": "bic", "exemplars_per_class": 5, "held_out_share": 0.4}


def _second(**settings: Any) -> tuple[BiC, SyntheticTask]:
    method, task = second_task(**(MEMORY | settings))
    assert isinstance(method, BiC)
    return method, task


def test_holds_out_its_quota_of_every_slot_and_keeps_one_to_learn_from() -> None:
    slots = torch.tensor([2, 0, 1, 1, 0, 2, 1, 3, 1, 1])
    learned, held = hold_out(slots, torch.tensor([1, 2, 5, 3]), generator=torch_generator(0))
    assert torch.bincount(slots[held]).tolist() == [1, 2, 1, 1]
    assert torch.bincount(slots[learned]).tolist() == [1, 3, 1, 1]
    # The one clip of slot 3 is in both.
    assert set(learned.tolist()) & set(held.tolist()) == {7}
    assert set(learned.tolist()) | set(held.tolist()) == set(range(10))
    draws = {
        tuple(hold_out(slots, torch.tensor([1, 2, 5, 3]), generator=torch_generator(i))[1].tolist()) for i in range(9)
    }
    assert len(draws) > 1


@pytest.mark.parametrize(
    ("exemplars", "share", "quotas"),
    [
        ([20, 20], 0.1, [2, 2, 2, 2, 2]),
        ([5, 5], 0.1, [1, 1, 1, 1, 1]),
        ([20, 10], 0.4, [8, 4, 6, 6, 6]),
    ],
)
def test_new_slots_hold_out_as_many_as_old_ones(exemplars: list[int], share: float, quotas: list[int]) -> None:
    assert held_out_quotas(torch.tensor(exemplars), range(2, 5), share=share).tolist() == quotas


def test_the_parts_are_the_same_in_every_epoch_and_share_no_clip() -> None:
    method, task = _second()
    mixed, bias = method.stages(task)
    seen = [[stage.data().epoch(epoch) for epoch in (0, 2)] for stage in (mixed, bias)]
    for first, later in seen:
        assert first.names == later.names
        assert torch.equal(first.slots, later.slots)
        assert torch.equal(first.slots, first.rows(torch.arange(len(first))).slots)
    learned, held = seen[0][0], seen[1][0]
    assert torch.bincount(held.slots).tolist() == [2, 2, 2, 2, 2]
    assert not set(learned.names) & set(held.names)
    assert len(learned) + len(held) == 3 * 5 + 2 * task.per_class


def test_the_losses_of_the_mixed_stage() -> None:
    method, task = _second(reading="vclimb")
    batch, (old_slots, _) = batch_of(method, task), SIZES
    terms = [*method.losses("mixed", batch, generator=torch.Generator())]
    teacher = method.network["teacher"]
    assert isinstance(teacher, BiasCorrected)
    now, before = method.predictor(batch.features).tolist(), teacher(batch.features).tolist()
    classification = distillation = 0.0
    for clip, slot in enumerate(batch.slots.tolist()):
        classification += math.log(sum(map(math.exp, now[clip]))) - now[clip][slot]
        of_teacher = [math.exp(logit / 2) for logit in before[clip]]
        of_student = [math.exp(logit / 2) for logit in now[clip][:old_slots]]
        for taught, said in zip(of_teacher, of_student, strict=True):
            distillation -= taught / sum(of_teacher) * math.log(said / sum(of_student))
    expected = {"classification": classification / 6, "distillation": distillation / 6}
    assert values(terms) == pytest.approx(expected, rel=1e-4)
    assert weights(terms) == pytest.approx({"classification": 2 / 5, "distillation": 3 / 5})


@pytest.mark.parametrize(("reading", "old_pair"), [("paper", (1.0, 0.0)), ("vclimb", (0.5, -1.0))])
def test_scores_are_corrected_slot_by_slot_and_the_teacher_as_it_was(
    reading: str, old_pair: tuple[float, float]
) -> None:
    first, second, third = make_tasks((2, 2, 1))
    method = BiC(_second(reading=reading)[0].config, dim=24, frames=8, seed=0)
    method.begin(first)
    stir(method.classifier)
    method.finish(first)
    method.begin(second)
    with torch.no_grad():
        method.corrected.pairs[1].get_parameter("alpha").fill_(0.5)
        method.corrected.pairs[1].get_parameter("beta").fill_(-1.0)
    method.network.eval()
    clips = clips_of(torch.arange(4))
    raw, scores = method.classifier(clips), method.predictor(clips)
    assert torch.equal(scores[:, :2], raw[:, :2])
    assert torch.allclose(scores[:, 2:], 0.5 * raw[:, 2:] - 1)
    method.finish(second)
    method.begin(third)
    method.network.eval()
    assert torch.equal(method.network["teacher"](clips), scores)
    alpha, beta = old_pair
    raw, corrected = method.classifier(clips), method.predictor(clips)
    assert torch.allclose(corrected[:, 2:4], alpha * raw[:, 2:4] + beta)
    assert torch.equal(corrected[:, [0, 1, 4]], raw[:, [0, 1, 4]])


def test_the_bias_stage_trains_the_newest_pair_alone() -> None:
    method, task = _second()
    stage = method.stages(task)[1]
    assert list(stage.trains) == [method.corrected.pairs[1]]
    batch = batch_of(method, task)
    terms = [*method.losses("bias", batch, generator=torch.Generator())]
    rows = method.predictor(batch.features).tolist()
    expected = sum(
        math.log(sum(map(math.exp, row))) - row[slot] for row, slot in zip(rows, batch.slots.tolist(), strict=True)
    )
    assert values(terms) == {"bias": pytest.approx(expected / 6, rel=1e-4)}
    assert weights(terms) == {"bias": 1.0}


def test_the_first_task_has_no_bias_stage() -> None:
    method, task = BiC(_second()[0].config, dim=24, frames=8, seed=0), make_tasks(SIZES)[0]
    method.begin(task)
    (stage,) = method.stages(task)
    assert stage.name == "mixed"
    assert len(stage.data().epoch(0)) == 3 * task.per_class
