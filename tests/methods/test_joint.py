"""Joint training that joins a closed form: what is held out, the weights against a plain search, and its state."""

import math

import pytest
import torch
from pydantic import TypeAdapter

from essential.contract.synthetic_tasks import SyntheticTask, clips_of
from essential.engine.learn_task import learn_task
from essential.engine.settings import TrainingConfig
from essential.methods import MethodConfig, build_method
from essential.methods.bounds import Joint
from essential.models.classifier import BLENDS, Blended

TRAINING = TrainingConfig(epochs=2, batch_size=4, threads=1, device="cpu")
TASKS = (SyntheticTask(0, range(0, 3)), SyntheticTask(1, range(3, 5), all_slots=range(0, 5)))


def _joint() -> Joint:
    section = {"name": "joint", "blend": True, "classifier": {"heads": 4}}
    method = build_method(TypeAdapter(MethodConfig).validate_python(section), dim=24, frames=8, seed=0)
    assert isinstance(method, Joint)
    return method


def _learned() -> Joint:
    method = _joint()
    for task in TASKS:
        learn_task(method, task, TRAINING)
    return method


def _blended(method: Joint) -> Blended:
    assert isinstance(method.predictor, Blended)
    return method.predictor


def test_it_trains_on_all_clips_but_one_in_five_of_each_class_the_same_in_every_epoch() -> None:
    method = _joint()
    for task in TASKS:
        method.begin(task)
    (stage,) = method.stages(TASKS[1])
    tables = [stage.data().epoch(epoch) for epoch in (0, 1)]
    assert torch.bincount(tables[0].slots).tolist() == [5] * 5
    assert tables[0].names == tables[1].names


def test_the_weights_are_those_of_least_loss_on_clips_that_neither_has_learned() -> None:
    blended = Blended(_joint().classifier, _joint().classifier)
    draw = torch.Generator().manual_seed(0)
    slots = torch.randint(0, 4, (40,), generator=draw)
    right = torch.nn.functional.one_hot(slots, 4)
    other = 0.1 * right + 0.05 * torch.randn(40, 4, generator=draw, dtype=torch.float64)
    own = 2.0 * right + 3.0 * torch.randn(40, 4, generator=draw)
    blended.weigh(other, own, slots)

    losses = {}
    for of_other in BLENDS.tolist():
        for of_own in BLENDS.tolist():
            total = 0.0
            for row, slot in enumerate(slots.tolist()):
                scores = [of_other * float(other[row, k]) + of_own * float(own[row, k]) for k in range(4)]
                total += math.log(sum(map(math.exp, scores))) - scores[slot]
            losses[of_other, of_own] = total / 40
    found = tuple(blended.weights.tolist())
    assert losses[found] <= min(losses.values()) + 1e-9
    assert min(found) > 0, "both say something here"


def test_noise_gets_no_weight() -> None:
    blended = Blended(_joint().classifier, _joint().classifier)
    slots = torch.arange(4).repeat(25)
    right = 4.0 * torch.nn.functional.one_hot(slots, 4)
    noise = torch.randn(100, 4, generator=torch.Generator().manual_seed(1))
    blended.weigh(right.double(), noise, slots)
    of_other, of_noise = blended.weights.tolist()
    assert of_other >= 1
    assert of_noise <= 0.25


@pytest.mark.numeric
def test_its_scores_are_the_weighted_sum_and_are_loaded_again() -> None:
    method = _learned()
    clips = clips_of(torch.arange(5), seed=9)
    with torch.no_grad():
        scores, predictor = method.predictor(clips), _blended(method)
        of_other, of_own = predictor.weights.tolist()
        by_hand = of_other * predictor.other(clips) + of_own * predictor.classifier(clips).double()
        torch.testing.assert_close(scores, by_hand, rtol=1e-12, atol=1e-12)
        again = _joint()
        again.load_state_dict(method.state_dict())
        assert torch.equal(again.predictor(clips), scores)
    assert scores.argmax(1).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.numeric
def test_the_closed_form_is_of_all_clips() -> None:
    spectral = build_method(TypeAdapter(MethodConfig).validate_python({"name": "spectral"}), dim=24, frames=8, seed=0)
    every = SyntheticTask(0, range(0, 5))
    every.plain = TASKS[1].plain  # type: ignore[method-assign]
    learn_task(spectral, every, TRAINING)
    clips = clips_of(torch.arange(5), seed=9)
    assert torch.equal(_blended(_learned()).other(clips), spectral.predictor(clips))
