"""DER++'s terms against plain loops, its draws, and the logits in its memory."""

import math
from typing import Any

import pytest
import torch

from essential.contract.synthetic_tasks import make_tasks
from essential.methods.der import DER, logit_distance
from essential.seeded import torch_generator
from method_batches import SIZES, batch_of, second_task, values, weights

MEMORY: dict[str, Any] = {"name": "der", "exemplars_per_class": 3, "alpha": 0.3, "beta": 0.7}


def _second() -> tuple[DER, Any]:
    method, task = second_task(**MEMORY)
    assert isinstance(method, DER)
    return method, task


def _cross_entropy(rows: list[list[float]], slots: list[int]) -> float:
    losses = [math.log(sum(map(math.exp, row))) - row[slot] for row, slot in zip(rows, slots, strict=True)]
    return sum(losses) / len(losses)


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_the_terms_are_those_of_the_batch_and_of_two_draws() -> None:
    method, task = _second()
    batch = batch_of(method, task)
    terms = [*method.losses("task", batch, generator=torch_generator(5))]
    generator, memory = torch_generator(5), method.memory
    first, second = (torch.randperm(len(memory), generator=generator)[:6].tolist() for _ in range(2))
    assert first != second
    rows = method.classifier(memory.features).tolist()
    squares = [
        (rows[index][slot] - float(memory.logits[index, slot])) ** 2 for index in first for slot in range(SIZES[0])
    ]
    expected = {
        "classification": _cross_entropy(method.classifier(batch.features).tolist(), batch.slots.tolist()),
        "logit_distance": sum(squares) / len(squares),
        "rehearsal": _cross_entropy([rows[index] for index in second], memory.slots[second].tolist()),
    }
    assert values(terms) == pytest.approx(expected, rel=1e-4)
    assert weights(terms) == {"classification": 1.0, "logit_distance": 0.3, "rehearsal": 0.7}


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_only_logits_that_were_stored_are_compared() -> None:
    nan = math.nan
    stored = torch.tensor([[1.0, 2.0, nan], [0.0, 1.0, 4.0]])
    logits = torch.tensor([[2.0, 2.0, 9.0, 9.0], [0.0, 3.0, 1.0, 9.0]], requires_grad=True)
    distance = logit_distance(logits, stored)
    assert distance.item() == pytest.approx((1 + 0 + 0 + 4 + 9) / 5)
    distance.backward()
    expected = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 2.0, -3.0, 0.0]]) * 2 / 5
    assert logits.grad is not None
    assert torch.allclose(logits.grad, expected)


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_the_memory_holds_what_the_classifier_said_when_the_clip_was_stored() -> None:
    method, task = _second()
    assert method.memory.logits.shape == (9, 3)
    before = method.memory.logits.clone()
    method.finish(task)
    memory = method.memory
    old = memory.tasks == 0
    assert torch.equal(memory.logits[old, :3], before)
    assert memory.logits[old, 3:].isnan().all()
    with torch.no_grad():
        now = method.classifier(memory.features[~old])
    assert torch.allclose(memory.logits[~old], now, atol=1e-6)
    assert {entry.name: entry.bytes for entry in method.ledger()}["logits"] == 15 * 5 * now.element_size()


def test_the_first_task_draws_nothing() -> None:
    method, task = DER(_second()[0].config, dim=24, frames=8, seed=0), make_tasks(SIZES)[0]
    method.begin(task)
    generator = torch_generator(5)
    before = generator.get_state()
    terms = [*method.losses("task", batch_of(method, task), generator=generator)]
    assert [term.name for term in terms] == ["classification"]
    assert torch.equal(generator.get_state(), before)
