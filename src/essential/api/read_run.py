"""A finished run's folder, read: its record, config, predictions, log and memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from essential.api.outcome import Outcome, epoch_arrays, fractions
from essential.engine.evaluate import Predictions
from essential.engine.fit import EpochReport
from essential.engine.run_folder import RunFolder
from essential.engine.settings import RunConfig
from essential.errors import CheckpointError
from essential.memory.episodic import EpisodicMemory
from essential.metrics import Scores
from essential.records import Record


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
        [name for task in record.protocol.tasks for name in task.classes],
        record.reading,
        files,
        record,
    )


@dataclass(frozen=True, eq=False, repr=False)
class SavedRun(Outcome):
    """A finished run in its folder. A part that is missing or damaged is an error that names it, when it is asked for.

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
        """The resolved config.

        Raises:
            RunError: the file is missing or damaged.
        """
        return self.folder.config()

    @cached_property
    def predictions(self) -> list[Predictions]:
        """What was predicted of all test videos of the classes seen, after each task.

        Raises:
            CheckpointError: a file is missing, damaged, or of another run.
        """
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
        """What every epoch gave.

        Raises:
            RunError: the file is missing or damaged.
        """
        return self.folder.read_log()

    @property
    def epochs(self) -> Mapping[str, np.ndarray]:
        """The log as arrays; see `epoch_arrays`."""
        return epoch_arrays(self.log)

    @cached_property
    def memory(self) -> EpisodicMemory | None:
        """The exemplars after the last task; None: the method keeps none.

        Raises:
            CheckpointError: the file is missing or damaged.
        """
        return EpisodicMemory.read(self.folder.memory) if self.record.exemplars else None
