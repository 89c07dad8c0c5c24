"""Scoring in batches that run across tables: every clip once, in order, whatever the sizes."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from essential.engine.clips import ClipTable
from essential.engine.evaluate import predict
from essential.models.classifier import Predictor


class Echo(Predictor):
    """Takes a clip for the slot of its own first number, and notes how many came at once."""

    reading = "cnn"

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, features: Tensor) -> Tensor:
        self.batches.append(len(features))
        return nn.functional.one_hot(features[:, 0, 0].long(), 12).float()


def table(first: int, clips: int) -> ClipTable:
    numbers = np.arange(first, first + clips, dtype=np.float32)
    features = torch.from_numpy(numbers)[:, None, None].expand(-1, 2, 3)
    names = [f"video-{number:.0f}" for number in numbers]
    return ClipTable(
        features.__getitem__, names, torch.arange(first, first + clips), torch.zeros(clips, dtype=torch.long)
    )


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ([4], [4]),
        ([5], [4, 1]),
        ([4, 4], [4, 4]),
        ([3, 3, 3], [4, 4, 1]),
        ([1, 0, 1, 9, 0], [4, 4, 3]),
        ([0, 2], [2]),
        ([1] * 8, [4, 4]),
        ([0], [0]),
    ],
)
def test_every_clip_is_scored_once_and_in_order(sizes: list[int], batches: list[int]) -> None:
    starts = np.cumsum([0, *sizes])
    tables = [table(int(start), clips) for start, clips in zip(starts, sizes, strict=False)]
    predictor = Echo()
    found = predict(predictor, ClipTable.joined(tables), device=torch.device("cpu"), batch_size=4)
    expected = list(range(sum(sizes)))
    assert found.decided.slots[:, 0].tolist() == found.slots.tolist() == expected
    assert found.decided.slots.shape == (sum(sizes), 12)
    assert found.decided.true_scores.tolist() == [1.0] * sum(sizes)
    assert found.videos == tuple(f"video-{number}" for number in expected)
    assert predictor.batches == batches


def test_joined_tables_give_rows_in_the_order_asked_repeats_included() -> None:
    joined = ClipTable.joined([table(0, 3), table(3, 0), table(3, 4)])
    asked = torch.tensor([6, 0, 3, 0, 2])
    batch = joined.rows(asked)
    assert batch.features[:, 0, 0].tolist() == batch.slots.tolist() == asked.tolist()
    assert [joined.names[row] for row in asked.tolist()] == [f"video-{row}" for row in asked.tolist()]
