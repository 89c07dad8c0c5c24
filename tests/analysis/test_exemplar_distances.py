"""How far what is kept of exemplars is from their clips, against numbers worked out by hand and loops."""

import dataclasses

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from essential.analysis.exemplars import Readings, distances, fill, read_exemplars
from essential.contract.synthetic_tasks import SyntheticTask, clips_of
from essential.memory.episodic import EpisodicMemory
from essential.methods import MethodConfig, build_method
from essential.methods.contract import Method
from essential.models.classifier import ClipClassifier
from method_batches import stir

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]


def _method(**settings: object) -> Method:
    """Return a method that has seen a task of three classes, with weights that are not all alike."""
    section = {"exemplars_per_class": 3, "classifier": {"heads": 4}} | settings
    config = TypeAdapter(MethodConfig).validate_python(section)
    method = build_method(config, dim=24, frames=8, seed=0)
    method.begin(SyntheticTask(0, range(3)))
    stir(method.network, by=0.3, seed=1)
    method.network.eval()
    return method


def _memory(dense: Tensor, slots: Tensor) -> EpisodicMemory:
    positions = torch.tensor([[1, 6], [0, 3], [4, 5], [2, 7]])
    features = torch.stack([clip[kept] for clip, kept in zip(dense, positions, strict=True)])
    return EpisodicMemory(features, positions, slots, torch.zeros(4, dtype=torch.long), ("a", "b", "c", "d"))


SLOTS = torch.tensor([0, 2, 0, 1])
DENSE = clips_of(SLOTS)
MEMORY = _memory(DENSE, SLOTS)


def test_distances_worked_out_by_hand() -> None:
    tokens = {
        "dense": torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]),
        "sparse": torch.tensor([[0.0, 5.0], [0.0, 1.0], [-1.0, -1.0]]),
        "retrieved": torch.tensor([[2.0, 0.0], [1.0, 0.0], [1.0, 1.0]]),
    }
    frames = {
        "dense": torch.zeros(3, 2, 2),
        "sparse": torch.tensor([1.0, 2.0, 3.0])[:, None, None].expand(3, 2, 2),
        "retrieved": torch.tensor([[[1.0, 0.0], [0.0, 0.0]]] * 3),
    }
    found = distances(Readings(torch.tensor([4, 4, 7]), tokens, frames))
    assert found is not None
    overall, (first, second) = found.overall, found.by_slot
    assert overall.exemplars == 3
    assert overall.sparse == pytest.approx((1 + 0 + 2) / 3)
    assert overall.retrieved == pytest.approx((0 + 1 + 0) / 3)
    assert overall.sparse_frames == pytest.approx((1 + 4 + 9) / 3)
    assert overall.retrieved_frames == pytest.approx(1 / 4)
    assert (first.slot, first.means.exemplars, second.slot, second.means.exemplars) == (4, 2, 7, 1)
    assert (first.means.sparse, first.means.retrieved) == pytest.approx((0.5, 0.5))
    assert (second.means.sparse, second.means.sparse_frames) == pytest.approx((2, 9))


def test_each_missing_frame_is_the_nearest_one_that_is_kept() -> None:
    filled = fill(MEMORY.features, MEMORY.positions, frames=8)
    for clip, kept in enumerate(MEMORY.positions.tolist()):
        for frame in range(8):
            nearest = min(range(2), key=lambda one, frame=frame, kept=kept: (abs(kept[one] - frame), kept[one]))
            assert torch.equal(filled[clip, frame], MEMORY.features[clip, nearest])
    backwards = fill(MEMORY.features.flip(1), MEMORY.positions.flip(1), frames=8)
    assert torch.equal(filled, backwards)


@torch.no_grad()
def test_tokens_are_those_that_the_classifier_tells_clips_apart_by() -> None:
    method = _method(name="essential", frames_kept=2)
    readings = read_exemplars(method, MEMORY, DENSE, frames=8)
    classifier, rebuilt = method.predictor, method.rebuilt(MEMORY)
    assert isinstance(classifier, ClipClassifier)
    assert rebuilt is not None
    assert [*readings.tokens] == ["dense", "sparse", "retrieved"]
    torch.testing.assert_close(classifier.logits(readings.tokens["dense"]), classifier(DENSE))
    torch.testing.assert_close(classifier.logits(readings.tokens["retrieved"]), classifier(rebuilt))
    torch.testing.assert_close(readings.tokens["sparse"], classifier.tokens(MEMORY.features, MEMORY.positions))
    found = distances(readings)
    assert found is not None
    apart = [
        1 - torch.dot(one, other) / one.norm() / other.norm()
        for one, other in zip(readings.tokens["sparse"], readings.tokens["dense"], strict=True)
    ]
    assert found.overall.sparse == pytest.approx(sum(apart).item() / 4, rel=1e-4)
    assert found.overall.retrieved_frames == pytest.approx(((rebuilt - DENSE) ** 2).mean().item(), rel=1e-4)
    assert [each.slot for each in found.by_slot] == [0, 1, 2]


def test_a_method_that_rebuilds_nothing_has_nothing_retrieved() -> None:
    for settings in ({"name": "replay", "frames_kept": 2}, {"name": "essential", "memory_mode": "identity"}):
        readings = read_exemplars(_method(**settings), MEMORY, DENSE, frames=8)
        assert [*readings.tokens] == ["dense", "sparse"]
        found = distances(readings)
        assert found is not None
        assert found.overall.retrieved is found.overall.retrieved_frames is None


def test_without_the_dense_clips_there_are_tokens_and_no_distances() -> None:
    readings = read_exemplars(_method(name="essential", frames_kept=2), MEMORY, None, frames=8)
    assert [*readings.tokens] == ["sparse", "retrieved"]
    assert distances(readings) is None


def test_exemplars_that_are_kept_whole_are_dense_themselves() -> None:
    every = torch.arange(8).expand(4, -1)
    whole = dataclasses.replace(MEMORY, features=DENSE, positions=every)
    method = _method(name="replay")
    readings = read_exemplars(method, whole, None, frames=8)
    assert [*readings.tokens] == ["dense"]
    with torch.no_grad():
        torch.testing.assert_close(method.predictor.logits(readings.tokens["dense"]), method.predictor(DENSE))
    assert distances(readings) is None
