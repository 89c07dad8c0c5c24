"""Scoring: one pass of the predictor over stored features, and the accuracies and metrics of what it predicts.

Nothing here draws a random number or opens a video.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from numbers import Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from essential.engine.clips import ClipTable
from essential.engine.process_group import Message, ProcessGroup, SingleProcess
from essential.engine.ranking import Ranking, named_arrays, rankings_in
from essential.files.sealed import Array
from essential.memory.ledger import total_by_kind
from essential.methods.contract import Method
from essential.metrics import METRICS, Evaluation, Metric, Scores, accuracy_on_seen, class_accuracy
from essential.models.classifier import Predictor
from essential.progress import QUIET, Progress
from essential.records import MOST_OTHER_METRICS, Metrics
from essential.shown import described, named, printable, quoted


@dataclass(frozen=True)
class Predictions:
    """The predictions of test videos: the best slots by each reading of the predictor, beside the true slots and tasks.

    It decides by the reading `reading`. See `Predictor`.

    Raises:
        ValueError: the arrays differ in length, or there is no such reading.
    """

    rankings: Mapping[str, Ranking]
    slots: Int[np.ndarray, " videos"]
    tasks: Int[np.ndarray, " videos"]
    videos: tuple[str, ...]
    reading: str = "cnn"

    def __post_init__(self) -> None:
        columns = {"slots": self.slots, "tasks": self.tasks, **named_arrays(self.rankings)}
        other = {name: len(column) for name, column in columns.items() if len(column) != len(self.videos)}
        if other:
            raise ValueError(f"there are {len(self.videos)} videos, and arrays of other lengths: {other}")
        if self.reading not in self.rankings:
            raise ValueError(f"there is no reading {self.reading!r}; there are {named([*self.rankings])}")

    @property
    def decided(self) -> Ranking:
        """The best slots by the reading that it decides by."""
        return self.rankings[self.reading]

    def evaluation(self, reading: str | None = None) -> Evaluation:
        """Reduce a reading, or the one that it decides by, to the best slot.

        Raises:
            KeyError: there is no such reading.
        """
        best = self.rankings[self.reading if reading is None else reading].slots
        # Copied, so that what is kept of many tasks does not hold all that is ranked.
        return Evaluation(best[:, 0].copy(), self.slots, self.tasks)


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
    memory_bytes: dict[str, int]
    predictions: Predictions


@torch.no_grad()
def predict(
    predictor: Predictor,
    clips: ClipTable,
    *,
    device: torch.device,
    batch_size: int = 512,
    group: ProcessGroup | None = None,
) -> Predictions:
    """Score every clip, without augmentation or mask: the slots seen so far are all there are.

    The ranks of a group take the batches in turns, and all get all of it: the numbers of one process, to the last bit.
    """
    predictor.to(device).eval()
    group = group or SingleProcess()
    batches = torch.arange(len(clips)).split(batch_size)  # of no clips there is one batch: it says which readings exist
    of_rank, done = [batches[rank :: group.size] for rank in range(group.size)], 0
    own: dict[str, Array] = {}
    for rows in of_rank[group.rank]:
        batch = clips.rows(rows)
        scores = predictor.readings(batch.features.to(device))
        # At once: the scores of a batch are all that is held, of however many slots.
        rankings = {name: Ranking.of(each, batch.slots) for name, each in scores.items()}
        for name, part in named_arrays(rankings).items():
            if name not in own:  # whole, as small arrays made between batches would leave gaps in memory behind
                own[name] = np.empty((sum(map(len, of_rank[group.rank])), *part.shape[1:]), part.dtype)
            own[name][done : done + len(part)] = part
        done += len(rows)
    found: dict[str, Array] = {}
    for theirs, message in zip(of_rank, group.all_gather(Message(own)), strict=True):
        for name, part in message.arrays.items():
            found.setdefault(name, np.empty((len(clips), *part.shape[1:]), part.dtype))[torch.cat(theirs).numpy()] = (
                part
            )
    return Predictions(
        rankings_in(found), clips.slots.numpy(), clips.tasks.numpy(), tuple(clips.names), predictor.reading
    )


def evaluated(
    method: Method, task: int, tests: ClipTable, *, device: torch.device, group: ProcessGroup | None = None
) -> TaskReport:
    """Score the test clips of the classes seen so far, when the method has learned `task`."""
    found = predict(method.predictor, tests, device=device, group=group)
    return TaskReport(task, accuracy_on_seen(found.evaluation()), total_by_kind(method.ledger()), found)


def scored(
    predictions: Iterable[Predictions], *, class_counts: Sequence[int], progress: Progress = QUIET
) -> dict[str, Any]:
    """Return the accuracies and metrics of a record, from the predictions made after each task.

    Args:
        predictions: one per task learned, in order; asked for one after the other, and only its decisions are kept.
        class_counts: each task's number of classes.
        progress: says which metrics of plug-ins have no value, and why.

    Returns:
        `reading`, `accuracy`, `class_accuracy` and `metrics`. A metric of a reading that the predictor does not give
        after every task is None.
    """
    readings: list[dict[str | None, Evaluation]] = []
    reading = ""
    for each in predictions:
        readings.append({name: each.evaluation(name) for name in (None, *each.rankings)})
        reading = each.reading
    common = set(readings[0]).intersection(*readings)
    scores = {name: Scores.of([each[name] for each in readings], class_counts) for name in common}
    # Before a metric of a plug-in, which may change what it is given; those come last.
    accuracy = tuple(map(tuple, scores[None].matrix))
    names = [*METRICS]
    most = sum(name in METRICS.built_in for name in names) + MOST_OTHER_METRICS
    values = {name: _value(name, METRICS[name], scores, progress) for name in names[:most]}
    if names[most:]:
        progress.say(f"a record holds {MOST_OTHER_METRICS} metrics of plug-ins; left out: {named(names[most:])}")
    return {
        "reading": reading,
        "accuracy": accuracy,
        "class_accuracy": tuple(class_accuracy(readings[-1][None], sum(class_counts))),
        "metrics": Metrics.model_validate(values),
    }


def _value(name: str, metric: Metric, scores: Mapping[str | None, Scores], progress: Progress) -> float | None:
    def compute() -> Any:
        return metric.compute(scores[metric.reading]) if metric.reading in scores else None

    return compute() if name in METRICS.built_in else value_of(f"the plug-in metric {name!r}", compute, progress)


def value_of(metric: str, compute: Callable[[], Any], progress: Progress = QUIET) -> float | None:
    """Return the value of a metric that is not the library's; if it raises, or gives no finite number, None.

    `progress` says why; `metric` is what it calls the metric.
    """
    # No error of a metric may cost the record of a whole training.
    try:
        value = compute()
        if value is None:
            return None
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else nan
        if isfinite(number):
            return number
        reason = f"gave {quoted(value)}, no finite number"
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = f"raised {described(error)}"
    progress.say(printable(f"{metric} has no value: it {' '.join(reason.split())}"))
    return None
