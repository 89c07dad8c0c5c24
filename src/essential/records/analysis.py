"""The analysis of a finished run: `analysis.json`, what a report shows of a run beyond its record.

Made from what the run's folder holds, and from the features and videos that are still there; `notes` says what could
not be made and why. Like a record it holds nothing of the machine's paths.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from essential.errors import RunError
from essential.files.versioned_json import Part, Whole, read_versioned, write_versioned
from essential.records import Record

SCHEMA_VERSION = 2
MOST_EXEMPLARS = 400
MOST_FORGOTTEN = 24
FRAMES_SHOWN = 4

Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Coordinate = Annotated[float, Field(ge=-1, le=1)]
CosineDistance = Annotated[float, Field(ge=0, le=2)]
SquaredError = Annotated[float, Field(ge=0)]
# Nothing but the letters of base64 can be in it, so that a page may show it as it is.
Jpeg = Annotated[str, Field(pattern=r"^/9j/[A-Za-z0-9+/]+={0,2}$", max_length=20_000)]
Kind = Literal["dense", "sparse", "retrieved"]


class Point(Part):
    """The token of one reading of an exemplar on the map; `exemplar` is its number among those shown."""

    x: Coordinate
    y: Coordinate
    slot: Count
    kind: Kind
    exemplar: Count


class Embedding(Part):
    """t-SNE of the exemplars' clip tokens: nearness means something, directions and distances on the map do not.

    Each exemplar has a point for all its frames (dense), for those that the memory keeps (sparse), and for what the
    method rebuilds of these (retrieved), as far as they are there. `of_exemplars` is how many the memory holds.
    """

    points: tuple[Point, ...] = Field(min_length=2, max_length=3 * MOST_EXEMPLARS)
    of_exemplars: Count


class MeanDistances(Part):
    """How far what is kept of exemplars is from their dense clips, as means over `exemplars`.

    `sparse` and `retrieved` are cosine distances of clip tokens, 0 to 2; `sparse_frames` and `retrieved_frames` mean
    squared errors of frame features. In `sparse_frames` each stored frame also stands for the frames nearest to it.
    What is retrieved is null where the method rebuilds nothing.
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
    """The distances of all exemplars on the map, and of those of each class that has any there."""

    overall: MeanDistances
    by_slot: tuple[SlotDistances, ...]


class FramesKept(Part):
    """Accuracy on `clips` test clips when only `frames` of their frames are read, the middles of equal segments.

    `retrieved_accuracy` is of what the method rebuilds of so many frames, told the clip's true task; null but at the
    number that it learned to rebuild from.
    """

    frames: Annotated[int, Field(ge=1)]
    clips: Annotated[int, Field(ge=1)]
    accuracy: Fraction
    retrieved_accuracy: Fraction | None = None


class ForgottenClip(Part):
    """A test clip that was right after some task, and is wrong after the last one. Tasks are counted from 0.

    Attributes:
        label: its class.
        known_after_task: the first task after which it was right.
        lost_after_task: the task after which it was wrong, and has been since.
        predicted: the class that it is taken for in the end.
        margin: that class's score minus that of its own, in whatever the scores are; the larger the surer the mistake.
        frames: some of the frames that were read of it, as JPEG in base64; none where the video is not there any more.
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

    `class_names` has the classes learned, in order of arrival, and `class_tasks` the task of each, from 0.
    `class_accuracy_by_task` has a row per task learned; column = class, null where not yet learned or without a test
    video. `confusion` counts the test videos after the last task; row = true class, column = what it was taken for.
    `forgotten` names some of the `forgotten_count` clips that were known and are not in the end, the surest mistakes
    first.
    """

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    protocol_id: str
    class_names: tuple[str, ...] = Field(min_length=1)
    class_tasks: tuple[Count, ...]
    class_accuracy_by_task: tuple[tuple[Fraction | None, ...], ...] = Field(min_length=1)
    confusion: tuple[tuple[Count, ...], ...]
    embedding: Embedding | None = None
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
        points = self.embedding.points if self.embedding else ()
        by_slot = self.distances.by_slot if self.distances else ()
        slots = {point.slot for point in points} | {each.slot for each in by_slot}
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
        """Refuse to be shown with the record of another run, or of this one as it was before it was run again.

        Args:
            run: its name or folder, for the message.
            record: the run's; older ones have no accuracies of classes.

        Raises:
            RunError: they are not of one run.
        """
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

    @classmethod
    def read(cls, path: Path, *, unverified: bool = False) -> "Analysis":
        """Read an `analysis.json`; `unverified` reads it also if it was changed after it was written.

        Raises:
            RunError: the file is missing, unreadable, damaged, changed, or written by a newer version.
        """
        remedy = "delete it, and report makes it again"
        return read_versioned(
            path, cls, newest=SCHEMA_VERSION, what="an analysis", remedy=remedy, unverified=unverified
        )

    def write(self, path: Path) -> None:
        """Write the analysis as JSON without white space and with a digest of it, whole or not at all.

        Raises:
            FileSystemError: the disk refuses.
        """
        write_versioned(path, self, indent=None)
