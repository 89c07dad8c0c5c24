"""Accuracy by the number of frames read, against one clip at a time."""

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from essential.analysis.frames_read import accuracy_by_frames
from essential.features.tables import MemoryTable
from essential.memory.episodic import EpisodicMemory
from essential.methods import MethodConfig, build_method
from essential.methods.contract import Method
from essential.protocols.protocol import Video
from synthetic_tasks import clips_of, make_tasks

SLOTS = torch.arange(5).repeat(60)
TASKS = torch.where(SLOTS < 3, 0, 1)
TABLE = MemoryTable([Video(str(row), "", "", "test") for row in range(300)], clips_of(SLOTS, seed=5).numpy())


def _method(name: str, **settings: object) -> Method:
    """Return a method that has seen two tasks, of three classes and two; its weights are not trained."""
    config = TypeAdapter(MethodConfig).validate_python({"name": name} | settings)
    method = build_method(config, dim=24, frames=8, epochs=1, seed=0)
    for task in make_tasks([3, 2]):
        method.begin(task)
        for stage in method.stages(task):
            stage.prepare()
        method.finish(task)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in method.network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    method.network.eval()
    return method


def _middles(number: int) -> list[int]:
    return [int((segment + 0.5) * 8 / number) for segment in range(number)]


@torch.no_grad()
@pytest.mark.parametrize("name", ["essential", "icarl", "bic"])
def test_the_middles_of_so_many_segments_are_read_at_their_own_places(name: str) -> None:
    method = _method(name, exemplars_per_class=3, frames_kept=2, classifier={"heads": 4})
    found = accuracy_by_frames(method, TABLE, SLOTS, TASKS, frames=8)
    assert [(each.frames, each.clips) for each in found] == [(number, 300) for number in range(1, 9)]
    for each in found[::3]:
        right = 0
        for row, slot in enumerate(SLOTS.tolist()):
            kept = torch.tensor(_middles(each.frames))
            tokens = method.predictor.tokens(TABLE.rows(torch.tensor([row]))[:, kept], kept[None])
            scores = method.predictor.by_tokens(tokens)
            assert scores is not None
            right += int(scores.argmax()) == slot
        assert each.accuracy == right / 300
    dense = method.predictor(TABLE.rows(torch.arange(300))).argmax(dim=1)
    assert found[-1].accuracy == pytest.approx(float((dense == SLOTS).float().mean()))


@torch.no_grad()
def test_what_is_rebuilt_is_classified_at_the_number_of_frames_that_is_kept() -> None:
    method = _method("essential", exemplars_per_class=3, frames_kept=3, classifier={"heads": 4})
    found = accuracy_by_frames(method, TABLE, SLOTS, TASKS, frames=8)
    assert [each.frames for each in found if each.retrieved_accuracy is not None] == [3]
    right, kept = 0, torch.tensor(_middles(3))
    for row, slot in enumerate(SLOTS.tolist()):
        sparse = TABLE.rows(torch.tensor([row]))[:, kept]
        clip = EpisodicMemory(sparse, kept[None], SLOTS[row : row + 1], TASKS[row : row + 1], ("",))
        rebuilt = method.rebuilt(clip)
        assert rebuilt is not None
        right += int(method.predictor(rebuilt).argmax()) == slot
    assert found[2].retrieved_accuracy == right / 300


def test_a_predictor_that_needs_all_frames_gets_each_in_the_place_of_its_neighbours() -> None:
    method = _method("ncm", clip="side-by-side")
    found = accuracy_by_frames(method, TABLE, SLOTS, TASKS, frames=8)
    whole = method.predictor(TABLE.rows(torch.arange(300))).argmax(dim=1)
    assert found[-1].accuracy == float((whole == SLOTS).double().mean())
    first = torch.stack([TABLE.rows(torch.tensor([row]))[0, [2, 2, 2, 2, 2, 6, 6, 6]] for row in range(300)])
    right = (method.predictor(first).argmax(dim=1) == SLOTS).double().mean()
    assert found[1].accuracy == float(right)


def test_of_many_frames_some_numbers_are_read_and_those_that_are_kept() -> None:
    config = TypeAdapter(MethodConfig).validate_python({"name": "replay", "frames_kept": 7, "classifier": {"heads": 4}})
    method = build_method(config, dim=24, frames=64, epochs=1, seed=0)
    method.begin(make_tasks([2])[0])
    table = MemoryTable([Video("a", "", "", "test")], np.zeros((1, 64, 24), np.float32))
    found = accuracy_by_frames(method, table, torch.tensor([0]), torch.tensor([0]), frames=64)
    numbers = [each.frames for each in found]
    assert len(numbers) == 9
    assert numbers == sorted(set(numbers))
    assert {1, 7, 64} <= set(numbers)
