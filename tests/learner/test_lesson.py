"""The clips of a lesson as a task: which view is learned from, in which order, and what is held out."""

import numpy as np
import pytest
import torch

from essential.features.config import FeaturesConfig
from essential.learner.lesson import LessonClips, LessonTask
from essential.protocols.protocol import longest_names


def _task(views: int, train_on: str = "augmented") -> LessonTask:
    """Return clips whose numbers say which clip and view they are; rows 3 and 1 of them are the task."""
    numbers = 10 * np.arange(5, dtype=np.float32)[:, None] + np.arange(views, dtype=np.float32)
    features = list(np.broadcast_to(numbers[:, :, None, None], (5, views, 2, 3)))
    clips = LessonClips(("a", "b"), np.array([0, 0, 0, 1, 1]), [f"clip-{row}" for row in range(5)], features, [])
    config = FeaturesConfig.model_validate({"train_on": train_on})
    return LessonTask(1, range(4, 6), clips, np.array([3, 1]), config)


def test_a_task_gives_its_rows_with_their_slots() -> None:
    table = _task(1).plain()
    assert (len(table), table.names, table.slots.tolist()) == (2, ["clip-3", "clip-1"], [5, 4])
    batch = table.rows(torch.tensor([1, 0, 1]))
    assert batch.features[:, 0, 0].tolist() == [10, 30, 10]
    assert (batch.slots.tolist(), batch.tasks.tolist()) == ([4, 5, 4], [1, 1, 1])
    assert batch.positions.tolist() == [[0, 1]] * 3


@pytest.mark.parametrize(
    ("views", "train_on", "seen"),
    [
        (1, "augmented", [0, 0, 0, 0, 0, 0]),
        (1, "both", [0, 0, 0, 0, 0, 0]),
        (3, "augmented", [1, 2, 1, 2, 1, 2]),
        (3, "both", [0, 1, 2, 0, 1, 2]),
    ],
)
def test_epochs_take_the_views_in_turn(views: int, train_on: str, seen: list[int]) -> None:
    task = _task(views, train_on)
    found = [task.epoch(epoch).rows(torch.tensor([0])).features[0, 0, 0].item() - 30 for epoch in range(6)]
    assert found == seen
    assert task.plain().rows(torch.tensor([0])).features[0, 0, 0].item() == 30


def test_the_longest_name_of_a_class_is_that_of_most_bytes() -> None:
    assert longest_names([(3, "abcd"), (5, "x"), (3, "äöü")]) == ["äöü", "x"]
