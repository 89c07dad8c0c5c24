"""`analysis.json`: what a report shows of a run beyond its record.

Made from the run's folder and from the features and videos that are still there; `notes` says what could not be made
and why. Like a record it holds no path of the machine.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from essential.errors import RunError
from essential.files.versioned_json import Part, Whole
from essential.records import Count, Fraction, Record

SCHEMA_VERSION = 2
MOST_EXEMPLARS = 400
MOST_FORGOTTEN = 24
FRAMES_SHOWN = 4

CosineDistance = Annotated[float, Field(ge=0, le=2)]
SquaredError = Annotated[float, Field(ge=0)]
# Only letters of base64, so that a page may show it as it is.
Jpeg = Annotated[str, Field(pattern=r"^/9j/[A-Za-z0-9+/]+={0,2}$", max_length=20_000)]
Kind = Literal["dense", "sparse", "retrieved"]


class MeanDistances(Part):
    """Mean distances, over `exemplars`, of what is kept from the dense clips.

    `sparse` and `retrieved` are cosine distances of clip tokens, 0 to 2; `sparse_frames` and `retrieved_frames` mean
    squared errors of frame features. In `sparse_frames` each stored frame also stands for the frames nearest to it.
    The retrieved ones are null where the method rebuilds nothing.
    """

    exemplars: Annotated[int, Field(ge=1)]
    sparse: CosineDistance
    sparse_frames: SquaredError
    retrieved: CosineDistance | None = None
    retrieved_frames: SquaredError | None = None


class SlotDistances(Part):
    """The distances of one class."""

    slot: Count
    means: MeanDistances


class Distances(Part):
    """The distances of the exemplars, or of as many as are read, and of each class among them."""

    overall: MeanDistances
    by_slot: tuple[SlotDistances, ...]


class FramesKept(Part):
    """Accuracy on `clips` test clips of which only `frames` frames are read, the segment centres.

    `retrieved_accuracy` is with frames rebuilt from these and the true task known; null except at the number of frames
    that the method learned to rebuild from.
    """

    frames: Annotated[int, Field(ge=1)]
    clips: Annotated[int, Field(ge=1)]
    accuracy: Fraction
    retrieved_accuracy: Fraction | None = None


class ForgottenClip(Part):
    """A test clip that was right after some task and is wrong after the last one. Tasks are counted from 0.

    Attributes:
        label: the true class.
        known_after_task: the first task after which it was right.
        lost_after_task: the task after which it was wrong, and stayed so.
        predicted: the class predicted in the end.
        margin: score of the predicted class minus that of the true one.
        frames: some of its frames, as JPEG in base64; none if the video is gone.
    """

    video: str
    label: str
    known_after_task: Count
    lost_after_task: Count
    predicted: str
    margin: Annotated[float, Field(ge=0)]
    frames: tuple[Jpeg, ...] = Field(default=(), max_length=FRAMES_SHOWN)


class Analysis(Whole):
    """What a report shows of a run beyond its record.

    Attributes:
        class_names: in order of arrival.
        class_tasks: the task of each class, from 0.
        class_accuracy_by_task: row = after task, column = class; null where not yet learned or without a test video.
        confusion: numbers of test videos after the last task; row = true class, column = predicted class.
        embedding: a map of the exemplars in older files, which is passed over and not written.
        forgotten: some of the `forgotten_count` clips that were right and are wrong, most confident mistakes first.
    """

    newest = SCHEMA_VERSION
    kind = "an analysis"
    remedy = "delete it, and report makes it again"
    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    protocol_id: str
    class_names: tuple[str, ...] = Field(min_length=1)
    class_tasks: tuple[Count, ...]
    class_accuracy_by_task: tuple[tuple[Fraction | None, ...], ...] = Field(min_length=1)
    confusion: tuple[tuple[Count, ...], ...]
    embedding: Any = Field(default=None, exclude=True, repr=False)
    distances: Distances | None = None
    frames_kept: tuple[FramesKept, ...] = ()
    forgotten: tuple[ForgottenClip, ...] = Field(default=(), max_length=MOST_FORGOTTEN)
    forgotten_count: Count
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits_its_classes(self) -> "Analysis":
        classes, tasks = len(self.class_names), len(self.class_accuracy_by_task)
        if len(self.class_tasks) != classes or list(self.class_tasks) != sorted(self.class_tasks):
            raise ValueError(f"class_tasks must have {classes} entries, as class_names has, none before the one before")
        if self.class_tasks[-1] >= tasks:
            raise ValueError(f"class_tasks names task {self.class_tasks[-1]}, but {tasks} tasks were learned")
        for name, rows in (("class_accuracy_by_task", self.class_accuracy_by_task), ("confusion", self.confusion)):
            widths = sorted({len(row) for row in rows})
            if widths != [classes]:
                raise ValueError(f"{name} has rows of lengths {widths} for {classes} classes")
        if len(self.confusion) != classes:
            raise ValueError(f"confusion has {len(self.confusion)} rows for {classes} classes")
        for row, values in enumerate(self.class_accuracy_by_task):
            early = [task > row and value is not None for task, value in zip(self.class_tasks, values, strict=True)]
            if any(early):
                raise ValueError("class_accuracy_by_task has a number for a class that was not learned yet")
        return self

    @model_validator(mode="after")
    def _names_only_its_classes(self) -> "Analysis":
        slots = {each.slot for each in self.distances.by_slot} if self.distances else set()
        if max(slots, default=0) >= len(self.class_names):
            raise ValueError(f"class number {max(slots)} is none of the {len(self.class_names)} classes")
        labels = {name for clip in self.forgotten for name in (clip.label, clip.predicted)}
        if not labels <= set(self.class_names):
            raise ValueError(f"forgotten names {sorted(labels - set(self.class_names))[0]!r}, which is no class")
        tasks = len(self.class_accuracy_by_task)
        if not all(clip.known_after_task < clip.lost_after_task < tasks for clip in self.forgotten):
            raise ValueError(f"a forgotten clip is known before it is lost, both after one of the {tasks} tasks")
        if len(self.forgotten) > self.forgotten_count:
            raise ValueError(
                f"forgotten has {len(self.forgotten)} clips, but forgotten_count is {self.forgotten_count}"
            )
        return self

    def refuse_another(self, run: str, record: Record) -> None:
        """Raise a RunError, which names `run`, if the record is of another run, or of this one before a repetition."""
        learned, tasks_learned = len(self.class_accuracy_by_task), len(record.accuracy)
        protocol_id, class_accuracy = record.protocol.id, record.class_accuracy
        if protocol_id != self.protocol_id or tasks_learned != learned:
            theirs = f"(protocol {self.protocol_id}, {learned} tasks learned)"
            own = f"(protocol {protocol_id}, {tasks_learned} tasks learned)"
        elif class_accuracy and class_accuracy != self.class_accuracy_by_task[-1]:
            theirs, own = "(by its accuracies of the classes)", "gives"
        else:
            return
        raise RunError(
            f"the analysis.json of {run} is of another run {theirs} than its record {own}; delete it, and report makes "
            "it again"
        )
