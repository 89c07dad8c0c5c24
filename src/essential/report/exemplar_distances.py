"""How far what is kept of exemplars, and what is retrieved from it, is from the clips that they were."""

from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from essential.records.analysis import Analysis, SlotDistances
from essential.report.drawing import Drawing, Drawn, FigureView, NumberRow, Palette, Sheet, dress
from essential.results.formats import NONE

_SQUARE = Sheet(width=480, height=440, left=62)


def distance_figure(anchor: str, analysis: Analysis) -> FigureView | None:
    """By class, how far sparse and retrieved tokens are from dense ones; None if nothing is retrieved or known."""
    distances = analysis.distances
    if distances is None:
        return None
    overall = distances.overall
    both = [each for each in distances.by_slot if each.means.retrieved is not None]
    if not both or overall.retrieved is None:
        return None
    fields = ("exemplars", "sparse", "retrieved", "sparse_frames", "retrieved_frames")
    return FigureView(
        title="Distance from the dense clips",
        drawing=_distance_chart(f"{anchor}-distances", both),
        data=[
            ("class", *(field.replace("_", " ") for field in fields)),
            *(
                (analysis.class_names[each.slot], *(getattr(each.means, field) for field in fields))
                for each in distances.by_slot
            ),
        ],
        numbers=[
            NumberRow("Mean over exemplars", ["stored frames", "retrieved"]),
            NumberRow("clip tokens, cosine distance", _digits(overall.sparse, overall.retrieved)),
            NumberRow("frame features, squared error", _digits(overall.sparse_frames, overall.retrieved_frames)),
        ],
    )


def _digits(*values: float | None) -> list[str]:
    return [NONE if value is None else f"{value:.4f}" for value in values]


def _distance_chart(name: str, slots: Sequence[SlotDistances]) -> Drawing:
    def draw(palette: Palette) -> Drawn:
        figure, axes = _SQUARE.plot()
        pairs = [(each.means.sparse, each.means.retrieved or 0.0) for each in slots]
        most = 1.08 * max(map(max, pairs)) or 1.0
        dress(axes, palette, x_label="Stored frames, cosine distance", y_label="Retrieved, cosine distance")
        axes.set(xlim=(0, most), ylim=(0, most))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
        axes.axline((0, 0), slope=1, color=palette.ink, alpha=0.5, linewidth=1.1, linestyle=(0, (5, 2.5)))
        axes.axhline(0, color=palette.ink, alpha=0.7, linewidth=1)
        for place, side, words in (((0.97, 0.04), "right", "nearer"), ((0.03, 0.93), "left", "farther")):
            axes.text(*place, f"retrieved is {words}", transform=axes.transAxes, ha=side, color=palette.ink, alpha=0.8)
        axes.plot(*zip(*pairs, strict=True), "o", color=palette.series[0], markersize=5, alpha=0.85, markeredgewidth=0)
        return figure, ()

    return Drawing(name, draw)
