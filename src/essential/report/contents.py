"""What stands on the page, computed from the records; the templates only lay it out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from essential.errors import RunError
from essential.published import published_for
from essential.records import MemoryBytes, ProtocolRecord, SkippedVideo
from essential.report.elsewhere import PublishedTable, other_tasks_note, published_table
from essential.report.families import Family, Line, differ_in_seed_alone, family_names
from essential.report.line_style import LineStyle
from essential.report.run_view import KINDS, ReportedRun, RunView
from essential.results.runs import all_but_seed


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
    def lines(self) -> list[Line]:
        """What its figures draw, a line each."""
        return [line for family in self.families for line in family.lines]

    @property
    def protocol(self) -> ProtocolRecord:
        return self.runs[0].record.protocol

    @property
    def class_count(self) -> int:
        return sum(len(task.classes) for task in self.protocol.tasks)

    @property
    def task_sizes(self) -> str:
        """The tasks' numbers of classes in short, for example "51, then 5 a task"."""
        sizes = self.protocol.task_sizes
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
    def warning(self) -> str | None:
        """What to say if the runs have the name of a published protocol but not its tasks."""
        return other_tasks_note(self.protocol)

    @property
    def most_bytes(self) -> int:
        """The largest memory total, the full length of the bars; at least 1."""
        return max(1, *(run.record.memory_bytes.total for run in self.runs))


def group_runs(runs: Sequence[ReportedRun]) -> list[GroupView]:
    """Group runs by protocol, and inside by everything but the seed, in the order given.

    Raises:
        RunError: there is no run.
    """
    if not runs:
        raise RunError("a report needs at least one run, 0 were given; give the folder of a finished run")
    by_protocol: dict[str, dict[str, list[ReportedRun]]] = {}
    for run in runs:
        by_protocol.setdefault(run.record.protocol.id, {}).setdefault(all_but_seed(run.record), []).append(run)
    groups: list[GroupView] = []
    for families in by_protocol.values():
        first = sum(len(group.runs) for group in groups)
        groups.append(GroupView(len(groups), _families(list(families.values()), first)))
    return groups


def _families(groups: Sequence[Sequence[ReportedRun]], number: int) -> tuple[Family, ...]:
    """Give every run its number, counted from `number`, and every line its style."""
    names = family_names([[run.record for run in members] for members in groups])
    families: list[Family] = []
    style = 0
    for name, members in zip(names, groups, strict=True):
        seeds = differ_in_seed_alone([run.record for run in members])
        views = []
        for run in members:
            views.append(RunView(number, run.label, run.record, run.analysis, LineStyle(style)))
            number += 1
            style += not seeds
        style += seeds
        lines = [Line(name, views[0].style, tuple(views))] if seeds else [Line(v.label, v.style, (v,)) for v in views]
        families.append(Family(tuple(views), tuple(lines), lines[0].results if seeds else None))
    return tuple(families)


def memory_segments(memory: MemoryBytes, most_bytes: int) -> list[tuple[str, float, float]]:
    """Return (kind, start, width) of each piece of a stacked bar, in percent of its full length."""
    segments = []
    start = 0.0
    for kind in KINDS:
        width = 100 * getattr(memory, kind) / most_bytes
        segments.append((kind, round(start, 3), round(width, 3)))
        start += width
    return segments
