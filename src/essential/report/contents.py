"""What stands on the page, computed from the records; the templates only lay it out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from essential.metrics import METRICS, Metric, seen_accuracy_by_task
from essential.published import published_for
from essential.records import MemoryBytes, ProtocolRecord, Record, SkippedVideo
from essential.report.charts import LineStyle, draw_swatch
from essential.report.elsewhere import PublishedTable, published_table
from essential.report.formats import NONE, plus_minus
from essential.report.significance import sample_deviation

KINDS = {
    "episodic": "Episodic",
    "semantic": "Semantic",
    "statistics": "Statistics",
    "retrieval_modules": "Retrieval modules",
}


@dataclass(frozen=True, eq=False)
class RunView:
    """One run: `number` counts from 0 over the page, `style` is how its group's figures draw it."""

    number: int
    label: str
    record: Record
    style: LineStyle

    @property
    def anchor(self) -> str:
        return f"run-{self.number + 1}"

    @cached_property
    def swatch(self) -> str:
        return draw_swatch(f"swatch-{self.number}", self.style)

    @cached_property
    def seen(self) -> list[float | None]:
        """The accuracy on all classes seen, after each task."""
        return seen_accuracy_by_task(self.record.accuracy, [task.test_videos for task in self.record.protocol.tasks])

    @property
    def bytes_in_paper_figure(self) -> int:
        return sum(entry.bytes for entry in self.record.ledger if entry.in_paper_figure)

    @property
    def bytes_left_out(self) -> int:
        return sum(entry.bytes for entry in self.record.ledger if not entry.in_paper_figure)

    @property
    def left_out(self) -> str:
        """What a paper's memory figure does not count: each kind, with its number of ledger entries."""
        kinds = [entry.kind for entry in self.record.ledger if not entry.in_paper_figure]
        named = [f"{KINDS.get(kind, kind).lower()} ({kinds.count(kind)})" for kind in dict.fromkeys(kinds)]
        return ", ".join(named) or "nothing"

    @property
    def metrics(self) -> list[tuple[str, float | None, Metric]]:
        """Every metric of the record: its name, its value, and what it is."""
        values = self.record.metrics.model_dump()
        return [(name, values[name], metric) for name, metric in METRICS.items() if name in values]

    @property
    def class_accuracies(self) -> list[tuple[str, int, float | None]]:
        """Each class learned, its task's number from 1, and the accuracy on it after the last task."""
        tasks = self.record.protocol.tasks
        classes = [(name, number) for number, task in enumerate(tasks, start=1) for name in task.classes]
        return [
            (name, number, accuracy)
            for (name, number), accuracy in zip(classes, self.record.class_accuracy, strict=False)
        ]

    @property
    def details(self) -> list[tuple[str, str]]:
        """Titles and indented JSON of what the run was made with."""
        parts = {
            "Method settings": self.record.method.config,
            "Full configuration": self.record.config,
            "Data": self.record.data,
            "Versions": self.record.versions,
        }
        return [(title, json.dumps(part, indent=2, ensure_ascii=False)) for title, part in parts.items()]


@dataclass(frozen=True)
class SeedMean:
    """Mean and sample standard deviation over runs that differ in their seed alone, in percent."""

    seeds: tuple[int, ...]
    final_accuracy: str
    average_incremental_accuracy: str
    forgetting_from_best: str
    backward_forgetting: str


@dataclass(frozen=True)
class Family:
    """Runs that differ in their seed alone, and their mean if there are several seeds."""

    runs: tuple[RunView, ...]
    mean: SeedMean | None


