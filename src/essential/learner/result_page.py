"""The page of a test: what was right, what was taken for what, and the frames of the clips that were wrong."""

from base64 import b64encode
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from essential.files.atomic import write_text
from essential.learner.clip_results import ClipResults, Share, WrongClip
from essential.protocols.class_names import NONE_OF_THESE
from essential.report.rendering import render
from essential.results.formats import shortened
from essential.shown import encodable

_TEMPLATES = Path(__file__).parent / "templates"
_MOST_CLASSES = 100
_LONGEST_HOVERED = 24
"""Of the matrix, rows and named columns; and letters of the names in a cell. So the page stays below 3 MB."""
_LETTERS_OF_PATHS = 300_000
"""Of the clips listed without frames."""


class Cell(NamedTuple):
    """How many clips of a class were answered by one label, which share of its clips they are, and both names."""

    clips: int
    share: float
    is_right: bool
    names: str


class Row(NamedTuple):
    """A class in a table: how many of its clips are right, and what it was most often taken for."""

    name: str
    share: Share
    taken_for: str


@dataclass(frozen=True, eq=False)
class ResultView:
    """The results as the page shows them."""

    results: ClipResults

    @cached_property
    def weakest_first(self) -> list[Row]:
        """The known classes with a clip that could be read."""
        rows = [self._row(name) for name in self.results.known if self.results.shares[name].clips]
        return sorted(rows, key=lambda row: row.share.right / row.share.clips)

    @property
    def unknown_classes(self) -> list[Row]:
        return [self._row(name) for name in self.results.unknown_classes]

    @cached_property
    def rows(self) -> tuple[str, ...]:
        """The classes of the matrix; of very many those with most mistakes."""
        shares, known = self.results.shares, self.results.known
        some = {*sorted(known, key=lambda name: shares[name].right - shares[name].clips)[:_MOST_CLASSES]}
        return tuple(name for name in known if name in some)

    @cached_property
    def columns(self) -> tuple[str | None, ...]:
        """The rows, the labels that were most often answered beside them, and None: none of these."""
        others = Counter[str]()
        for row in self.rows:
            others.update({label: clips for label, clips in self.results.answers[row].items() if label and clips})
        for row in self.rows:
            del others[row]
        shown = {*self.rows, *dict(others.most_common(_MOST_CLASSES - len(self.rows)))}
        return (*(name for name in self.results.classes if name in shown), None)

    @property
    def cells(self) -> list[list[Cell]]:
        """The matrix."""
        return [[self._cell(row, column) for column in self.columns] for row in self.rows]

    @cached_property
    def with_frames(self) -> list[WrongClip]:
        return [clip for clip in self.results.wrong if clip.frames]

    @cached_property
    def without_frames(self) -> list[WrongClip]:
        """As many of the others as their paths leave room for."""
        others = [clip for clip in self.results.wrong if not clip.frames]
        letters = accumulate(len(str(clip.path)) for clip in others)
        return others[: sum(total <= _LETTERS_OF_PATHS for total in letters)]

    def _cell(self, row: str, column: str | None) -> Cell:
        clips = self.results.answers[row].get(column, 0)
        names = [shortened(name, _LONGEST_HOVERED) for name in (row, column or NONE_OF_THESE)]
        return Cell(clips, clips / max(1, self.results.shares[row].clips), row == column, " \u2192 ".join(names))

    def _row(self, name: str) -> Row:
        share, answers = self.results.shares[name], self.results.answers[name]
        right = name if name in self.results.classes else None
        taken = sorted((-clips, answer or NONE_OF_THESE) for answer, clips in answers.items() if answer != right)
        return Row(name, share, f"{taken[0][1]} ({-taken[0][0]})" if taken else "")


def write_result_page(results: ClipResults, path: Path, *, title: str) -> None:
    """Write the page, whole or not at all; the same results give the same bytes."""
    page = render(
        "test.html",
        folder=_TEMPLATES,
        view=ResultView(results),
        results=results,
        title=title,
        none_of_these=NONE_OF_THESE,
        base64=lambda image: b64encode(image).decode(),
    )
    write_text(path, encodable(page))
