"""Learn tasks that are in memory, one after the other, and score the test clips seen so far after each."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import torch

from essential.api.arrays import ArrayTask, Label
from essential.api.outcomes import Outcome, epoch_arrays, fractions
from essential.engine.clips import ClipTable
from essential.engine.config import parse_config, training_config
from essential.engine.evaluate import Predictions, TaskReport, evaluated, scored, value_of
from essential.engine.learn_task import EpochDone, learn_task
from essential.engine.settings import RunConfig, TrainingConfig, choose_device
from essential.engine.turns import turn
from essential.errors import ConfigError, DataError
from essential.memory.ledger import LedgerEntry
from essential.methods import build_method as build
from essential.methods import method_section
from essential.methods.contract import Method
from essential.metrics import METRICS, Scores
from essential.progress import Progress
from essential.records import MemoryBytes
from essential.records.training_log import EpochReport
from essential.shown import named, quoted

Metric = Callable[[Scores], float | None]


def build_method(name: str, *, dim: int, frames: int, seed: int = 0, **settings: Any) -> Method:
    """Build a method by its name, before its first task.

    Args:
        name: one of `list_methods()`.
        dim: numbers per frame.
        frames: frames of a clip.
        seed: what every random choice derives from.
        settings: of the method's config, such as `exemplars_per_class=20` or `classifier={"heads": 4}`.

    Raises:
        ConfigError: no method or setting has that name (the nearest is named), or a value is not allowed.
    """
    for where, number in (("dim", dim), ("frames", frames)):
        if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
            raise ConfigError(f"is {number!r}", where=where, remedy="give a whole number, 1 or more")
    config = method_config(name, settings, seed=seed)
    with turn(config.training.threads):
        return build(config.method, dim=int(dim), frames=int(frames), seed=config.seed)


def method_config(name: str, settings: Mapping[str, Any], *, seed: int) -> RunConfig:
    """Return a config of a method with `settings` in the place of its own; errors are those of `build_method`."""
    section = _merged(method_section(name), settings)
    return parse_config({"data": {"kind": "features"}, "method": section, "seed": seed}, f"of method {name}")


def run(
    method: Method,
    tasks: Iterable[ArrayTask],
    epochs: int | None = None,
    *,
    training: TrainingConfig | Mapping[str, Any] | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_task: Callable[[TaskReport], None] | None = None,
    metrics: Mapping[str, Metric] | None = None,
    progress: Progress | None = None,
) -> "Result":
    """Let a method learn tasks one after the other, and score all test clips of the classes seen after each.

    Args:
        method: a new one; changed.
        tasks: see `tasks_from_arrays`.
        epochs: on a task's clips; None: as `training` says, 30 by default.
        training: all other settings of the optimisation, such as `{"batch_size": 64, "device": "cpu"}`.
        on_epoch: called after every epoch.
        on_task: called after every task, when its test clips have been scored.
        metrics: further metrics by name, each a function of the accuracies (`Scores`). One that raises, or gives no
            finite number, is None in the result.
        progress: shows how far it is, and says why a metric has no value; without it, a warning does.

    Raises:
        ConfigError: a setting or metric is not allowed, or the method has learned before.
        DataError: the clips do not fit the method, or the tasks not each other.
        TrainingError: a loss is not finite.
    """
    settings = training_config(training, {} if epochs is None else {"epochs": epochs})
    tasks, own = _task_list(tasks), _own_metrics(metrics)
    _check(method, tasks)
    log: list[EpochReport] = []
    reports: list[TaskReport] = []

    def after_epoch(done: EpochDone) -> None:
        log.append(done.report)
        if on_epoch is not None:
            on_epoch(done.report)

    with turn(settings.threads):
        for task in tasks:
            title = f"task {task.index + 1} of {len(tasks)}"
            learned = _with_earlier(tasks, task.index) if method.needs_all_tasks else task
            learn_task(method, learned, settings, title=title, progress=progress, on_epoch=after_epoch)
            clips = ClipTable.joined([each.test for each in tasks[: task.index + 1]])
            reports.append(evaluated(method, task.index, clips, device=choose_device(settings.device)))
            if on_task is not None:
                on_task(reports[-1])
    return _result(tasks, reports, log, method, own, progress or _Warnings())


class _Warnings(Progress):
    """Shows notes alone, as warnings."""

    def say(self, note: str) -> None:
        warnings.warn(note, stacklevel=2)


def _task_list(tasks: Any) -> list[ArrayTask]:
    found = [*tasks] if isinstance(tasks, Iterable) else [tasks]
    wrong = [task for task in found if not isinstance(task, ArrayTask)]
    if wrong or not isinstance(tasks, Iterable):
        problem = f"holds {quoted(wrong[0])}" if wrong else "is one task"
        raise DataError(problem, where="tasks", remedy="give a list of tasks, as `tasks_from_arrays` does")
    return found


def _own_metrics(metrics: Any) -> dict[str, Metric]:
    """Return the metrics given; refuse what is no function, and a name that another metric has."""
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        raise ConfigError(f"is {quoted(metrics)}", where="metrics", remedy="give functions by name: {'name': function}")
    for name, metric in metrics.items():
        where = f"metrics[{quoted(name)}]"
        if not isinstance(name, str) or not callable(metric):
            wrong = "its name is no text" if callable(metric) else f"is {quoted(metric)}"
            raise ConfigError(wrong, where=where, remedy="give functions by name: {'name': function}")
        if name in METRICS:
            raise ConfigError("the name is taken by a metric of `list_metrics()`", where=where, remedy="choose another")
    return dict(metrics)


def _check(method: Method, tasks: Sequence[ArrayTask]) -> None:
    """Refuse tasks that do not follow each other, or that the method cannot learn."""
    if not tasks:
        raise DataError("is empty", where="tasks", remedy="give at least one task")
    if method.slots:
        raise ConfigError(
            f"has learned {len(method.slots)} tasks before", where="method", remedy="build a new one for every run"
        )
    first_slot, seen = 0, dict[Label, int]()
    for number, task in enumerate(tasks):
        where = f"tasks[{number}]"
        if task.index != number or task.slots.start != first_slot:
            raise DataError(
                f"is task {task.index} with the slots {task.slots.start} to {task.slots.stop - 1}; task {number} from "
                f"slot {first_slot} belongs here",
                where=where,
                remedy="give the tasks in order, as `tasks_from_arrays` does",
            )
        for label in task.classes:
            if seen.setdefault(label, number) != number:
                twice = f"has the class {label!r}, as tasks[{seen[label]}] has"
                raise DataError(twice, where=where, remedy="leave it out of one")
        if method.needs_words and task.words is None:
            problem = "has no words of its classes, and the method is made of them"
            raise DataError(problem, where=where, remedy="give `words` to `tasks_from_arrays`")
        _check_clips(method, task, where)
        first_slot = task.slots.stop
    method.check_room([name for task in tasks for name in task.longest_names], tasks=len(tasks))


def _check_clips(method: Method, task: ArrayTask, where: str) -> None:
    learned = {*task.train.slots.tolist()}
    without = [label for slot, label in zip(task.slots, task.classes, strict=True) if slot not in learned]
    if without:
        raise DataError(f"has no training clip of {named(without)}", where=where, remedy="give one of each class")
    for clips in (task.train, task.test):
        frames, dim = clips.read(torch.arange(0)).shape[1:]
        if method.clip_shape not in (None, (frames, dim)):
            raise DataError(
                f"has clips of {(frames, dim)} (frames, dim), but the method takes {method.clip_shape}",
                where=where,
                remedy=f"build the method with frames={frames}, dim={dim}",
            )


def _with_earlier(tasks: Sequence[ArrayTask], index: int) -> ArrayTask:
    return replace(tasks[index], train=ClipTable.joined([task.train for task in tasks[: index + 1]]))


def _merged(section: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section with settings in the place of its own, section in section."""
    merged = {**section, **settings}
    for name, own in section.items():
        if isinstance(own, Mapping) and isinstance(merged[name], Mapping):
            merged[name] = _merged(own, merged[name])
    return merged


