"""A comparison as one offline HTML page."""

from essential.metrics import METRICS
from essential.report.comparison_text import OVER, kept, measures_of
from essential.report.contents import group_runs
from essential.report.families import Line
from essential.report.figures import accuracy_figure, forgetting_figure
from essential.report.line_style import LineStyle
from essential.report.memory_scatter import OwnMethod, own_scatter, published_scatter
from essential.report.page import swatches
from essential.report.rendering import render
from essential.report.reported import ReportedRun
from essential.report.run_view import KINDS, RunView
from essential.report.scatter import Look
from essential.results.comparison import REFERENCE, Comparison, MethodRow
from essential.results.runs import MEASURES

_DRAWN = 8
"""Lines in a chart over tasks: more cannot be told apart."""
_MAIN = ("final_accuracy", "average_incremental_accuracy", "forgetting_from_best", "backward_forgetting")
_OTHER_MEASURES = {name: METRICS[name].title for name in MEASURES if name not in _MAIN}
_OTHER_MEASURES |= {"forward_transfer": f"Forward transfer, against {REFERENCE}"}


def comparison_page(comparison: Comparison) -> str:
    """Return the page: it asks the network for nothing and runs no script; the same runs give the same text."""
    others = {
        name: title
        for name, title in _OTHER_MEASURES.items()
        if any(measures_of(row)[name].mean is not None for row in comparison.rows)
    }
    # What all runs have in common, read from one of them.
    group = group_runs([ReportedRun("Every run", comparison.example)])[0]
    methods = [OwnMethod.of(str(row.rank), row.method, row, _look(comparison, row)) for row in comparison.ranked]
    lines = _lines(comparison)
    charts = [accuracy_figure(lines, "compared")]
    if any(len(record.accuracy) > 1 for row in comparison.rows for record in row.records):
        charts.append(forgetting_figure(lines, "compared"))
    return render(
        "comparison.html",
        comparison=comparison,
        group=group,
        scatter=own_scatter(methods, "compared", comparison.budget_bytes),
        beside=published_scatter(methods, group.protocol.name, "compared"),
        lines=lines,
        charts=charts,
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
