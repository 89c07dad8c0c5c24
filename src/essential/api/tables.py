"""Tables for a terminal or a notebook."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


def _text(cell: Any) -> str:
    if isinstance(cell, float):
        return "" if cell != cell else f"{cell:.4f}"  # noqa: PLR0124 - NaN: there is no number
    return "" if cell is None else printable(str(cell))
