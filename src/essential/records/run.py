"""The record of a run: `record.json`, the only thing that reports and tables are made from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from essential.files.versioned_json import Part, Whole, read_versioned, write_versioned
from essential.metrics import METRICS, SECOND_NAMES, Scores, rounding, seen_accuracy_by_task

SCHEMA_VERSION = 2

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Difference = Annotated[float, Field(ge=-1, le=1)]


class TaskRecord(Part):
    """One task: its classes in order of arrival, and how many of its videos were used."""

    classes: tuple[str, ...] = Field(min_length=1)
    train_videos: Count
    test_videos: Count


class ProtocolRecord(Part):
    """What was learned, in which order. Runs are comparable when `id` is the same.

    `list_sha256` is the hash of the annotation list that it comes from, where there is one. `passed_over` counts what
    was in the videos' folders and was not taken, by reason.
    """

    name: str
    id: str
    list_sha256: str | None = None
    passed_over: Mapping[str, Count] = {}
    tasks: tuple[TaskRecord, ...] = Field(min_length=1)

    @property
    def task_sizes(self) -> list[int]:
        """How many classes each task has."""
        return [len(task.classes) for task in self.tasks]


class MethodRecord(Part):
    """How it was learned."""

    name: str
    config: Mapping[str, Any]

    @property
    def needs_all_tasks(self) -> bool:
        """Whether it was given the videos of all tasks: it keeps those, which are no number of bytes."""
        return bool(self.config.get("needs_all_tasks"))


class EncoderRecord(Part):
    """What turned pixels into features; `fingerprint` covers its weights."""

    name: str
    fingerprint: str


class Metrics(Part):
    """Fractions, defined in `essential.metrics`; null where undefined (forgetting of a single task, no test video).

    All but the readings by name (`_cnn`, `_nme`) are of the scores that the method decides by.
    """

    final_accuracy: Fraction | None
    average_incremental_accuracy: Fraction | None
    average_incremental_accuracy_cnn: Fraction | None = None
    average_incremental_accuracy_nme: Fraction | None = None
    vclimb_accuracy: Fraction | None = None
    vclimb_accuracy_unweighted: Fraction | None = None
    vclimb_bwf: Difference | None = None
    forgetting_from_best: Difference | None
    backward_forgetting: Difference | None
    tcd_forgetting: Difference | None = None


assert METRICS.built_in.keys() - SECOND_NAMES == Metrics.model_fields.keys(), "each of our metrics needs a field"


class MemoryBytes(Part):
    """Bytes carried from task to task, as stored, by kind."""

    episodic: Count
    semantic: Count
    statistics: Count = 0
    retrieval_modules: Count
    total: Count

    @property
    def budgeted(self) -> int:
        """What a memory budget caps, and papers compare methods at: all but the MR modules."""
        return self.total - self.retrieval_modules

    @model_validator(mode="after")
    def _adds_up(self) -> "MemoryBytes":
        expected = self.episodic + self.semantic + self.statistics + self.retrieval_modules
        if self.total != expected:
            raise ValueError(f"total is {self.total}, but the kinds add up to {expected}")
        return self


class SkippedVideo(Part):
    """A video that could not be read and was left out, by the policy `skip`."""

    video: str
    split: str
    reason: str


class SecondsSpent(Part):
    """Wall-clock time by activity."""

    extract: Seconds
    train: Seconds
    evaluate: Seconds


class LedgerRecord(Part):
    """One thing that the memory holds, its bytes, and whether a paper's memory figure counts it."""

    kind: str
    name: str
    bytes: Count
    in_paper_figure: bool


