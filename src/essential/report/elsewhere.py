"""What others have published for a protocol, laid out as a table of its own: never a row among the runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from essential.metrics import METRICS
from essential.published import PublishedFigure, differs_from_published
from essential.records import ProtocolRecord
from essential.report.formats import NONE, counted

MARKS = {
    "seen": "read in the source itself",
    "second-hand": "read in a text that quotes the source",
    "inferred": "what it belongs to was concluded, not read",
}


@dataclass(frozen=True)
class PublishedRow:
    """One method from one source: its figures by metric, in the table's order; `source` counts from 1."""

    method: str
    backbone: str
    figures: Mapping[str, PublishedFigure]
    memory: str
    mark: str
    source: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PublishedTable:
    """All figures of a protocol: the names of the metrics that occur, a row per method and source, the sources."""

    metrics: tuple[str, ...]
    rows: tuple[PublishedRow, ...]
    sources: tuple[str, ...]
    marks: tuple[tuple[str, str], ...]

    @property
    def tells_memory(self) -> bool:
        """Whether any source says what the memory holds."""
        return any(row.memory != NONE for row in self.rows)

    @property
    def has_doubts(self) -> bool:
        """Whether a figure is marked as uncertain."""
        return any(figure.uncertain for row in self.rows for figure in row.figures.values())


def published_table(figures: Sequence[PublishedFigure]) -> PublishedTable | None:
    """Put the figures of one protocol into a table; None if there are none."""
    if not figures:
        return None
    # Ours in the order in which the page has them everywhere, then those of other names.
    known = {name: place for place, name in enumerate(METRICS)}
    metrics = tuple(sorted({figure.metric for figure in figures}, key=lambda name: (known.get(name, len(known)), name)))
    sources = tuple(dict.fromkeys(figure.source for figure in figures))
    rows: dict[tuple[str | None, ...], list[PublishedFigure]] = {}
    for figure in figures:
        key = (figure.method, figure.backbone, figure.memory, figure.source, figure.mark)
        rows.setdefault(key, []).append(figure)
    return PublishedTable(
        metrics,
        tuple(_row(members, metrics, sources) for members in rows.values()),
        sources,
        tuple((mark, words) for mark, words in MARKS.items() if any(figure.mark == mark for figure in figures)),
    )


def other_tasks_note(protocol: ProtocolRecord) -> str | None:
    """Return a warning if a protocol has the name of a published one but not its tasks; None if all is well."""
    published = differs_from_published(protocol.name, protocol.task_sizes)
    if published is None:
        return None
    tasks, classes = counted(len(protocol.tasks), "task"), counted(sum(protocol.task_sizes), "class")
    return (
        f"The runs here are not of the published protocol {protocol.name}, though theirs is called so: they have "
        f"{tasks} with {classes} in all, it has {published}. Their numbers cannot be compared with published ones."
    )


def _row(members: Sequence[PublishedFigure], metrics: Sequence[str], sources: Sequence[str]) -> PublishedRow:
    first = members[0]
    figures = {figure.metric: figure for figure in members}
    return PublishedRow(
        first.method,
        first.backbone or NONE,
        {metric: figures[metric] for metric in metrics if metric in figures},
        first.memory or NONE,
        first.mark,
        sources.index(first.source) + 1,
        tuple(dict.fromkeys(figure.note for figure in members if figure.note)),
    )


def as_printed(figure: PublishedFigure) -> str:
    """Return the digits of a figure, with a mark where it is in doubt."""
    text = NONE if figure.value is None else str(figure.value)
    return f"{text}?" if figure.uncertain else text
