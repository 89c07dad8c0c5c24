"""UCIR: the cosine head, its three terms against plain loops, and imprinted directions."""

import math
from typing import Any

import pytest
import torch

from essential.contract.synthetic_tasks import make_tasks
from essential.methods.ucir import UCIR, UCIRConfig, margin_ranking
from essential.models.classifier import ClipClassifier, CosineHead
from essential.seeded import torch_generator
from method_batches import SIZES, batch_of, second_task, values, weights

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]

MEMORY: dict[str, Any] = {"name": "ucir", "exemplars_per_class": 3, "less_forget": 4.0, "margin": 0.4, "ranking": 0.5}


def _cosine(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def test_the_head_gives_scaled_cosines_and_keeps_its_rows_when_it_grows() -> None:
    head = CosineHead(4, scale=3.0)
    head.grow(2, generator=torch_generator(0))
    before = head.weight.detach().clone()
    head.grow(3, generator=torch_generator(1))
    assert head.slots == 5
    assert torch.equal(head.weight[:2], before)
    tokens = torch.randn(3, 4, generator=torch_generator(2))
    expected = [[3 * _cosine(token, row) for row in head.weight.tolist()] for token in tokens.tolist()]
    for logits, row in zip(head(tokens).tolist(), expected, strict=True):
        assert logits == pytest.approx(row, abs=1e-5)


def test_the_terms() -> None:
    method, task = second_task(**MEMORY)
    assert isinstance(method, UCIR)
    batch, (old, new) = batch_of(method, task), SIZES
    terms = [*method.losses("mixed", batch, generator=torch.Generator())]
    teacher = method.network["teacher"]
    assert isinstance(teacher, ClipClassifier)
    scale, weight = method.head.scale.item(), method.head.weight.tolist()
    tokens = method.classifier.tokens(batch.features, batch.positions).tolist()
    before = teacher.tokens(batch.features, batch.positions).tolist()
    classification, forgotten, shortfalls, exemplars = 0.0, 0.0, 0.0, 0
    for token, then, slot in zip(tokens, before, batch.slots.tolist(), strict=True):
        cosines = [_cosine(token, row) for row in weight]
        classification += math.log(sum(math.exp(scale * c) for c in cosines)) - scale * cosines[slot]
        forgotten += 1 - _cosine(token, then)
        if slot < old:
            exemplars += 1
            shortfalls += sum(max(0.0, 0.4 - cosines[slot] + cosines[old + other]) for other in range(new))
    assert 0 < exemplars < 6
    expected = {
        "classification": classification / 6,
        "less_forget": forgotten / 6,
        "ranking": shortfalls / exemplars,
    }
    assert values(terms) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert weights(terms) == pytest.approx({"classification": 1.0, "less_forget": 4 * math.sqrt(3 / 2), "ranking": 0.5})


def test_ranking_looks_at_the_nearest_new_slots_alone() -> None:
    cosines = torch.tensor([[0.6, 0.1, 0.5, 0.2, 0.4], [0.0, 0.9, 0.3, -0.2, 0.35], [0.2, 0.2, 0.9, 0.9, 0.9]])
    slots = torch.tensor([0, 1, 3])
    # Clip 0: 0.5 - 0.6 + 0.5 and 0.5 - 0.6 + 0.4; clip 1: all below 0; clip 2 is no exemplar.
    assert margin_ranking(cosines, slots, 2, margin=0.5, nearest=2).item() == pytest.approx((0.4 + 0.3) / 2)
    assert margin_ranking(cosines, slots, 2, margin=0.5, nearest=9).item() == pytest.approx((0.4 + 0.3 + 0.1) / 2)
    assert margin_ranking(cosines[2:], slots[2:], 2, margin=0.5, nearest=2).item() == 0


def test_new_directions_are_the_mean_tokens_of_their_clips_and_as_long_as_the_old() -> None:
    first, second = make_tasks(SIZES)
    config = UCIRConfig.model_validate(MEMORY | {"classifier": {"heads": 4}})
    method = UCIR(config, dim=24, frames=8, seed=0)
    method.begin(first)
    method.finish(first)
    method.begin(second)
    teacher, table = method.network["teacher"], second.plain()
    assert isinstance(teacher, ClipClassifier)
    batch = table.rows(torch.arange(len(table)))
    with torch.no_grad():
        tokens = teacher.tokens(batch.features, batch.positions).tolist()
    weight = method.head.weight.tolist()
    old_length = sum(math.hypot(*row) for row in weight[:3]) / 3
    for slot in (3, 4):
        mean = [0.0] * 24
        for token, of in zip(tokens, table.slots.tolist(), strict=True):
            length = math.hypot(*token)
            mean = [m + (x / length if of == slot else 0.0) for m, x in zip(mean, token, strict=True)]
        assert _cosine(weight[slot], mean) == pytest.approx(1, abs=1e-5)
        assert math.hypot(*weight[slot]) == pytest.approx(old_length, rel=1e-5)


def test_directions_of_old_slots_are_fixed() -> None:
    method, task = second_task(**MEMORY)
    assert isinstance(method, UCIR)
    old = SIZES[0]
    before = torch.nn.functional.normalize(method.head.weight.detach().clone(), dim=1)
    optimizer = torch.optim.AdamW(method.classifier.requires_grad_(True).parameters(), lr=0.01, weight_decay=0.05)
    for _ in range(5):
        terms = [*method.losses("mixed", batch_of(method, task), generator=torch.Generator())]
        optimizer.zero_grad()
        sum(term.value * term.weight for term in terms).backward()  # type: ignore[union-attr]
        optimizer.step()
    after = torch.nn.functional.normalize(method.head.weight.detach(), dim=1)
    torch.testing.assert_close(after[:old], before[:old])
    assert (after[old:] - before[old:]).norm(dim=1).min() > 0.01