@dataclass(frozen=True)
class Skipped:
    """A video left out, and the labels of the runs that left it out (empty = all runs of the group)."""

    video: SkippedVideo
    only_in: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class GroupView:
    """All runs of one protocol."""

    number: int
    families: tuple[Family, ...]

    @property
    def anchor(self) -> str:
        return f"protocol-{self.number + 1}"

    @cached_property
    def runs(self) -> list[RunView]:
        return [run for family in self.families for run in family.runs]

    @property
    def protocol(self) -> ProtocolRecord:
        return self.runs[0].record.protocol

    @property
    def class_count(self) -> int:
        return sum(len(task.classes) for task in self.protocol.tasks)

    @property
    def task_sizes(self) -> str:
        """The tasks' numbers of classes in short, for example "51, then 5 a task"."""
        sizes = [len(task.classes) for task in self.protocol.tasks]
        first, rest = sizes[0], sizes[1:]
        if len(set(sizes)) == 1:
            return f"{first} a task"
        return f"{first}, then {rest[0]} a task" if len(set(rest)) == 1 else " + ".join(map(str, sizes))

    @property
    def encoders(self) -> list[tuple[str, str]]:
        """Each encoder's name and the start of its fingerprint."""
        encoders = [(run.record.encoder.name, run.record.encoder.fingerprint[:12]) for run in self.runs]
        return list(dict.fromkeys(encoders))

    @property
    def seeds(self) -> list[int]:
        return sorted({run.record.seed for run in self.runs})

    @cached_property
    def skipped(self) -> list[Skipped]:
        """Every video that any run left out, once."""
        by_video: dict[SkippedVideo, list[str]] = {}
        for run in self.runs:
            for video in run.record.skipped_videos:
                by_video.setdefault(video, []).append(run.label)
        everywhere = len(self.runs)
        return [
            Skipped(video, () if len(labels) == everywhere else tuple(labels)) for video, labels in by_video.items()
        ]

    @cached_property
    def published(self) -> PublishedTable | None:
        """What others have published for a protocol of this name."""
        return published_table(published_for(self.protocol.name))

    @property
    def most_bytes(self) -> int:
        """The largest memory total, the full length of the bars; at least 1."""
        return max(1, *(run.record.memory_bytes.total for run in self.runs))


def group_runs(records: Sequence[tuple[str, Record]]) -> list[GroupView]:
    """Group labelled records by protocol, and inside by everything but the seed, in the order given."""
    by_protocol: dict[str, dict[str, list[tuple[str, Record]]]] = {}
    for label, record in records:
        by_protocol.setdefault(record.protocol.id, {}).setdefault(_all_but_seed(record), []).append((label, record))
    groups: list[GroupView] = []
    number = 0
    for families in by_protocol.values():
        views = []
        first = number
        for members in families.values():
            runs = []
            for label, record in members:
                runs.append(RunView(number, label, record, LineStyle(number - first)))
                number += 1
            views.append(Family(tuple(runs), _seed_mean(runs)))
        groups.append(GroupView(len(groups), tuple(views)))
    return groups


def memory_segments(memory: MemoryBytes, most_bytes: int) -> list[tuple[str, float, float]]:
    """Return (kind, start, width) of each piece of a stacked bar, in percent of its full length."""
    segments = []
    start = 0.0
    for kind in KINDS:
        width = 100 * getattr(memory, kind) / most_bytes
        segments.append((kind, round(start, 3), round(width, 3)))
        start += width
    return segments


def _all_but_seed(record: Record) -> str:
    config = {key: value for key, value in record.config.items() if key != "seed"}
    parts = [record.method.model_dump(mode="json"), record.encoder.model_dump(mode="json"), config]
    return json.dumps(parts, sort_keys=True, default=str)


def _seed_mean(runs: Sequence[RunView]) -> SeedMean | None:
    seeds = tuple(sorted({run.record.seed for run in runs}))
    if len(seeds) < 2 or len(seeds) < len(runs):
        return None
    metrics = [run.record.metrics for run in runs]
    return SeedMean(
        seeds=seeds,
        final_accuracy=_spread([m.final_accuracy for m in metrics]),
        average_incremental_accuracy=_spread([m.average_incremental_accuracy for m in metrics]),
        forgetting_from_best=_spread([m.forgetting_from_best for m in metrics]),
        backward_forgetting=_spread([m.backward_forgetting for m in metrics]),
    )


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return NONE
    return plus_minus(sum(known) / len(known), sample_deviation(known))
