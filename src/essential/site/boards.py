"""Boards: one for each protocol, and one for each published name. Only runs of one board are ranked together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import NamedTuple

from essential.configs.shipped import shipped_configs
from essential.files.atomic import canonical_json
from essential.nested import differences
from essential.published import is_joint, published_figures
from essential.records import ProtocolRecord
from essential.results.formats import slug, stem
from essential.results.measures import MAIN, in_order, is_accuracy
from essential.results.rows import PublishedTable, Row, other_tasks_note, published_table, row_of_runs
from essential.results.runs import SeedRuns, all_but_seed, distinguishing_settings, grouped_by
from essential.site.finding import FoundRecord

_SHOWN = 4
_shipped = cache(shipped_configs)


@dataclass(frozen=True, eq=False)
class Family(SeedRuns):
    """Runs of one method with the same settings, encoder and protocol, by seed, and where they were found."""

    runs: tuple[FoundRecord, ...]


class Sibling(NamedTuple):
    """Another board of the same name: its folder, and in what it differs."""

    stem: str
    difference: str


@dataclass(frozen=True, eq=False)
class Board:
    """One protocol's runs and what others have published under its name.

    `stem` is the folder of its page, which stays the same as records are added. Finished runs are in `families`, in the
    order of `ours`; those that have not learned all tasks cannot be ranked. `siblings` have the same name.
    """

    name: str
    stem: str
    families: tuple[Family, ...]
    ours: tuple[Row, ...]
    unfinished: tuple[FoundRecord, ...]
    siblings: tuple[Sibling, ...] = ()

    @property
    def protocol(self) -> ProtocolRecord | None:
        """The protocol of its runs; None where there is none, and only others' figures are shown."""
        return self.runs[0].record.protocol if self.runs else None

    @cached_property
    def runs(self) -> list[FoundRecord]:
        """All records, finished or not."""
        return [run for family in self.families for run in family.runs] + list(self.unfinished)

    @cached_property
    def published(self) -> PublishedTable | None:
        return published_table(self.name)

    @property
    def warning(self) -> str | None:
        """What to say if the runs have the name of a published protocol but not its tasks."""
        return other_tasks_note(self.protocol) if self.protocol else None

    @cached_property
    def others(self) -> list[Row]:
        """The published rows by their best accuracy, which mixes definitions."""
        return sorted(self.published.rows if self.published else (), key=lambda row: -row.best_accuracy)

    @property
    def rows(self) -> list[Row]:
        """Those run here by final accuracy, then those of others."""
        return [*self.ours, *self.others]

    @property
    def metrics(self) -> list[str]:
        """The metrics shown of what was run here: the usual ones, and those others have printed, as far as known."""
        wanted = in_order([*MAIN, *(self.published.metrics if self.published else ())])
        return [name for name in wanted if name in MAIN or any(r.cell(name).value is not None for r in self.ours)]

    @property
    def best(self) -> Row | None:
        """The row with the first place."""
        return next((row for row in self.ours if row.place == 1), None)

    @property
    def highest_published(self) -> tuple[Row, str] | None:
        """The published row with the highest accuracy, and of which metric; doubts and joint training left out."""
        known = [
            (cell.value, row, metric)
            for row in self.others
            if not is_joint(row.method)
            for metric, cell in row.cells.items()
            if cell.value is not None and not cell.uncertain and is_accuracy(metric)
        ]
        return max(known, key=lambda each: each[0])[1:] if known else None

    @property
    def config(self) -> tuple[str, str] | None:
        """The name and summary of the shipped config of this protocol, if there is one and the tasks are its."""
        named = [each for each in _shipped().items() if each[0].replace("/", "-") == self.name]
        return named[0] if named and not self.warning else None


def make_boards(records: Sequence[FoundRecord]) -> list[Board]:
    """Return a board for each protocol and data that `records` are of, and one for each published name."""
    # The id covers tasks, classes and videos by name; settings of the data may still change what is in them.
    groups = grouped_by(records, lambda found: (found.record.protocol.id, canonical_json(found.record.data)))
    names = dict.fromkeys(figure.protocol for figure in published_figures())
    boards = []
    for key, members in groups.items():
        name = min((found.record.protocol.name for found in members), key=lambda name: (name not in names, name))
        boards.append(_board(name, stem(name, ["board", *key]), members))
    boards.sort(key=lambda board: (board.name, board.stem))
    same = grouped_by(boards, lambda board: board.name)
    alone = [Board(name, slug(name), (), (), ()) for name in names]
    made = []
    for board in (*boards, *alone):
        others = [other for other in same.get(board.name, []) if other is not board]
        siblings = tuple(Sibling(other.stem, _difference(board, other)) for other in others)
        made.append(replace(board, siblings=siblings))
    return made


def _board(name: str, folder: str, members: Sequence[FoundRecord]) -> Board:
    finished = [found for found in members if _is_finished(found)]
    groups = grouped_by(finished, lambda found: all_but_seed(found.record))
    seeds = [sorted(found, key=lambda run: (run.record.seed, run.sha256)) for _, found in sorted(groups.items())]
    families = [Family(tuple(run.record for run in runs), tuple(runs)) for runs in seeds]
    families.sort(key=lambda family: -family.final)
    settings = distinguishing_settings(families)
    places = _places(families)
    rows = [
        row_of_runs(family, place=places.get(family), settings=apart)
        for family, apart in zip(families, settings, strict=True)
    ]
    unfinished = sorted((found for found in members if not _is_finished(found)), key=lambda found: found.label)
    return Board(name, folder, tuple(families), tuple(rows), tuple(unfinished))


def _is_finished(found: FoundRecord) -> bool:
    return len(found.record.accuracy) == len(found.record.protocol.tasks)


def _places(families: Sequence[Family]) -> dict[Family, int]:
    """Number the families that may be ranked, equal ones alike: one task at a time, and tested on the same videos.

    Which videos those are is for the families with the fewest left out to say.
    """
    known = [family for family in families if not family.needs_all_tasks and family.final >= 0]
    fewest = min(
        (f.skipped_tests for f in known), key=lambda videos: (len(videos), sorted(videos)), default=frozenset()
    )
    ranked = [family for family in known if family.skipped_tests == fewest]
    return {family: 1 + sum(other.final > family.final for other in ranked) for family in ranked}


def _difference(board: Board, other: Board) -> str:
    """Say in what another protocol, or other data, of the same name differs."""
    if not board.runs:
        return "runs of our own"
    here, there = board.runs[0].record, other.runs[0].record
    ours, theirs = here.protocol, there.protocol
    if ours.id == theirs.id:
        changed = list(differences(here.data, there.data))[:_SHOWN]
        return "other data: " + ", ".join(f"{key}={value}" for key, (_, value) in changed)
    groups = [[task.classes for task in protocol.tasks] for protocol in (ours, theirs)]
    names = [sorted(name for group in each for name in group) for each in groups]
    if groups[0] == groups[1]:
        return "other videos"
    return "another order of the classes, or other tasks" if names[0] == names[1] else "other classes"
