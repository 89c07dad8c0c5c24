"""The outcome of a run, in memory or read from its folder: numbers, arrays, and a table that shows itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from essential.api.listings import Table
from essential.engine.evaluate import Predictions
from essential.engine.run_folder import RunFolder
from essential.engine.settings import RunConfig
from essential.errors import CheckpointError
from essential.memory.episodic import EpisodicMemory
from essential.metrics import Scores
from essential.records import MemoryBytes, Record
from essential.records.training_log import EpochReport


@dataclass(frozen=True, eq=False, repr=False)
class Outcome:
    """The outcome of a run, as arrays, and as a table in a terminal or a notebook.

    Attributes:
        accuracy: fractions; row = after learning a task, column = on the test clips of a task. NaN: not learned yet, or
            no test clip.
        accuracy_on_seen: over all test clips of the classes seen, after each task; None: there is none.
        class_accuracy: fractions after the last task, by class in order of arrival; NaN: no test clip.
        metrics: fractions by name; None where a metric is not defined.
        memory_bytes_by_task: bytes kept after each task, by kind and in all.
        classes: the labels in order of arrival: slot i is class i.
        reading: what the method decides by: a trained head (`cnn`), nearest means (`nme`), ...
    """

    accuracy: Float[np.ndarray, "tasks tasks"]
    accuracy_on_seen: Sequence[float | None]
    class_accuracy: Float[np.ndarray, " classes"]
    metrics: Mapping[str, float | None]
    memory_bytes_by_task: Sequence[MemoryBytes]
    classes: Sequence[int | str]
    reading: str

    @property
    def memory_bytes(self) -> MemoryBytes:
        """The bytes kept after the last task, by kind and in all."""
        return self.memory_bytes_by_task[-1]

    @property
    def table(self) -> Table:
        """One row a task: the accuracies after it, and the bytes kept."""
        columns: dict[str, Sequence[Any]] = {"after task": [*range(1, len(self.accuracy) + 1)]}
        columns |= {f"task {task}": column.tolist() for task, column in enumerate(self.accuracy.T, start=1)}
        columns["all seen"] = [*self.accuracy_on_seen]
        return Table({**columns, "bytes kept": [each.total for each in self.memory_bytes_by_task]})

    def to_frame(self) -> Any:
        """Return `table` as a pandas DataFrame; as it is where there is no pandas."""
        try:
            pandas: Any = import_module("pandas")
        except ImportError:
            return self.table
        return pandas.DataFrame({name: [*column] for name, column in self.table.columns.items()})

    def __repr__(self) -> str:
        return f"{self.table!r}\n\n{self._metrics()!r}"

    def _repr_html_(self) -> str:
        return self.table._repr_html_() + self._metrics()._repr_html_()

    def _metrics(self) -> Table:
        known = {name: value for name, value in self.metrics.items() if value is not None}
        return Table({"metric": [*known], "value": [*known.values()]})


def epoch_arrays(log: Sequence[EpochReport]) -> dict[str, np.ndarray]:
    """Return a log as arrays with one entry an epoch: what an epoch is, and every loss term (NaN: it had none)."""
    names = ("task", "stage", "epoch", "learning_rate")
    terms = dict.fromkeys(name for report in log for name in report.losses)
    losses = {name: np.array([report.losses.get(name, np.nan) for report in log]) for name in terms}
    return {**{name: np.array([getattr(report, name) for report in log]) for name in names}, **losses}


def fractions(rows: Sequence[Sequence[float | None]]) -> Float[np.ndarray, "rows columns"]:
    """Return fractions as an array, NaN for None."""
    return np.array([[np.nan if value is None else value for value in row] for row in rows], np.float64)


def read_run(folder: str | Path) -> "SavedRun":
    """Read a finished run; its predictions, log and memory are read when they are first asked for.

    Raises:
        RunError: the folder holds no record, or a damaged one.
    """
    files = RunFolder(Path(folder))
    record = Record.read(files.record)
    learned = len(record.accuracy)
    return SavedRun(
        fractions([row[:learned] for row in record.accuracy]),
        record.scores.seen,
        fractions([record.class_accuracy])[0],
        record.metrics.model_dump(),
        record.memory_bytes_by_task,
        [name for task in record.protocol.tasks[:learned] for name in task.classes],
        record.reading,
        files,
        record,
    )


@dataclass(frozen=True, eq=False, repr=False)
class SavedRun(Outcome):
    """A finished run in its folder.

    A part that is missing, damaged or another run's raises `RunError` or `CheckpointError` when it is asked for.

    Attributes:
        folder: its files.
        record: its result.
    """

    folder: RunFolder
    record: Record

    @property
    def scores(self) -> Scores:
        """What metrics are computed from: one of your own is a function of it."""
        return self.record.scores

    @cached_property
    def config(self) -> RunConfig:
        """The resolved config."""
        return self.folder.config()

    @cached_property
    def predictions(self) -> list[Predictions]:
        """The predictions of all test videos of the classes seen, after each task."""
        found = [self.folder.read_predictions(task) for task in range(len(self.record.accuracy))]
        tasks = self.record.protocol.tasks
        counted = [sum(task.test_videos for task in tasks[:number]) for number in range(1, len(found) + 1)]
        if [len(each.videos) for each in found] != counted:
            raise CheckpointError(
                "the predictions are of other test videos than the record counts",
                where=self.folder.path,
                remedy="run `essential evaluate`, or put the run's own files back",
            )
        return found

    @cached_property
    def log(self) -> Sequence[EpochReport]:
        """What every epoch gave."""
        return self.folder.read_log()

    @property
    def epochs(self) -> Mapping[str, np.ndarray]:
        """The log as arrays; see `epoch_arrays`."""
        return epoch_arrays(self.log)

    @cached_property
    def memory(self) -> EpisodicMemory | None:
        """The exemplars after the last task; None: the method keeps none."""
        return EpisodicMemory.read(self.folder.memory) if self.record.exemplars else None
