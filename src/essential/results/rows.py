"""Rows of a table of methods: those run here, and those published elsewhere, with mark and source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from essential.files.atomic import canonical_json
from essential.published import PublishedFigure, differs_from_published, published_for
from essential.records import ProtocolRecord
from essential.results.formats import NBSP, NONE, counted, human_bytes, stem
from essential.results.measures import in_order, is_accuracy
from essential.results.runs import SeedRuns, all_but_seed, grouped_by

OURS = "run here"
MARKS = {
    "seen": "read in the source itself",
    "second-hand": "read in a text that quotes the source",
    "inferred": "what it belongs to was concluded, not read",
}
_NO_PLACE = "no place: without an accuracy, or tested on other videos than those that have one"


@dataclass(frozen=True)
class Cell:
    """One figure in percent, as a number to sort by and as it is shown; of ours, the deviation over seeds too."""

    value: float | None
    shown: str
    std: float | None = None
    uncertain: bool = False


@dataclass(frozen=True, eq=False)
class Row:
    """One line: run here (its `mark` is `OURS`), or of a source, numbered from 1, with how well it is founded as mark.

    `cells` are by the metric's name, `place` is by final accuracy among those run here, `settings` set it apart from
    others of its method, and `memory_bytes` is to sort by: None where it is not known in bytes.
    """

    anchor: str
    method: str
    backbone: str
    cells: Mapping[str, Cell]
    memory: str
    memory_bytes: int | None
    mark: str
    notes: tuple[str, ...]
    place: int | None = None
    settings: str = ""
    fingerprint: str = ""
    seeds: tuple[int, ...] = ()
    source: int | None = None

    @property
    def ours(self) -> bool:
        return self.mark == OURS

    @property
    def best_accuracy(self) -> float:
        """The highest accuracy, by whichever definition; -1 if it has none."""
        values = [cell.value for metric, cell in self.cells.items() if is_accuracy(metric)]
        return max((value for value in values if value is not None), default=-1.0)

    def cell(self, metric: str) -> Cell:
        """Return the figure; an empty one if there is none."""
        return self.cells.get(metric, Cell(None, ""))


@dataclass(frozen=True)
class PublishedTable:
    """All figures of a protocol: the names of the metrics that occur, a row per method and source, the sources."""

    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    sources: tuple[str, ...]

    @property
    def marks(self) -> dict[str, str]:
        """The marks that occur, and what they mean."""
        return {mark: words for mark, words in MARKS.items() if any(row.mark == mark for row in self.rows)}

    @property
    def has_doubts(self) -> bool:
        """Whether a figure is marked as uncertain."""
        return any(cell.uncertain for row in self.rows for cell in row.cells.values())


def row_of_runs(runs: SeedRuns, *, place: int | None, settings: str) -> Row:
    """Return the row of runs that were made here."""
    example = runs.example
    kept, module_bytes = runs.kept("budgeted"), runs.kept("retrieval_modules")
    modules = f" + {human_bytes(module_bytes)} of MR{NBSP}modules" if module_bytes else ""
    # Boards differ in protocol and data, and so must the pages of their rows.
    identity = ["family", example.protocol.id, canonical_json(example.data), all_but_seed(example)]
    return Row(
        # It stays the same when seeds are added.
        anchor=stem(example.method.name, identity),
        method=runs.method_name,
        backbone=runs.backbone,
        cells={
            name: Cell(_percent(spread.mean), spread.shown, _percent(spread.std))
            for name, spread in runs.measures.items()
        },
        memory="all videos" if runs.needs_all_tasks else human_bytes(kept) + modules,
        memory_bytes=None if runs.needs_all_tasks else kept,
        mark=OURS,
        notes=runs.notes if place or runs.needs_all_tasks else (*runs.notes, _NO_PLACE),
        place=place,
        settings=settings,
        fingerprint=example.encoder.fingerprint[:8],
        seeds=runs.seeds,
    )


def published_table(protocol_name: str) -> PublishedTable | None:
    """Return what others have published for a protocol of that name; None if there is nothing."""
    return table_of(published_for(protocol_name))


def table_of(figures: Sequence[PublishedFigure]) -> PublishedTable | None:
    """Put the figures of one protocol into a table; None if there are none."""
    if not figures:
        return None
    metrics = tuple(in_order(figure.metric for figure in figures))
    sources = tuple(dict.fromkeys(figure.source for figure in figures))
    rows = grouped_by(figures, lambda each: (each.method, each.backbone, each.memory, each.source, each.mark))
    return PublishedTable(
        metrics, tuple(_published_row(members, metrics, sources) for members in rows.values()), sources
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


def _published_row(members: Sequence[PublishedFigure], metrics: Sequence[str], sources: Sequence[str]) -> Row:
    first, figures = members[0], {figure.metric: figure for figure in members}
    backbone, memory = first.backbone or NONE, first.memory or NONE
    return Row(
        anchor=stem(first.method, ["published", first.method, backbone, memory, first.source, first.mark]),
        method=first.method,
        backbone=backbone,
        cells={metric: _as_printed(figures[metric]) for metric in metrics if metric in figures},
        memory=memory,
        memory_bytes=None,
        mark=first.mark,
        notes=tuple(dict.fromkeys(figure.note for figure in members if figure.note)),
        source=sources.index(first.source) + 1,
    )


def _as_printed(figure: PublishedFigure) -> Cell:
    """Return the digits of a figure, with a mark where it is in doubt."""
    shown = NONE if figure.value is None else str(figure.value)
    value = None if figure.value is None else float(figure.value)
    return Cell(value, f"{shown}?" if figure.uncertain else shown, uncertain=figure.uncertain)


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, 6)