class Record(Whole):
    """Everything a report needs to know of one run.

    `accuracy` has one row per task learned; row = after task, column = on task, null where not yet learned or
    without a test video. `class_accuracy` is after the last task and has one entry per class learned, in order of
    arrival; older records have none.
    `reading` is what the accuracies are of: a trained head (`cnn`), the nearest mean of exemplars (`nme`), or scores in
    closed form. `trainable_parameters` counts what the last task trains; null for a run that was imported.
    `memory_bytes_by_task` has one entry per task learned.
    """

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    protocol: ProtocolRecord
    method: MethodRecord
    encoder: EncoderRecord
    seed: int
    reading: str = "cnn"
    accuracy: tuple[tuple[Fraction | None, ...], ...] = Field(min_length=1)
    class_accuracy: tuple[Fraction | None, ...] = ()
    metrics: Metrics
    trainable_parameters: Count | None = None
    memory_bytes: MemoryBytes
    exemplars: Count
    skipped_videos: tuple[SkippedVideo, ...]
    seconds: SecondsSpent
    versions: Mapping[str, str]
    data: Mapping[str, Any]
    config: Mapping[str, Any]
    ledger: tuple[LedgerRecord, ...]
    memory_bytes_by_task: tuple[MemoryBytes, ...]

    @model_validator(mode="after")
    def _fits_its_tasks(self) -> "Record":
        learned, tasks = len(self.accuracy), len(self.protocol.tasks)
        widths = {len(row) for row in self.accuracy}
        if learned > tasks or len(widths) != 1 or not learned <= min(widths) <= tasks:
            raise ValueError(f"accuracy has {learned} rows of lengths {sorted(widths)} for {tasks} tasks")
        if any(accuracy is not None for row, values in enumerate(self.accuracy) for accuracy in values[row + 1 :]):
            raise ValueError("accuracy has a number for a task that was not learned yet; only null may stand there")
        classes = sum(len(task.classes) for task in self.protocol.tasks[:learned])
        if len(self.class_accuracy) not in (0, classes):
            raise ValueError(f"class_accuracy has {len(self.class_accuracy)} entries for {classes} classes learned")
        if len(self.memory_bytes_by_task) != learned:
            raise ValueError(f"memory_bytes_by_task has {len(self.memory_bytes_by_task)} entries for {learned} tasks")
        return self

    def coverage(self, split: str) -> float | None:
        """Return the share of a split's listed videos that the run could use; None if it was to use none.

        A listed video that is missing or cannot be read is among `skipped_videos`. Tasks that were not learned, and the
        training videos of a run that was imported, do not count: nobody looked for them.
        """
        learned = self.protocol.tasks[: len(self.accuracy)]
        used = sum(task.train_videos if split == "train" else task.test_videos for task in learned)
        listed = used + sum(video.split == split for video in self.skipped_videos)
        return used / listed if listed else None

    @property
    def untested(self) -> str | None:
        """Say why the accuracies are not known; None where they are."""
        if self.metrics.final_accuracy is not None:
            return None
        left_out = sum(video.split == "test" for video in self.skipped_videos)
        found = f"all of them were left out ({left_out})" if left_out else "the data has none"
        return f"accuracy and forgetting are not known, for want of test videos of the classes learned: {found}"

    @property
    def scores(self) -> Scores:
        """What its metrics follow from, but for those of another reading."""
        learned = len(self.accuracy)
        tasks, matrix = self.protocol.tasks[:learned], [row[:learned] for row in self.accuracy]
        videos = [task.test_videos for task in tasks]
        return Scores(matrix, seen_accuracy_by_task(matrix, videos), videos, [len(task.classes) for task in tasks])

    def contradiction(self) -> str | None:
        """Return which metric does not follow from the accuracies, and what they give.

        Those of another reading have accuracies of their own, which are not here. Those that older records did not have
        yet are not missed.
        """
        for name, field in Metrics.model_fields.items():
            stated = getattr(self.metrics, name)
            if METRICS[name].reading is not None or (stated is None and not field.is_required()):
                continue
            value = METRICS[name].compute(self.scores)
            if (stated is None) != (value is None) or abs((stated or 0) - (value or 0)) > rounding(len(self.accuracy)):
                return f"contradicts itself: metrics.{name} is {stated}, but its accuracies give {value}"
        return None

    @classmethod
    def read(cls, path: Path, *, unverified: bool = False) -> "Record":
        """Read a `record.json`.

        Args:
            path: the file.
            unverified: read it also if it was changed after it was written, or its metrics do not follow from its
                accuracies; `marked` says so then, as it says of an older record that it has no digest.

        Raises:
            RunError: the file is missing, unreadable, damaged, changed, or written by a newer version.
        """
        remedy = "run its command again"
        return read_versioned(path, cls, newest=SCHEMA_VERSION, what="a record", remedy=remedy, unverified=unverified)

    def write(self, path: Path) -> None:
        """Write the record as JSON with a digest of it, whole or not at all.

        Raises:
            FileSystemError: the disk refuses.
        """
        write_versioned(path, self, indent=2)