@dataclass(frozen=True, eq=False, repr=False)
class Result(Outcome):
    """What a method has learned of tasks in memory.

    Attributes:
        predictions: of all test clips of the classes seen, after each task.
        log: what every epoch gave.
        ledger: everything that the method keeps beside its predictor.
    """

    predictions: Sequence[Predictions]
    log: Sequence[EpochReport]
    ledger: Sequence[LedgerEntry]

    @property
    def epochs(self) -> Mapping[str, np.ndarray]:
        """The log as arrays; see `epoch_arrays`."""
        return epoch_arrays(self.log)


def _result(
    tasks: Sequence[ArrayTask],
    reports: Sequence[TaskReport],
    log: Sequence[EpochReport],
    method: Method,
    metrics: Mapping[str, Metric],
    progress: Progress,
) -> Result:
    predictions = [report.predictions for report in reports]
    counts = [len(task.classes) for task in tasks]
    found = scored(predictions, class_counts=counts, progress=progress)
    of_run = Scores.of([each.evaluation() for each in predictions], counts)
    own = {
        name: value_of(f"the metric {name!r}", partial(metric, of_run), progress) for name, metric in metrics.items()
    }
    return Result(
        fractions(found["accuracy"]),
        [report.accuracy for report in reports],
        fractions([found["class_accuracy"]])[0],
        {**found["metrics"].model_dump(), **own},
        [MemoryBytes.model_validate(report.memory_bytes) for report in reports],
        [label for task in tasks for label in task.classes],
        found["reading"],
        predictions,
        log,
        method.ledger(),
    )
