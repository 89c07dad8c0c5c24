"""Tables for a terminal or a notebook, and named things with a line about each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from essential.shown import printable


@dataclass(frozen=True)
class Table:
    """Columns of equal length by name; it prints as text, and as HTML in a notebook."""

    columns: Mapping[str, Sequence[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> Sequence[Any]:
        return self.columns[name]

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The rows, from top to bottom."""
        return [*zip(*self.columns.values(), strict=True)]

    def __repr__(self) -> str:
        texts = [[*self.columns], *([_text(cell) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in texts)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        body = ("".join(f"<td>{escape(_text(cell))}</td>" for cell in row) for row in self.rows)
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in body)}</table>"


@dataclass(frozen=True, repr=False)
class Catalogue(Mapping[str, str]):
    """What there is, by name, with a line about each; it prints as a table.

    Attributes:
        broken: plug-ins that cannot be used, and why.
    """

    entries: Mapping[str, str]
    broken: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.entries[name]

    def __iter__(self) -> Any:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def _table(self) -> Table:
        broken = {name: f"cannot be used: {reason}" for name, reason in self.broken.items()}
        every = {**self.entries, **broken}
        return Table({"name": [*every], "what it is": [*every.values()]})

    def __repr__(self) -> str:
        return repr(self._table())

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()


def _text(cell: Any) -> str:
    if isinstance(cell, float):
        return "" if cell != cell else f"{cell:.4f}"  # noqa: PLR0124 - NaN: there is no number
    return "" if cell is None else printable(str(cell))
