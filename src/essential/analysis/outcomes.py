"""What became of the test clips, from the stored predictions alone: what was right, confused, and forgotten."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from essential.engine.evaluate import Predictions
from essential.errors import CheckpointError
from essential.metrics import Evaluation, class_accuracy
from essential.records.analysis import ForgottenClip

_NEVER = -1


@dataclass(frozen=True)
class Outcomes:
    """All of it. `forgotten` has every clip that was, the surest mistake first; `last` what was said in the end.

    No forgotten clip has its frames yet.
    """

    class_accuracy_by_task: tuple[tuple[float | None, ...], ...]
    confusion: tuple[tuple[int, ...], ...]
    forgotten: tuple[ForgottenClip, ...]
    last: Predictions


def outcomes(predictions: Iterable[Predictions], names: Sequence[str]) -> Outcomes:
    """Return what became of the test clips.

    Args:
        predictions: one per task learned, in order; asked for one after the other, and only the last is kept whole.
        names: the classes learned in the end, by slot.

    Raises:
        CheckpointError: the predictions are not of one run.
    """
    decided: list[Evaluation] = []
    last: Predictions | None = None
    for each in predictions:
        if last is not None and each.videos[: len(last.videos)] != last.videos:
            raise CheckpointError(
                f"the predictions after task {len(decided) + 1} are not of the clips of those before; delete the "
                "folder predictions, and run train again with --resume after deleting record.json"
            )
        decided.append(each.evaluation())
        last = each
    assert last is not None, "a finished run has learned one task at least"
    return Outcomes(
        tuple(tuple(class_accuracy(evaluation, len(names))) for evaluation in decided),
        _confusion(decided[-1], len(names)),
        _forgotten(decided, last, names),
        last,
    )


def _confusion(evaluation: Evaluation, classes: int) -> tuple[tuple[int, ...], ...]:
    cells = evaluation.slots.astype(np.int64) * classes + evaluation.predicted
    counts = np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
    return tuple(tuple(row) for row in counts.tolist())


def _forgotten(decided: list[Evaluation], last: Predictions, names: Sequence[str]) -> tuple[ForgottenClip, ...]:
    first, latest = _when_right([each.predicted == each.slots for each in decided], clips=len(last.videos))
    end = decided[-1]
    clips = np.flatnonzero((first != _NEVER) & (end.predicted != end.slots))
    margins = last.scores[clips, end.predicted[clips]] - last.scores[clips, end.slots[clips]]
    found = [
        ForgottenClip(
            video=last.videos[clip],
            label=names[end.slots[clip]],
            known_after_task=int(first[clip]),
            lost_after_task=int(latest[clip]) + 1,
            predicted=names[end.predicted[clip]],
            margin=margin,
        )
        for clip, margin in zip(clips.tolist(), margins.tolist(), strict=True)
    ]
    return tuple(sorted(found, key=lambda one: (-one.margin, one.video)))


def _when_right(
    right: list[np.ndarray[Any, np.dtype[np.bool_]]], *, clips: int
) -> tuple[Int[np.ndarray, " clips"], Int[np.ndarray, " clips"]]:
    """Return after which task each clip was right for the first and for the last time; `_NEVER` if it never was."""
    first, latest = np.full((2, clips), _NEVER)
    for task, now in enumerate(right):
        seen = np.flatnonzero(now)
        first[seen] = np.where(first[seen] == _NEVER, task, first[seen])
        latest[seen] = task
    return first, latest
