"""Tables for a terminal or a notebook; and as such, what there is to choose from, plug-ins included."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from essential.configs.shipped import shipped_configs
from essential.encoders.config import ENCODERS, PRESETS, TINY, VIDEO_PRESETS
from essential.methods import METHODS, method_summaries
from essential.metrics import METRICS
from essential.protocols.source import DATASETS
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


class Catalogue(dict[str, str]):
    """What there is, by name, with a line about each; it prints as a table.

    Attributes:
        broken: plug-ins that cannot be used, and why.
    """

    def __init__(self, entries: Mapping[str, str], broken: Mapping[str, str] | None = None) -> None:
        super().__init__(entries)
        self.broken = dict(broken or {})

    @property
    def table(self) -> Table:
        """All names, the broken ones last."""
        every = {**self, **{name: f"cannot be used: {reason}" for name, reason in self.broken.items()}}
        return Table({"name": [*every], "what it is": [*every.values()]})

    def __repr__(self) -> str:
        return repr(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


def list_methods() -> Catalogue:
    """Return the methods that `build_method` and `compare` take."""
    return Catalogue(method_summaries(), METHODS.broken())


def list_encoders() -> Catalogue:
    """Return the frozen encoders that have a name of their own; any image model of timm can be named beside them."""
    own = {TINY: "the embedded one, for tests", **{name: f"{timm} of timm" for name, timm in PRESETS.items()}}
    own |= {name: f"{repository} of the hub, which sees whole clips" for name, repository in VIDEO_PRESETS.items()}
    plugins = {name: (ENCODERS[name].__doc__ or "").partition("\n")[0] for name in ENCODERS if name not in own}
    return Catalogue({**own, **plugins}, ENCODERS.broken())


def list_metrics() -> Catalogue:
    """Return the metrics of a run."""
    return Catalogue({name: metric.definition for name, metric in METRICS.items()}, METRICS.broken())


def list_protocols() -> Catalogue:
    """Return the shipped configs: what is learned, in which tasks."""
    return Catalogue(shipped_configs())


def list_datasets() -> Catalogue:
    """Return the kinds of data that `data.kind` names."""
    return Catalogue({name: dataset.summary for name, dataset in DATASETS.items()}, DATASETS.broken())
