"""Accuracy against the number of frames that are read of a test clip."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from essential.analysis.exemplars import fill
from essential.features.tables import FrameTable
from essential.memory.episodic import EpisodicMemory
from essential.memory.selection import uniform_positions
from essential.methods.contract import Method
from essential.methods.exemplars import take_frames
from essential.models.classifier import Predictor
from essential.records.analysis import FramesKept

_AT_ONCE = 256
_NUMBERS = 8


@torch.no_grad()
def accuracy_by_frames(
    method: Method, table: FrameTable, slots: Int[Tensor, " clips"], tasks: Int[Tensor, " clips"], *, frames: int
) -> tuple[FramesKept, ...]:
    """Return the accuracy on the clips of `table` for 1 to `frames` frames, or for some numbers of these.

    Args:
        method: as it is after the last task, on the CPU.
        table: dense test clips.
        slots: their classes.
        tasks: the tasks that brought these.
        frames: of a dense clip.
    """
    kept = method.memory.positions.shape[1]
    numbers = _numbers(frames, kept)
    right, rebuilt_right, rebuilds = dict.fromkeys(numbers, 0), 0, False
    for rows in torch.arange(len(slots)).split(_AT_ONCE):
        dense, true = table.rows(rows), slots[rows]
        for number in numbers:
            positions = uniform_positions(number, frames).expand(len(rows), -1)
            scores = _scores(method.predictor, take_frames(dense, positions), positions, frames=frames)
            right[number] += int((scores.argmax(dim=1) == true).sum())
        positions = uniform_positions(kept, frames).expand(len(rows), -1)
        as_kept = EpisodicMemory(take_frames(dense, positions), positions, true, tasks[rows], ("",) * len(rows))
        rebuilt = method.rebuilt(as_kept)
        if rebuilt is not None:
            rebuilds = True
            rebuilt_right += int((method.predictor(rebuilt).argmax(dim=1) == true).sum())
    return tuple(
        FramesKept(
            frames=number,
            clips=len(slots),
            accuracy=right[number] / len(slots),
            retrieved_accuracy=rebuilt_right / len(slots) if rebuilds and number == kept else None,
        )
        for number in numbers
    )


def _scores(
    predictor: Predictor,
    features: Float[Tensor, "clips kept dim"],
    positions: Int[Tensor, "clips kept"],
    *,
    frames: int,
) -> Float[Tensor, "clips slots"]:
    """Score clips by some of their frames; where a predictor must have them all, each stands for those nearest too."""
    by_tokens = predictor.by_tokens(predictor.tokens(features, positions))
    if by_tokens is not None:
        return by_tokens
    scores: Tensor = predictor(fill(features, positions, frames=frames))
    return scores


def _numbers(frames: int, kept: int) -> Sequence[int]:
    """Return every number of frames, or some evenly spread ones, the memory's and the last with them."""
    if frames <= _NUMBERS:
        return range(1, frames + 1)
    return sorted({1 + (frames - 1) * step // (_NUMBERS - 1) for step in range(_NUMBERS)} | {kept})
