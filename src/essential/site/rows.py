"""The rows of a board, those run here and those published elsewhere, each told from the other by mark and source."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from essential.metrics import METRICS
from essential.report.elsewhere import PublishedRow, PublishedTable, as_printed
from essential.report.formats import NBSP, human_bytes, plus_minus
from essential.results.runs import MEASURES
from essential.site.families import Family, stem

OURS = "run here"
_NO_PLACE = "no place: without an accuracy, or tested on other videos than those that have one"
_GAIN = "gain_over_previous_best"
TITLES = {name: METRICS[name].title for name in MEASURES} | {_GAIN: "Gain over the best before"}
LESS_IS_BETTER = frozenset(name for name in MEASURES if METRICS[name].less_is_better)


@dataclass(frozen=True)
class Cell:
    """One figure in percent, as a number to sort by and as it is shown; of ours, the deviation over seeds too."""

    value: float | None
    shown: str
    std: float | None = None
    uncertain: bool = False


EMPTY = Cell(None, "")


@dataclass(frozen=True, eq=False)
class Row:
    """One line of a board.

    Attributes:
        anchor: its name in links to it.
        place: among those run here, by final accuracy, from 1; None if it has none.
        settings: what sets it apart from others of its method.
        fingerprint: the start of the encoder's, where it was run here.
        cells: figures by the metric's name.
        memory_bytes: what it keeps, as a number to sort by; None where that is not known in bytes.
        mark: `OURS`, or how well the figure is founded.
        source: the number of its source from 1; None where it was run here.
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
    seeds: tuple[int, ...] = field(default=())
    source: int | None = None

    @property
    def given_all_videos(self) -> bool:
        """Whether it was run here and keeps no bytes but all videos."""
        return self.ours and self.memory_bytes is None

    @property
    def ours(self) -> bool:
        return self.mark == OURS

    def cell(self, metric: str) -> Cell:
        """Return the figure; an empty one if there is none."""
        return self.cells.get(metric, EMPTY)


def row_of_family(family: Family, *, place: int | None, settings: str) -> Row:
    """Return the row of runs that were made here."""
    cells = {}
    for metric in MEASURES:
        spread = family.spread(metric)
        cells[metric] = Cell(_percent(spread.mean), plus_minus(spread), _percent(spread.std))
    kept, module_bytes = family.kept("budgeted"), family.kept("retrieval_modules")
    modules = f" + {human_bytes(module_bytes)} of MR{NBSP}modules" if module_bytes else ""
    return Row(
        anchor=family.stem,
        method=family.method,
        backbone=family.backbone,
        cells=cells,
        memory="all videos" if family.needs_all_tasks else human_bytes(kept) + modules,
        memory_bytes=None if family.needs_all_tasks else kept,
        mark=OURS,
        notes=family.notes if place or family.needs_all_tasks else (*family.notes, _NO_PLACE),
        place=place,
        settings=settings,
        fingerprint=family.example.encoder.fingerprint[:8],
        seeds=family.seeds,
    )


def rows_of_published(table: PublishedTable | None) -> list[Row]:
    """Return the rows of figures that others have printed, by `best_accuracy`, which mixes definitions."""
    if table is None:
        return []
    rows = [_published_row(row, table) for row in table.rows]
    return sorted(rows, key=lambda row: -best_accuracy(row))


def is_accuracy(metric: str) -> bool:
    """Whether a figure of that name is an accuracy, and no loss or gain."""
    return metric not in LESS_IS_BETTER and metric != _GAIN


def best_accuracy(row: Row) -> float:
    """Return the highest accuracy in a row, by whichever definition; -1 if it has none."""
    values = [cell.value for metric, cell in row.cells.items() if is_accuracy(metric)]
    return max((value for value in values if value is not None), default=-1.0)


def _published_row(row: PublishedRow, table: PublishedTable) -> Row:
    source = table.sources[row.source - 1]
    return Row(
        anchor=stem(row.method, ["published", row.method, row.backbone, row.memory, source, row.mark]),
        method=row.method,
        backbone=row.backbone,
        cells={
            metric: Cell(None if each.value is None else float(each.value), as_printed(each), uncertain=each.uncertain)
            for metric, each in row.figures.items()
        },
        memory=row.memory,
        memory_bytes=None,
        mark=row.mark,
        notes=row.notes,
        source=row.source,
    )


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, 6)
