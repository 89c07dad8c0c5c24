"""Where the tokens of exemplars lie: dense clips, the sparse frames that are kept, and what is retrieved from these."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from essential.analysis_record import Analysis, Embedding, Kind, MeanDistances, Point, SlotDistances
from essential.report.axes import Sheet, dress
from essential.report.dots import Mark, draw_dots, draw_links
from essential.report.drawing import Drawing, Palette
from essential.report.figure_view import Data, FigureView, NumberRow, Numbers
from essential.report.formats import NONE, grouped
from essential.report.run_view import RunView

LOOKS: dict[Kind, tuple[str, Mark, int]] = {
    "dense": ("all frames (dense)", "dot", 0),
    "sparse": ("stored frames (sparse)", "cross", 1),
    "retrieved": ("retrieved from the stored frames", "triangle", 2),
}
"""Each kind of token: its name, mark and colour."""
_MARKERS = {"dot": "o", "cross": "x", "triangle": "^"}
_MAP = Sheet(width=480, height=440, left=8, right=8, top=8, bottom=8)
_SQUARE = Sheet(width=480, height=440, left=62)


def token_looks(points: Sequence[Point]) -> list[tuple[str, Mark, int]]:
    """Return the looks of the kinds that there are points of."""
    kinds = {point.kind for point in points}
    return [look for kind, look in LOOKS.items() if kind in kinds]


def token_map_figure(run: RunView, embedding: Embedding, class_names: Sequence[str]) -> FigureView:
    """t-SNE of the exemplars' clip tokens, as in the paper's analysis."""
    shown = len({point.exemplar for point in embedding.points})
    looks = token_looks(embedding.points)
    linked = (
        "A line joins what is retrieved to the dense clip of the same exemplar. " if len(looks) == len(LOOKS) else ""
    )
    return FigureView(
        title="Map of exemplars",
        note=f"t-SNE of the clip tokens of {grouped(shown)} of {grouped(embedding.of_exemplars)} exemplars. {linked}"
        "Points that are near are alike; directions, and distances between groups, mean nothing.",
        description=f"t-SNE map of {grouped(len(embedding.points))} tokens of {grouped(shown)} exemplars: "
        f"{', '.join(name for name, *_ in looks)}.",
        drawing=_TokenMap(f"{run.anchor}-tokens", embedding.points),
        data=Data(
            ("exemplar", "class", "kind", "x", "y"),
            [(point.exemplar, class_names[point.slot], point.kind, point.x, point.y) for point in embedding.points],
        ),
    )


def distance_figure(run: RunView, analysis: Analysis) -> FigureView | None:
    """By class, how far sparse and retrieved tokens are from dense ones; None if nothing is retrieved or known."""
    distances = analysis.distances
    if distances is None:
        return None
    overall = distances.overall
    names = analysis.class_names
    both = [each for each in distances.by_slot if each.means.retrieved is not None]
    if not both or overall.retrieved is None:
        return None
    nearer = sum((each.means.retrieved or 0.0) < each.means.sparse for each in both)
    frames = _frames_words(overall)
    measures = (
        ("clip tokens, cosine distance", overall.sparse, overall.retrieved),
        ("frame features, squared error", overall.sparse_frames, overall.retrieved_frames),
    )
    return FigureView(
        title="Distance from the dense clips",
        note="Mean cosine distance of the clip tokens from those of the dense clips, a point per class: of the stored "
        "frames (across) and of what is retrieved from them (up). Below the line, retrieving brings a class nearer. "
        f"{frames}{_sampled(analysis)}",
        description=f"Scatter chart of {len(both)} classes: what is retrieved is nearer to the dense clip than the "
        f"stored frames in {nearer} of them; on average {overall.retrieved:.3f} against {overall.sparse:.3f}. "
        f"{frames}".rstrip(),
        drawing=_DistanceChart(f"{run.anchor}-distances", both),
        data=Data(
            ("class", "exemplars", "sparse", "retrieved", "sparse frames", "retrieved frames"),
            [
                (
                    names[each.slot],
                    each.means.exemplars,
                    each.means.sparse,
                    each.means.retrieved,
                    each.means.sparse_frames,
                    each.means.retrieved_frames,
                )
                for each in distances.by_slot
            ],
        ),
        numbers=Numbers(
            ("Mean over exemplars", "stored frames", "retrieved"),
            [
                NumberRow(name, [f"{sparse:.4f}", NONE if retrieved is None else f"{retrieved:.4f}"])
                for name, sparse, retrieved in measures
            ],
        ),
    )


def _frames_words(means: MeanDistances) -> str:
    """Say how much nearer or farther what is retrieved is in frame features, which the figure does not show."""
    if not means.retrieved_frames or not means.sparse_frames:
        return ""
    share = means.retrieved_frames / means.sparse_frames
    word = "farther from" if share > 1 else "nearer to"
    return (
        f"In the features of single frames, what is retrieved is {word} the dense frames than the stored ones are: its "
        f"mean squared error is {share:.{1 if share >= 1 else 2}f} times theirs. "
    )


def _sampled(analysis: Analysis) -> str:
    """Say of how many exemplars the means are: of a large memory a part is looked at."""
    looked = analysis.distances.overall.exemplars if analysis.distances else 0
    of_all = f" of {grouped(analysis.embedding.of_exemplars)}" if analysis.embedding else ""
    return f"All means are over {grouped(looked)}{of_all} exemplars."


@dataclass(frozen=True)
class _TokenMap(Drawing):
    name: str
    points: Sequence[Point]

    def draw(self, palette: Palette) -> Figure:
        figure, axes = _MAP.plot()
        wide, high = _MAP.area
        axes.set(xlim=(0, wide), ylim=(0, high))
        axes.set_axis_off()
        places = {(p.kind, p.exemplar): ((p.x + 1) / 2 * wide, (p.y + 1) / 2 * high) for p in self.points}
        links = [
            (place, places["dense", exemplar])
            for (kind, exemplar), place in places.items()
            if kind == "retrieved" and ("dense", exemplar) in places
        ]
        draw_links(axes, links, colour=palette.ink)
        for kind, (_, mark, number) in LOOKS.items():
            of_kind = [place for (own, _), place in places.items() if own == kind]
            draw_dots(axes, of_kind, mark, colour=palette.series[number])
        return figure

    def keys(self, palette: Palette) -> list[Artist]:
        return [
            Line2D([], [], linestyle="", label=label, marker=_MARKERS[mark], **_key(palette.series[number], mark))
            for label, mark, number in token_looks(self.points)
        ]


@dataclass(frozen=True)
class _DistanceChart(Drawing):
    name: str
    slots: Sequence[SlotDistances]

    def draw(self, palette: Palette) -> Figure:
        figure, axes = _SQUARE.plot()
        wide, high = _SQUARE.area
        pairs = [(each.means.sparse, each.means.retrieved or 0.0) for each in self.slots]
        most = 1.08 * max(max(pair) for pair in pairs) or 1.0
        dress(axes, palette, x_label="Stored frames, cosine distance", y_label="Retrieved, cosine distance")
        axes.set(xlim=(0, most), ylim=(0, most))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
        axes.plot((0, most), (0, most), color=palette.ink, alpha=0.5, linewidth=1.1, linestyle=(0, (5, 2.5)))
        axes.axhline(0, color=palette.ink, alpha=0.7, linewidth=1)
        for place, words in (((0.97, 0.04), "retrieved is nearer"), ((0.03, 0.93), "retrieved is farther")):
            side = "right" if place[0] > 0.5 else "left"
            axes.text(*place, words, transform=axes.transAxes, ha=side, color=palette.ink, alpha=0.8)
        # Dots count in points, both ways: a second plot over the first.
        over = figure.add_axes(axes.get_position().bounds, frameon=False)
        over.set(xticks=(), yticks=(), xlim=(0, wide), ylim=(0, high))
        draw_dots(over, [(x / most * wide, y / most * high) for x, y in pairs], "dot", colour=palette.series[0])
        return figure


def _key(colour: str, mark: Mark) -> dict[str, Any]:
    return {"color": colour, "markersize": 7, "markerfacecolor": colour if mark == "dot" else "none"}
