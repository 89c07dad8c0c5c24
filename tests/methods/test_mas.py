"""MAS's importances and its loss, against what the paper and vCLIMB's code say they are."""

import pytest
import torch
from torch import Tensor

from essential.contract.synthetic_tasks import SyntheticTable, make_tasks
from essential.methods.mas import MAS, MASConfig
from essential.methods.trained import ClassifierConfig
from essential.seeded import torch_generator
from method_batches import stir

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]


def build(**settings: object) -> MAS:
    config = MASConfig.model_validate({"classifier": ClassifierConfig(heads=4, init_scale=10.0), **settings})
    return MAS(config, dim=24, frames=8, seed=0)


def per_clip_by_hand(method: MAS, clips: SyntheticTable) -> dict[str, Tensor]:
    classifier = method.classifier.eval()
    sums = {name: torch.zeros_like(value) for name, value in classifier.named_parameters()}
    for clip in range(len(clips)):
        classifier.zero_grad()
        (classifier(clips.features[clip : clip + 1]) ** 2).sum().backward()
        for name, parameter in classifier.named_parameters():
            assert parameter.grad is not None
            sums[name] += parameter.grad.abs() / len(clips)
    return sums


def vclimb_by_hand(method: MAS, clips: SyntheticTable) -> dict[str, Tensor]:
    classifier = method.classifier.eval()
    classifier.zero_grad()
    for start in range(0, len(clips), 64):
        torch.norm(classifier(clips.features[start : start + 64]), dim=1).mean().backward()
    return {name: parameter.grad.abs() for name, parameter in classifier.named_parameters()}  # type: ignore[union-attr]


@pytest.mark.parametrize(("kind", "by_hand"), [("per-clip", per_clip_by_hand), ("vclimb", vclimb_by_hand)])
def test_importances_add_up_and_hold_to_the_values_that_the_reading_says(kind: str, by_hand: object) -> None:
    method = build(importance=kind, weight=7.0)
    *old, task = make_tasks([2, 3, 1], per_class=35)
    expected: dict[str, Tensor] = {}
    by_task: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []
    for before in old:
        method.begin(before)
        stir(method.classifier, seed=before.index)
        method.finish(before)
        values = {name: value.detach().clone() for name, value in method.classifier.named_parameters()}
        own = by_hand(method, before.plain())  # type: ignore[operator]
        by_task.append(({name: value.clone() for name, value in own.items()}, values))
        for name, value in own.items():
            first = expected.get(name, value.new_zeros(0, *value.shape[1:]))
            value[: len(first)] += first
            expected[name] = value
    got = method.anchor.importance.tensors()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-5)
    last = by_task[-1][1]
    method.begin(task)
    stir(method.classifier, seed=9)
    # The paper: all importances around the last values. vCLIMB: each task's around its own.
    held = [(expected, last)] if kind == "per-clip" else by_task
    by_plain_sum = 0.0
    for importance, values in held:
        for name, parameter in method.classifier.named_parameters():
            offset = parameter.detach()[: len(values[name])] - values[name]
            by_plain_sum += float((importance[name] * offset**2).sum())
    batch = task.plain().rows(torch.arange(4))
    method.network.eval()
    classification, penalty = method.losses("task", batch, generator=torch_generator(0))
    assert penalty.weight == 7.0
    assert penalty.value.item() == pytest.approx(by_plain_sum, rel=1e-4)
    logits = method.classifier(batch.features)
    assert logits.shape == (4, 6)
    torch.testing.assert_close(classification.value, torch.nn.functional.cross_entropy(logits, batch.slots))


def test_each_importance_has_its_own_weight() -> None:
    assert build().weight == 0.1
    assert build(importance="vclimb").weight == 300000
    assert build(weight=1.0).weight == 1


def test_statistics_are_all_that_is_kept() -> None:
    method = build()
    assert method.ledger() == []
    for task in make_tasks([2, 3]):
        method.begin(task)
        method.finish(task)
    stored = sum(array.nbytes for name, array in method.state_dict().items() if name.startswith("network.anchor."))
    assert [entry.kind for entry in method.ledger()] == ["statistics", "statistics"]
    assert sum(entry.bytes for entry in method.ledger()) == stored
