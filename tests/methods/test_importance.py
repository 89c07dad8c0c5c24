"""Importances against plain loops: one clip, one batch, one backward pass at a time."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from essential.contract.synthetic_tasks import SyntheticTable, SyntheticTask
from essential.methods import anchor
from essential.methods.anchor import accumulated_gradient, drawn_slots, mean_over_clips
from essential.methods.mas import length, squared_length
from essential.methods.trained import ClassifierConfig, build_classifier, cross_entropy, grow_head
from essential.models.classifier import ClipClassifier
from method_batches import stir

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]


@pytest.fixture
def classifier() -> ClipClassifier:
    """In training, with much dropout, so that a gradient taken in training would be another one."""
    config = ClassifierConfig(heads=4, layers=2, dropout=0.5, drop_path=0.5, init_scale=10.0)
    built = build_classifier(config, dim=24, frames=8, seed=3)
    grow_head(built, range(0, 5), seed=3)
    stir(built)
    return built.train()


def table(per_class: int) -> SyntheticTable:
    return SyntheticTask(0, range(0, 5), per_class=per_class).plain()


def by_hand(classifier: ClipClassifier, value: Tensor) -> dict[str, Tensor]:
    names = [name for name, _ in classifier.named_parameters()]
    return dict(zip(names, torch.autograd.grad(value, list(classifier.parameters())), strict=True))


@pytest.mark.parametrize("at_once", [1, 7, 1000])
@pytest.mark.parametrize(
    ("measure", "objective", "of_logits"),
    [
        (torch.square, cross_entropy, lambda logits, slot: logits.exp().sum().log() - logits[slot]),
        (torch.abs, squared_length, lambda logits, _: sum(logit * logit for logit in logits)),
    ],
)
def test_the_mean_over_clips_is_a_loop_over_clips(
    measure: Callable[[Tensor], Tensor],
    objective: anchor.Objective,
    of_logits: Callable[[Tensor, int], Tensor],
    at_once: int,
    classifier: ClipClassifier,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = sum(parameter.numel() for parameter in classifier.parameters())
    monkeypatch.setattr(anchor, "_GRADIENT_NUMBERS_AT_ONCE", at_once * numbers)
    clips = table(4)
    labels = torch.arange(len(clips)) % 5
    got = mean_over_clips(measure, objective, classifier=classifier, table=clips, slots=labels)
    classifier.eval()
    expected = {name: torch.zeros_like(value) for name, value in classifier.named_parameters()}
    for clip, label in enumerate(labels.tolist()):
        logits = classifier(clips.features[clip : clip + 1])[0]
        for name, gradient in by_hand(classifier, of_logits(logits, label)).items():
            expected[name] += (gradient**2 if measure is torch.square else gradient.abs()) / len(clips)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert value.sum() > 0
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("objective", [cross_entropy, length])
def test_the_accumulated_gradient_adds_up_batches_of_64(
    objective: anchor.Objective, classifier: ClipClassifier
) -> None:
    clips = table(14)
    assert len(clips) == 70
    got = accumulated_gradient(objective, classifier=classifier, table=clips)
    classifier.eval().zero_grad()
    for rows in (slice(0, 64), slice(64, 70)):
        logits, slots = classifier(clips.features[rows]), clips.slots[rows]
        if objective is length:
            value = logits.pow(2).sum(dim=1).sqrt().sum() / len(slots)
        else:
            value = -logits.softmax(dim=1)[torch.arange(len(slots)), slots].log().sum() / len(slots)
        value.backward()
    for name, parameter in classifier.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(got[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_taking_importances_leaves_the_classifier_as_it_was(classifier: ClipClassifier) -> None:
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    for training in (True, False):
        classifier.train(training)
        clips = table(1)
        mean_over_clips(torch.abs, squared_length, classifier=classifier, table=clips, slots=clips.slots)
        accumulated_gradient(cross_entropy, classifier=classifier, table=clips)
        assert classifier.training is training
        assert classifier.dropout.training is training
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert all(torch.equal(before[name], value) for name, value in classifier.state_dict().items())


def test_slots_are_drawn_as_the_classifier_predicts(classifier: ClipClassifier) -> None:
    probabilities = torch.tensor([0.5, 0.25, 0.15, 0.1, 0.0])
    with torch.no_grad():
        classifier.head.weight.zero_()
        classifier.head.bias.copy_(probabilities.log().clamp(min=-100))
    clips = table(800)
    first, again, other = (
        drawn_slots(classifier, clips, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    shares = torch.bincount(first, minlength=5) / len(clips)
    # Four standard deviations of a share of 4000 draws are 0.032 at most.
    torch.testing.assert_close(shares, probabilities, rtol=0, atol=0.032)
