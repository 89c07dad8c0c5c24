"""A comparison's page, and its files: for readers, for papers, for documents and for programs."""

from collections.abc import Sequence
from pathlib import Path

from essential.files.atomic import write_json, write_text
from essential.report.comparison_tables import OVER, as_csv, as_latex, as_markdown, as_objects, kept
from essential.report.contents import group_runs
from essential.report.drawing import LineStyle
from essential.report.line_figures import figures_over_tasks
from essential.report.memory_scatter import OwnMethod, own_scatter, published_scatter
from essential.report.page import swatches
from essential.report.rendering import render
from essential.report.run_view import Line, ReportedRun, RunView
from essential.results.comparison import Comparison, MethodRow, compare
from essential.results.comparison_check import Run
from essential.results.measures import MAIN

_DRAWN = 8
"""Lines in a chart over tasks: more cannot be told apart."""


def write_comparison(runs: Sequence[Run], folder: Path, *, budget_bytes: int | None) -> Comparison:
    """Compare finished runs, and write compare.html, compare.tex, compare.md, compare.csv and compare.json.

    The same runs give the same bytes. Each file appears whole or not at all.

    Args:
        runs: the method's name, as the user wrote it, and the record; several seeds of a method have one name.
        folder: where the files go; made if it is missing.
        budget_bytes: the cap on what a method keeps, MR modules aside; None if there was none.

    Raises:
        ComparisonError: runs differ in more than the method and the seed; nothing is written.
        FileSystemError: the disk refuses.
    """
    comparison = compare(runs, budget_bytes=budget_bytes)
    texts = {
        "compare.html": comparison_page(comparison),
        "compare.tex": as_latex(comparison),
        "compare.md": as_markdown(comparison),
        "compare.csv": as_csv(comparison),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    write_json(folder / "compare.json", as_objects(comparison))
    return comparison


def comparison_page(comparison: Comparison) -> str:
    """Return the page: it asks the network for nothing and runs no script; the same runs give the same text."""
    known = [name for name in comparison.metrics if any(row.spread(name).mean is not None for row in comparison.rows)]
    # What all runs have in common, read from one of them.
    group = group_runs([ReportedRun("Every run", comparison.example)])[0]
    methods = [OwnMethod(str(row.rank), row.method, row, _look(comparison, row)) for row in comparison.ranked]
    lines = _lines(comparison)
    return render(
        "comparison.html",
        comparison=comparison,
        group=group,
        scatter=own_scatter(methods, "compared", comparison.budget_bytes),
        beside=published_scatter(methods, group.protocol.name, "compared"),
        lines=lines,
        charts=figures_over_tasks(lines, "compared"),
        swatches=swatches([line.style for line in lines]),
        others=[name for name in known if name not in MAIN],
        kept=kept,
        over=OVER,
    )


def _lines(comparison: Comparison) -> list[Line]:
    """Return the most accurate methods, and the baseline wherever it stands, a line each."""
    rows = [row for row in comparison.ranked if row.rank <= _DRAWN or row.method == comparison.baseline]
    rows = rows if len(rows) <= _DRAWN else [*rows[: _DRAWN - 1], rows[-1]]
    lines = []
    for style, row in zip(map(LineStyle, range(_DRAWN)), rows, strict=False):
        named = [(f"{row.method}, seed {record.seed}", record) for record in row.records]
        runs = [RunView(number, name, record, None, style) for number, (name, record) in enumerate(named)]
        lines.append(Line(row.method, style, tuple(runs)))
    return lines


def _look(comparison: Comparison, row: MethodRow) -> LineStyle:
    """Return a square for the baseline, a dot for others, and a ring for those that do not keep to the rules."""
    return LineStyle(1) if row.method == comparison.baseline else LineStyle(0, hollow=not row.keeps_to_the_rules)
