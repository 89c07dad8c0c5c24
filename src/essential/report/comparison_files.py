"""A comparison's files: for readers, for papers, for documents and for programs."""

from collections.abc import Sequence
from pathlib import Path

from essential.files.atomic import write_json, write_text
from essential.metrics import METRICS
from essential.report.comparison_latex import as_latex
from essential.report.comparison_text import OVER, as_csv, as_markdown, as_objects, kept, measures_of
from essential.report.contents import group_runs
from essential.report.families import Line
from essential.report.figures import figures_over_tasks
from essential.report.line_style import LineStyle
from essential.report.memory_scatter import OwnMethod, own_scatter, published_scatter
from essential.report.page import swatches
from essential.report.rendering import render
from essential.report.run_view import KINDS, ReportedRun, RunView
from essential.report.scatter import Look
from essential.results.comparison import REFERENCE, Comparison, MethodRow, compare
from essential.results.comparison_check import Run
from essential.results.runs import MEASURES

_DRAWN = 8
"""Lines in a chart over tasks: more cannot be told apart."""
_MAIN = ("final_accuracy", "average_incremental_accuracy", "forgetting_from_best", "backward_forgetting")
_OTHER_MEASURES = {name: METRICS[name].title for name in MEASURES if name not in _MAIN}
_OTHER_MEASURES |= {"forward_transfer": f"Forward transfer, against {REFERENCE}"}


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
    others = {
        name: title
        for name, title in _OTHER_MEASURES.items()
        if any(measures_of(row)[name].mean is not None for row in comparison.rows)
    }
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
        kinds=KINDS,
        others=others,
        measures_of=measures_of,
        kept=kept,
        over=OVER,
    )


def _lines(comparison: Comparison) -> list[Line]:
    """Return the most accurate methods, and the baseline wherever it stands, a line each."""
    rows = [row for row in comparison.ranked if row.rank <= _DRAWN or row.method == comparison.baseline]
    rows = rows if len(rows) <= _DRAWN else [*rows[: _DRAWN - 1], rows[-1]]
    lines = []
    for place, row in enumerate(rows):
        style = LineStyle(place)
        runs = [
            RunView(number, f"{row.method}, seed {record.seed}", record, None, style)
            for number, record in enumerate(row.records)
        ]
        lines.append(Line(row.method, style, tuple(runs)))
    return lines


def _look(comparison: Comparison, row: MethodRow) -> Look:
    if row.method == comparison.baseline:
        return "baseline"
    return "in-rules" if row.keeps_to_the_rules else "out-of-rules"
