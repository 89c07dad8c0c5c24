"""PODNet: the head of proxies, its losses against plain loops, and which stage chooses the exemplars."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from essential.methods.podnet import PODNet, margin_nca
from essential.models.classifier import ClipClassifier, CosineHead
from essential.seeded import torch_generator
from method_batches import SIZES, batch_of, second_task, values, weights

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]

MEMORY: dict[str, Any] = {
    "name": "podnet",
    "exemplars_per_class": 3,
    "proxies": 2,
    "margin": 0.3,
    "flat_distillation": 1.5,
    "layer_distillation": 2.5,
}


def _unit(row: list[float]) -> list[float]:
    length = math.hypot(*row)
    return [x / length for x in row]


def _distance(a: list[float], b: list[float]) -> float:
    return sum((x - y) ** 2 for x, y in zip(_unit(a), _unit(b), strict=True))


def test_a_slots_similarity_is_the_softmax_weighted_mean_of_its_proxies_cosines() -> None:
    head = CosineHead(4, proxies=3, scale=2.0)
    head.grow(1, generator=torch_generator(0))
    before = head.weight.detach().clone()
    head.grow(1, generator=torch_generator(1))
    assert head.slots == 2
    assert torch.equal(head.weight[:3], before)
    tokens = torch.randn(2, 4, generator=torch_generator(2))
    for logits, token in zip(head(tokens).tolist(), tokens.tolist(), strict=True):
        for slot in range(2):
            rows = head.weight[3 * slot : 3 * slot + 3].tolist()
            cosines = [sum(x * y for x, y in zip(_unit(token), _unit(row), strict=True)) for row in rows]
            shares = [math.exp(c) for c in cosines]
            similarity = sum(s * c for s, c in zip(shares, cosines, strict=True)) / sum(shares)
            assert logits[slot] == pytest.approx(2 * similarity, abs=1e-5)


def test_the_margin_loss_leaves_out_the_own_slot_and_stops_at_zero() -> None:
    rows, slots = [[1.0, 0.5, -0.2], [0.1, 3.0, 0.2], [0.0, 0.4, 0.9]], [0, 1, 1]
    losses = []
    for row, slot in zip(rows, slots, strict=True):
        others = sum(math.exp(logit) for index, logit in enumerate(row) if index != slot)
        losses.append(max(0.0, -math.log(math.exp(row[slot] - 0.6) / others)))
    assert losses[1] == 0.0
    loss = margin_nca(torch.tensor(rows), torch.tensor(slots), torch.tensor(0.6))
    assert loss.item() == pytest.approx(sum(losses) / 3, rel=1e-5)


def test_the_margin_loss_of_a_single_slot_is_zero_with_a_finite_gradient() -> None:
    logits = torch.tensor([[0.3], [0.1]], requires_grad=True)
    loss = margin_nca(logits, torch.tensor([0, 0]), torch.tensor(0.6))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros(2, 1))


@pytest.mark.parametrize("layers", [1, 3])
def test_distillation_compares_the_token_after_every_layer(layers: int) -> None:
    method, task = second_task(**MEMORY, classifier={"heads": 4, "layers": layers})
    assert isinstance(method, PODNet)
    batch = batch_of(method, task)
    terms = [*method.losses("mixed", batch, generator=torch.Generator())]
    teacher = method.network["teacher"]
    assert isinstance(teacher, ClipClassifier)
    distances = []
    for depth in range(layers):
        now, before = (_token_after(each, depth, batch.features) for each in (method.classifier, teacher))
        distances.append(sum(_distance(a, b) for a, b in zip(now, before, strict=True)) / 6)
    expected = {"flat_distillation": distances[-1]}
    expected |= {"layer_distillation": sum(distances[:-1]) / (layers - 1)} if layers > 1 else {}
    found = values(terms)
    logits = method.classifier(batch.features)
    margin = 0.3 * method.head.scale
    assert found.pop("classification") == pytest.approx(margin_nca(logits, batch.slots, margin).item(), rel=1e-5)
    assert found == pytest.approx(expected, rel=1e-4)
    ratio = math.sqrt(sum(SIZES) / SIZES[1])
    assert weights(terms)["flat_distillation"] == pytest.approx(1.5 * ratio)
    assert weights(terms).get("layer_distillation", 2.5 * ratio) == pytest.approx(2.5 * ratio)


def _token_after(classifier: ClipClassifier, depth: int, features: torch.Tensor) -> list[list[float]]:
    """Return the clip tokens behind layer `depth`, by asking the layers one by one."""
    encoder = classifier.encoder
    placed = features + encoder.temporal_embedding
    token = encoder.query.expand(len(features), 1, -1)
    for layer in encoder.layers[: depth + 1]:
        assert isinstance(layer, nn.Module)
        frames = layer.get_submodule("frame_norm")(placed)
        asked = layer.get_submodule("query_norm")(token)
        token = token + layer.get_submodule("attention")(asked, frames, frames)[0]
    rows: list[list[float]] = token[:, 0].tolist()
    return rows


def test_the_fine_tuning_is_on_as_many_exemplars_of_every_class() -> None:
    method, task = second_task(**MEMORY)
    mixed, balance = method.stages(task)
    assert len(method.memory) == 9
    assert balance.learning_rate_scale < mixed.learning_rate_scale == 1
    balance.prepare()
    table = balance.data().epoch(0)
    assert torch.bincount(table.slots).tolist() == [3] * 5
    chosen = method.memory.names
    method.finish(task)
    assert method.memory.names == chosen
