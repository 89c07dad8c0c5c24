"""What a run says of itself: `record.json`, here, and `analysis.json`. Reports are made from these alone."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model, model_validator

from essential.files.versioned_json import Part, Whole
from essential.metrics import METRICS, Scores, name_fault, rounding, seen_accuracy_by_task

SCHEMA_VERSION = 3
BUILT_IN = {name: METRICS[name] for name in METRICS.built_in}
"""The metrics that every record has a place for; a record without one of them is older than it."""
MOST_OTHER_METRICS = 100
"""How many metrics of plug-ins a record holds."""

# No record is older than these.
_IN_ALL_RECORDS = frozenset(
    {"final_accuracy", "average_incremental_accuracy", "forgetting_from_best", "backward_forgetting"}
)

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
    """What was learned, in which order. Runs with one `id` are comparable.

    `list_sha256` is of the annotation list, if there is one; `passed_over` counts ignored files by reason.
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
    """How it was learned; `asked_for` is the name of its settings, such as slda-temporal, if it had one."""

    name: str
    asked_for: str | None = None
    config: Mapping[str, Any]

    @property
    def shown(self) -> str:
        """The name for a reader: the one that was asked for, or the method's own."""
        return self.asked_for or self.name

    @property
    def budget_bytes(self) -> int | None:
        """The cap on its memory; None without one, and for a method that takes none."""
        own = self.config.get("base", self.config)
        return own.get("budget_bytes") if isinstance(own, Mapping) else None

    @property
    def needs_all_tasks(self) -> bool:
        """Whether it trains on the videos of all tasks, which its bytes do not count."""
        return bool(self.config.get("needs_all_tasks"))


class EncoderRecord(Part):
    """The frozen network; `fingerprint` covers its weights, and `text_tower` those that made the classes' words."""

    name: str
    fingerprint: str
    text_tower: str | None = None


class _Metrics(Part, extra="allow"):
    """Metrics by name: the built-in ones, in the order of `METRICS`, and then any that plug-ins added.

    All but the readings by name (`_cnn`, `_nme`) are of the scores that the method decides by. Null where a metric is
    undefined: forgetting of a single task, no test video. A plug-in's metric is kept and never recomputed, so that a
    record is read without the plug-in too.
    """

    __pydantic_extra__: dict[str, float | None] = Field(init=False)

    @model_validator(mode="after")
    def _names_of_others(self) -> "_Metrics":
        others = self.model_extra or {}
        if len(others) > MOST_OTHER_METRICS:
            most = f"the {MOST_OTHER_METRICS} that a record holds"
            raise ValueError(f"{len(others)} metrics of plug-ins are more than {most}")
        for name in others:
            if fault := name_fault(name):
                raise ValueError(fault)
        return self


if TYPE_CHECKING:

    class Metrics(_Metrics):
        """Has an attribute for every metric, since its fields are made of `METRICS`."""

        def __getattr__(self, name: str) -> float | None: ...

else:
    Metrics = create_model(
        "Metrics",
        __base__=_Metrics,
        __module__=__name__,
        **{
            name: ((Difference if metric.less_is_better else Fraction) | None, ... if name in _IN_ALL_RECORDS else None)
            for name, metric in BUILT_IN.items()
        },
    )


class MemoryBytes(Part):
    """Bytes carried from task to task, as stored, by kind."""

    episodic: Count
    semantic: Count
    statistics: Count = 0
    retrieval_modules: Count
    total: Count

    @property
    def budgeted(self) -> int:
        """What a memory budget caps and papers compare: all but the MR modules."""
        return self.total - self.retrieval_modules

    @model_validator(mode="after")
    def _adds_up(self) -> "MemoryBytes":
        expected = self.episodic + self.semantic + self.statistics + self.retrieval_modules
        if self.total != expected:
            raise ValueError(f"total is {self.total}, but the kinds add up to {expected}")
        return self


class SkippedVideo(Part):
    """A video that could not be read and was skipped."""

    video: str
    split: str
    reason: str


class SecondsSpent(Part):
    """Wall-clock time by activity."""

    extract: Seconds
    train: Seconds
    evaluate: Seconds


class LedgerRecord(Part):
    """One item in memory, and whether papers count it."""

    kind: str
    name: str
    bytes: Count
    in_paper_figure: bool


class Record(Whole):
    """All that a report needs of one run.

    Attributes:
        reading: which scores give the accuracies: `cnn` (trained head), `nme` (nearest mean of exemplars), closed form.
        accuracy: row = after task, column = on task; null where not yet learned or without a test video.
        class_accuracy: after the last task, by class in order of arrival; empty in older records.
        trainable_parameters: of the last task; null for an imported run.
        memory_bytes_by_task: one entry per task learned.
    """

    newest = SCHEMA_VERSION
    kind = "a record"
    remedy = "run its command again"
    indent = 2
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
        """Return the share of a split's listed videos that the run used; None if none was listed.

        The others are in `skipped_videos`. Tasks not learned, and training videos of an imported run, do not count.
        """
        learned = self.protocol.tasks[: len(self.accuracy)]
        used = sum(task.train_videos if split == "train" else task.test_videos for task in learned)
        listed = used + sum(video.split == split for video in self.skipped_videos)
        return used / listed if listed else None

    @property
    def untested(self) -> str | None:
        """Why there is no accuracy; None if there is one."""
        if self.metrics.final_accuracy is not None:
            return None
        left_out = sum(video.split == "test" for video in self.skipped_videos)
        found = f"all {left_out} were skipped" if left_out else "the data has none"
        return f"no accuracy, as there is no test video of the classes learned ({found})"

    @property
    def scores(self) -> Scores:
        """What its metrics follow from, except those of another reading."""
        learned = len(self.accuracy)
        tasks, matrix = self.protocol.tasks[:learned], [row[:learned] for row in self.accuracy]
        videos = [task.test_videos for task in tasks]
        return Scores(matrix, seen_accuracy_by_task(matrix, videos), videos, [len(task.classes) for task in tasks])

    def contradiction(self) -> str | None:
        """Return which built-in metric does not follow from the accuracies, and what they give.

        Metrics of another reading are not checked, since their accuracies are not stored; nor are metrics that an
        older record lacks.
        """
        for name, metric in BUILT_IN.items():
            stated = getattr(self.metrics, name)
            if metric.reading is not None or (stated is None and name not in _IN_ALL_RECORDS):
                continue
            value = metric.compute(self.scores)
            if (stated is None) != (value is None) or abs((stated or 0) - (value or 0)) > rounding(len(self.accuracy)):
                return f"contradicts itself: metrics.{name} is {stated}, but its accuracies give {value}"
        return None
