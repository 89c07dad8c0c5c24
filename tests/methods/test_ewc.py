"""EWC's importances and its loss, against what the paper and vCLIMB's code say they are."""

import pytest
import torch
from torch import Tensor

from essential.contract.synthetic_tasks import SyntheticTask, make_tasks
from essential.methods.ewc import EWC, EWCConfig
from essential.methods.trained import ClassifierConfig
from essential.seeded import torch_generator
from method_batches import stir


def build(**settings: object) -> EWC:
    config = EWCConfig.model_validate({"classifier": ClassifierConfig(heads=4, init_scale=10.0), **settings})
    return EWC(config, dim=24, frames=8, seed=0)


def learn(method: EWC, task: SyntheticTask) -> None:
    """Stand in for training: any new values do."""
    method.begin(task)
    stir(method.classifier, seed=task.index)
    method.finish(task)


def importances(method: EWC) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in method.anchor.importance.tensors().items()}


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_fisher_importances_are_the_information_and_not_the_fit_to_the_labels() -> None:
    method = build()
    task = SyntheticTask(0, range(0, 3), per_class=1000)
    method.begin(task)
    probabilities = torch.tensor([0.7, 0.2, 0.1])
    with torch.no_grad():
        method.classifier.head.weight.zero_()
        method.classifier.head.bias.copy_(probabilities.log())
    method.finish(task)
    # Of a bias alone it is the variance of a draw: p (1 - p). The labels, a third each, would give other numbers.
    got = importances(method)["head.bias"]
    torch.testing.assert_close(got, probabilities * (1 - probabilities), rtol=0, atol=0.02)
    empirical = (1 - 2 * probabilities) / 3 + probabilities**2
    assert (got - empirical).abs().max() > 0.05


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_vclimb_importances_are_the_square_of_the_summed_gradient() -> None:
    method = build(importance="vclimb")
    task = SyntheticTask(0, range(0, 2), per_class=40)
    learn(method, task)
    clips, classifier = task.plain(), method.classifier.eval()
    classifier.zero_grad()
    for rows in (slice(0, 64), slice(64, 80)):
        torch.nn.functional.cross_entropy(classifier(clips.features[rows]), clips.slots[rows]).backward()
    got = importances(method)
    for name, parameter in classifier.named_parameters():
        torch.testing.assert_close(got[name], parameter.grad**2, rtol=1e-3, atol=1e-7)


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", ["fisher", "vclimb"])
def test_the_loss_has_a_penalty_of_every_task_before(kind: str) -> None:
    method = build(importance=kind, weight=7.0)
    *old, task = make_tasks([2, 1, 2])
    expected, so_far, held = 0.0, {}, []
    for before in old:
        learn(method, before)
        values = {name: value.detach().clone() for name, value in method.classifier.named_parameters()}
        total = importances(method)
        own = {name: total[name].clone() for name in total}
        for name, value in so_far.items():
            own[name][: len(value)] -= value
        so_far = total
        held.append((own, values))
    method.begin(task)
    with torch.no_grad():
        for parameter in method.classifier.parameters():
            parameter.add_(0.3)
    for own, values in held:
        for name, parameter in method.classifier.named_parameters():
            offset = parameter.detach()[: len(values[name])] - values[name]
            expected += float((own[name] * offset**2).sum())
    batch = task.plain().rows(torch.arange(4))
    method.network.eval()
    classification, penalty = method.losses("task", batch, generator=torch_generator(0))
    logits = method.classifier(batch.features)
    assert logits.shape == (4, 5)
    torch.testing.assert_close(classification.value, torch.nn.functional.cross_entropy(logits, batch.slots))
    assert (classification.weight, penalty.weight) == (1.0, 7.0)
    assert penalty.value.item() == pytest.approx(expected, rel=1e-4)


def test_the_first_task_is_learned_freely() -> None:
    method, task = build(), make_tasks([2])[0]
    method.begin(task)
    penalty = list(method.losses("task", task.plain().rows(torch.arange(4)), generator=torch_generator(0)))[1]
    assert penalty.value == 0


def test_each_importance_has_its_own_weight() -> None:
    assert build().weight == 100
    assert build(importance="vclimb").weight == 3000
    assert build(importance="vclimb", weight=5.0).weight == 5


def test_statistics_are_all_that_is_kept() -> None:
    method = build()
    assert method.ledger() == []
    for task in make_tasks([2, 3]):
        learn(method, task)
    numbers = sum(parameter.numel() for parameter in method.classifier.parameters())
    assert [(entry.kind, entry.bytes) for entry in method.ledger()] == [
        ("statistics", 4 * numbers),
        ("statistics", 4 * (numbers + 1)),
    ]
    stored = sum(array.nbytes for name, array in method.state_dict().items() if name.startswith("network.anchor."))
    assert sum(entry.bytes for entry in method.ledger()) == stored
