"""Accuracy by the number of frames read, against one clip at a time."""

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from essential.analysis.feature_figures import accuracy_by_frames
from essential.contract.synthetic_tasks import clips_of, make_tasks
from essential.features.tables import FrameTable
from essential.memory.episodic import EpisodicMemory
from essential.methods import MethodConfig, build_method
from essential.methods.contract import Method
from essential.protocols.protocol import Video
from method_batches import stir

CLIPS = 60
SLOTS = torch.arange(5).repeat(CLIPS // 5)
TASKS = torch.where(SLOTS < 3, 0, 1)
TABLE = FrameTable(
    [Video(str(row), "", "", "test") for row in range(CLIPS)], clips_of(SLOTS, seed=5).numpy().__getitem__
)


def _method(name: str, **settings: object) -> Method:
    """Return a method that has seen two tasks, of three classes and two; its weights are not trained."""
    config = TypeAdapter(MethodConfig).validate_python({"name": name} | settings)
    method = build_method(config, dim=24, frames=8, seed=0)
    for task in make_tasks([3, 2]):
        method.begin(task)
        for stage in method.stages(task):
            stage.prepare()
        method.finish(task)
    stir(method.network, by=0.3, seed=1)
    method.network.eval()
    return method


def _check(accuracy: float | None, scores: torch.Tensor) -> None:
    """Compare an accuracy with scores; clips whose two best scores are one but for rounding may go either way."""
    assert accuracy is not None
    best = scores.topk(2, dim=1).values
    ties = int((best[:, 0] - best[:, 1] < 1e-4).sum())
    assert ties <= 3
    right = int((scores.argmax(dim=1) == SLOTS).sum())
    assert abs(CLIPS * accuracy - right) <= ties + 1e-9


def _middles(number: int) -> list[int]:
    return [int((segment + 0.5) * 8 / number) for segment in range(number)]


@torch.no_grad()
@pytest.mark.parametrize("name", ["essential", "icarl", "bic"])
def test_the_middles_of_so_many_segments_are_read_at_their_own_places(name: str) -> None:
    method = _method(name, exemplars_per_class=3, frames_kept=2, classifier={"heads": 4})
    found = accuracy_by_frames(method, TABLE, SLOTS, TASKS, frames=8)
    assert [(each.frames, each.clips) for each in found] == [(number, CLIPS) for number in range(1, 9)]
    for each in found[::3]:
        scores = []
        for row in range(CLIPS):
            kept = torch.tensor(_middles(each.frames))
            tokens = method.predictor.tokens(TABLE.rows(torch.tensor([row]))[:, kept], kept[None])
            by_tokens = method.predictor.by_tokens(tokens)
            assert by_tokens is not None
            scores.append(by_tokens)
        _check(each.accuracy, torch.cat(scores))
    _check(found[-1].accuracy, method.predictor(TABLE.rows(torch.arange(CLIPS))))


@torch.no_grad()
def test_what_is_rebuilt_is_classified_at_the_number_of_frames_that_is_kept() -> None:
    method = _method("essential", exemplars_per_class=3, frames_kept=3, classifier={"heads": 4})
    found = accuracy_by_frames(method, TABLE, SLOTS, TASKS, frames=8)
    assert [each.frames for each in found if each.retrieved_accuracy is not None] == [3]
    scores, kept = [], torch.tensor(_middles(3))
    for row in range(CLIPS):
        sparse = TABLE.rows(torch.tensor([row]))[:, kept]
        clip = EpisodicMemory(sparse, kept[None], SLOTS[row : row + 1], TASKS[row : row + 1], ("",))
        rebuilt = method.rebuilt(clip)
        assert rebuilt is not None
        scores.append(method.predictor(rebuilt))
    _check(found[2].retrieved_accuracy, torch.cat(scores))


def test_a_predictor_that_needs_all_frames_gets_each_in_the_place_of_its_neighbours() -> None:
    method = _method("ncm", clip="side-by-side")
    found = accuracy_by_frames(method, TABLE, SLOTS, TASKS, frames=8)
    _check(found[-1].accuracy, method.predictor(TABLE.rows(torch.arange(CLIPS))))
    first = torch.stack([TABLE.rows(torch.tensor([row]))[0, [2, 2, 2, 2, 2, 6, 6, 6]] for row in range(CLIPS)])
    _check(found[1].accuracy, method.predictor(first))


def test_of_many_frames_some_numbers_are_read_and_those_that_are_kept() -> None:
    config = TypeAdapter(MethodConfig).validate_python({"name": "replay", "frames_kept": 7, "classifier": {"heads": 4}})
    method = build_method(config, dim=24, frames=64, seed=0)
    method.begin(make_tasks([2])[0])
    table = FrameTable([Video("a", "", "", "test")], np.zeros((1, 64, 24), np.float32).__getitem__)
    found = accuracy_by_frames(method, table, torch.tensor([0]), torch.tensor([0]), frames=64)
    numbers = [each.frames for each in found]
    assert len(numbers) == 9
    assert numbers == sorted(set(numbers))
    assert {1, 7, 64} <= set(numbers)
