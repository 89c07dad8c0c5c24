"""Scoring: one pass of the predictor over stored features. Nothing here draws a random number or opens a video."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from essential.engine.process_group import Message, ProcessGroup, SingleProcess
from essential.methods.contract import BatchTable
from essential.metrics import Evaluation
from essential.models.classifier import Predictor


class LabelledClips(BatchTable, Protocol):
    """Clips to score, and the task that brought the class of each."""

    @property
    def tasks(self) -> Int[Tensor, " clips"]:
        """The task of every clip."""
        ...


@dataclass(frozen=True)
class Predictions:
    """What a predictor says of test videos: a score per slot seen, beside the true slots and tasks.

    `scores` are those that it decides by, `reading` says what they are; `others` holds the same predictor's other
    readings by name. See `Predictor`.
    """

    scores: Float[np.ndarray, "videos slots"]
    slots: Int[np.ndarray, " videos"]
    tasks: Int[np.ndarray, " videos"]
    videos: tuple[str, ...]
    reading: str = "cnn"
    others: Mapping[str, np.ndarray] = field(default_factory=dict)

    def evaluation(self, reading: str | None = None) -> Evaluation:
        """Reduce the scores, or those of another reading, to the predicted slot; the first of equal scores wins.

        Raises:
            KeyError: there is no such reading.
        """
        scores = self.scores if reading in (None, self.reading) else self.others[str(reading)]
        return Evaluation(scores.argmax(axis=1), self.slots, self.tasks)


@dataclass(frozen=True)
class TaskReport:
    """What a learned task gave.

    Attributes:
        task: its number, from 0.
        accuracy: over all test clips of the classes seen so far; None if there is none.
        memory_bytes: what the method keeps now, by kind and in all.
        predictions: of these clips.
    """

    task: int
    accuracy: float | None
    memory_bytes: Mapping[str, int]
    predictions: Predictions


@torch.no_grad()
def predict(
    predictor: Predictor,
    tables: Sequence[LabelledClips],
    *,
    device: torch.device,
    batch_size: int = 512,
    group: ProcessGroup | None = None,
) -> Predictions:
    """Score every clip of `tables`, without augmentation or mask: the slots seen so far are all there are.

    The ranks of a group take the batches in turns, and all get all scores: the numbers of one process, to the last bit.
    """
    predictor.to(device).eval()
    group, own = group or SingleProcess(), {}
    batches = list(_batches(tables, batch_size))
    for index in range(group.rank, len(batches), group.size):
        features = torch.cat([table.rows(rows).features for table, rows in batches[index]])
        for name, scores in predictor.readings(features.to(device)).items():
            own[f"{index:08d} {name}"] = scores.float().cpu().numpy()
    parts: dict[str, list[np.ndarray]] = {}
    gathered = {key: part for message in group.gather(Message(own)) for key, part in message.arrays.items()}
    for key in sorted(gathered):
        parts.setdefault(key.split(" ", 1)[1], []).append(gathered[key])
    readings = {name: np.concatenate(of_batches) for name, of_batches in parts.items()}
    return Predictions(
        readings.pop(predictor.reading),
        torch.cat([table.slots for table in tables]).numpy(),
        torch.cat([table.tasks for table in tables]).numpy(),
        tuple(name for table in tables for name in table.names),
        predictor.reading,
        readings,
    )


def _batches(tables: Sequence[LabelledClips], size: int) -> Iterator[list[tuple[LabelledClips, Tensor]]]:
    """Yield all clips, `size` at a time: the tables that a batch reaches into, and the rows of each.

    Where there is no clip at all, one batch without any, which says what readings there are.
    """
    owner = torch.arange(len(tables)).repeat_interleave(torch.tensor([len(table) for table in tables]))
    row = torch.cat([torch.arange(len(table)) for table in tables])
    for owners, rows in zip(owner.split(size), row.split(size), strict=True):
        yield [(tables[index], rows[owners == index]) for index in owners.unique().tolist()] or [(tables[0], rows)]
