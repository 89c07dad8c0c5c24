"""The page that compares methods, one HTML file that asks the network for nothing; and the files beside it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from essential.files.atomic import write_text
from essential.report.charts import KINDS
from essential.report.comparison_tables import frontier_matrix, kept, table_files
from essential.report.drawing import LineStyle
from essential.report.lines import Line, ReportedRun, figures_over_tasks
from essential.report.memory_scatter import ScatterView, own_scatter, published_scatter
from essential.report.page import group_runs, swatches, write_figure_files
from essential.report.rendering import render
from essential.report.run_figures import RunView
from essential.results.comparable import Run
from essential.results.comparison import Call, Comparison, MethodRow, compare
from essential.results.measures import MAIN
from essential.results.settings import compared_settings

_DRAWN = 8
"""Lines in a chart over tasks: more cannot be distinguished."""


def write_comparison(runs: Sequence[Run], folder: Path, call: Call | None = None) -> Comparison:
    """Compare finished runs, and write compare.html, compare.tex, compare.md, compare.csv and compare.json.

    The figure of accuracy against memory is in files of its own too: accuracy-against-memory.svg, .pdf and .csv. The
    same runs give the same bytes. Each file appears whole or not at all; the folder is made if it is missing.

    Raises:
        ComparisonError: runs differ in more than the method and the seed; nothing is written.
        FileSystemError: the disk refuses.
    """
    comparison = compare(runs, call)
    for name, text in {"compare.html": comparison_page(comparison), **table_files(comparison)}.items():
        write_text(folder / name, text)
    figure = comparison_scatter(comparison)
    write_figure_files([figure] if figure else [], folder)
    return comparison


def comparison_page(comparison: Comparison) -> str:
    """Return the page: it asks the network for nothing and runs no script; the same runs give the same text.

    The tables to download are inside, so that the page can be moved alone.
    """
    # What all runs have in common, read from one of them.
    group = group_runs([ReportedRun("Every run", comparison.example)])[0]
    rows = comparison.front if comparison.call.several else comparison.ordered
    beside = [_line(row, _look(comparison, row)) for row in rows]
    lines = _compared_lines(comparison)
    scatter = comparison_scatter(comparison)
    joined = [point.look for point in (scatter.points if scatter else ()) if not point.label]
    return render(
        "comparison.html",
        comparison=comparison,
        group=group,
        scatter=scatter,
        beside=published_scatter(beside, group.protocol.name, "compared"),
        matrix=frontier_matrix(comparison, lambda row: row.final_accuracy.shown),
        on_front={(row.method, row.budget_bytes) for row in comparison.front},
        lines=lines,
        charts=figures_over_tasks(lines, "compared"),
        swatches=swatches([*(line.style for line in lines), *joined]),
        others=[
            name
            for name in comparison.metrics
            if name not in MAIN and any(row.spread(name).mean is not None for row in comparison.rows)
        ],
        kinds={kind: name for kind, name in KINDS.items() if any(row.kept(kind) for row in comparison.rows)},
        settings=compared_settings(comparison.rows),
        downloads=table_files(comparison),
        kept=kept,
    )


def comparison_scatter(comparison: Comparison) -> ScatterView | None:
    """Return final accuracy against carried bytes, a line a method over several budgets; None without an accuracy."""
    lines = {row: _line(row, _look(comparison, row)) for row in comparison.ordered}
    if comparison.call.several:
        names = list(dict.fromkeys(row.method for row in lines))
        for row, line in lines.items():
            style = LineStyle(names.index(row.method), hollow=not row.keeps_to_the_rules)
            lines[row] = replace(line, name=row.method, style=style)
    front = [lines[row] for row in comparison.front]
    return own_scatter([*lines.values()], "compared", comparison.call.budgets, front)


def _compared_lines(comparison: Comparison) -> list[Line]:
    """Return the most accurate methods, and the baseline wherever it stands, a line each."""
    rows = sorted(comparison.rows, key=lambda row: row.final, reverse=True)
    chosen = rows[:_DRAWN]
    if not any(row.method == comparison.baseline for row in chosen):
        chosen[-1] = next(row for row in rows if row.method == comparison.baseline)
    return [_line(row, LineStyle(number)) for number, row in enumerate(chosen)]


def _line(row: MethodRow, style: LineStyle) -> Line:
    named = [(f"{row.name}, seed {record.seed}", record) for record in row.records]
    runs = [RunView(number, name, record, None, style) for number, (name, record) in enumerate(named)]
    return Line(row.name, style, tuple(runs))


def _look(comparison: Comparison, row: MethodRow) -> LineStyle:
    """Return a square for the baseline, a dot for others, and a ring for those that do not keep to the rules."""
    return LineStyle(1) if row.method == comparison.baseline else LineStyle(0, hollow=not row.keeps_to_the_rules)
