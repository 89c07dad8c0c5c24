"""What a run in memory and a run in a folder have in common: how their accuracies are shown and read as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Float

from essential.api.tables import Table
from essential.engine.fit import EpochReport
from essential.records.run import MemoryBytes


@dataclass(frozen=True, eq=False, repr=False)
class Outcome:
    """What a run has come to: in numbers, as arrays, and as a table in a terminal or a notebook.

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
