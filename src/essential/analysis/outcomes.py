"""The outcomes of the test clips, from the stored predictions alone: which are right, confused, and forgotten."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from essential.engine.evaluate import Predictions
from essential.errors import CheckpointError
from essential.metrics import Evaluation, class_accuracy
from essential.records.analysis import ForgottenClip


@dataclass(frozen=True)
class Outcomes:
    """See `Analysis`; `forgotten` has all forgotten clips, without frames, and `last` the last predictions."""

    class_accuracy_by_task: tuple[tuple[float | None, ...], ...]
    confusion: tuple[tuple[int, ...], ...]
    forgotten: tuple[ForgottenClip, ...]
    last: Predictions


def outcomes(predictions: Iterable[Predictions], names: Sequence[str]) -> Outcomes:
    """Return the outcomes of the test clips from one `Predictions` per task learned, and the classes' names by slot.

    A CheckpointError if they are not of one run.
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
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (decided[-1].slots, decided[-1].predicted), 1)
    return Outcomes(
        tuple(tuple(class_accuracy(evaluation, len(names))) for evaluation in decided),
        tuple(map(tuple, confusion.tolist())),
        _forgotten(decided, last, names),
        last,
    )


def _forgotten(decided: list[Evaluation], last: Predictions, names: Sequence[str]) -> tuple[ForgottenClip, ...]:
    """Return the clips that were right after a task and are wrong in the end, the most confident mistake first."""
    right = np.zeros((len(decided), len(last.videos)), np.bool_)
    for row, each in zip(right, decided, strict=True):
        row[: len(each.slots)] = each.predicted == each.slots
    first_right, last_right = right.argmax(axis=0), len(right) - 1 - right[::-1].argmax(axis=0)
    predicted, slots = decided[-1].predicted, decided[-1].slots
    clips = np.flatnonzero(right.any(axis=0) & ~right[-1])
    margins = last.scores[clips, predicted[clips]] - last.scores[clips, slots[clips]]
    found = [
        ForgottenClip(
            video=last.videos[clip],
            label=names[slots[clip]],
            known_after_task=int(first_right[clip]),
            lost_after_task=int(last_right[clip]) + 1,
            predicted=names[predicted[clip]],
            margin=margin,
        )
        for clip, margin in zip(clips.tolist(), margins.tolist(), strict=True)
    ]
    return tuple(sorted(found, key=lambda one: (-one.margin, one.video)))
