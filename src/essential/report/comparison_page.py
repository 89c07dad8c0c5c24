"""A comparison as one offline HTML page."""

from dataclasses import dataclass

from essential.report.comparison import REFERENCE, Comparison, MethodRow, Spread
from essential.report.comparison_text import OVER, kept, measures_of
from essential.report.contents import KINDS, GroupView, group_runs
from essential.report.formats import percent, plus_minus
from essential.report.rendering import render
from essential.report.scatter import Look, ScatterChart, ScatterPoint, draw_scatter

_DESCRIBED = 8
_OTHER_MEASURES = {
    "average_incremental_accuracy_cnn": "Average incremental, by the head",
    "average_incremental_accuracy_nme": "Average incremental, by nearest means",
    "vclimb_accuracy": "vCLIMB accuracy",
    "vclimb_accuracy_unweighted": "the same, unweighted",
    "vclimb_bwf": "vCLIMB BWF",
    "tcd_forgetting": "TCD forgetting",
    "forward_transfer": f"Forward transfer, against {REFERENCE}",
}


@dataclass(frozen=True)
class FigureView:
    """A chart as SVG, and its message in words."""

    svg: str
    description: str


def comparison_page(comparison: Comparison) -> str:
    """Return the page: it asks the network for nothing and runs no script; the same runs give the same text."""
    others = {
        name: title
        for name, title in _OTHER_MEASURES.items()
        if any(measures_of(row)[name].mean is not None for row in comparison.rows)
    }
    return render(
        "comparison.html",
        comparison=comparison,
        group=_shared(comparison),
        figure=_figure(comparison),
        kinds=KINDS,
        others=others,
        measures_of=measures_of,
        kept=kept,
        over=OVER,
        spread=_spread,
    )


def _shared(comparison: Comparison) -> GroupView:
    """What all runs have in common, read from one of them."""
    return group_runs([("Every run", comparison.example)])[0]


def _spread(spread: Spread) -> str:
    return plus_minus(spread.mean, spread.std)


def _figure(comparison: Comparison) -> FigureView | None:
    """Return accuracy against kept bytes; None if no method has an accuracy."""
    known = [(row, row.final_accuracy.mean) for row in comparison.ranked]
    shown = [(row, mean) for row, mean in known if mean is not None]
    if not shown:
        return None
    points = [
        ScatterPoint(
            number=row.rank,
            accuracy=100 * mean,
            deviation=100 * (row.final_accuracy.std or 0.0),
            kept_bytes=None if row.needs_all_tasks else row.memory_bytes,
            look=_look(comparison, row),
        )
        for row, mean in shown
    ]
    chart = ScatterChart("accuracy-and-memory", points, comparison.budget_bytes)
    named = [f"{row.method}: {percent(mean)} % with {kept(row)}" for row, mean in shown]
    more = f"; and {len(named) - _DESCRIBED} more methods" if len(named) > _DESCRIBED else ""
    text = f"Scatter chart, final accuracy against kept bytes. {'; '.join(named[:_DESCRIBED])}{more}."
    return FigureView(draw_scatter(chart), f"{text} The numbers are in the table above.")


def _look(comparison: Comparison, row: MethodRow) -> Look:
    if row.method == comparison.baseline:
        return "baseline"
    return "in-rules" if row.keeps_to_the_rules else "out-of-rules"
