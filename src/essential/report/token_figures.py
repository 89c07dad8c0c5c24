"""Where the tokens of exemplars lie: dense clips, the sparse frames that are kept, and what is retrieved from these."""

from collections.abc import Sequence
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from essential.records.analysis import Analysis, Embedding, Kind, MeanDistances, Point, SlotDistances
from essential.report.drawing import Drawing, Drawn, Palette, Sheet, dress
from essential.report.figure_view import FigureView, NumberRow
from essential.report.formats import NONE, grouped
from essential.report.run_view import RunView

Mark = Literal["dot", "cross", "triangle"]
_STROKES: dict[Mark, tuple[tuple[tuple[float, float], ...], ...]] = {
    # A line of no length with round ends.
    "dot": (((0, 0), (0, 0)),),
    "cross": (((-2.6, -2.6), (2.6, 2.6)), ((-2.6, 2.6), (2.6, -2.6))),
    "triangle": (((0, 3.6), (3.2, -2.2), (-3.2, -2.2), (0, 3.6)),),
}
_WIDTHS: dict[Mark, float] = {"dot": 5.0, "cross": 1.3, "triangle": 1.3}
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
        drawing=_token_map(f"{run.anchor}-tokens", embedding.points),
        data=[
            ("exemplar", "class", "kind", "x", "y"),
            *((point.exemplar, class_names[point.slot], point.kind, point.x, point.y) for point in embedding.points),
        ],
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
        drawing=_distance_chart(f"{run.anchor}-distances", both),
        data=[
            ("class", "exemplars", "sparse", "retrieved", "sparse frames", "retrieved frames"),
            *(
                (
                    names[each.slot],
                    each.means.exemplars,
                    each.means.sparse,
                    each.means.retrieved,
                    each.means.sparse_frames,
                    each.means.retrieved_frames,
                )
                for each in distances.by_slot
            ),
        ],
        numbers=[
            NumberRow("Mean over exemplars", ["stored frames", "retrieved"]),
            *(
                NumberRow(name, [f"{sparse:.4f}", NONE if retrieved is None else f"{retrieved:.4f}"])
                for name, sparse, retrieved in measures
            ),
        ],
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


def _token_map(name: str, points: Sequence[Point]) -> Drawing:
    def draw(palette: Palette) -> Drawn:
        figure, axes = _MAP.plot()
        wide, high = _MAP.area
        axes.set(xlim=(0, wide), ylim=(0, high))
        axes.set_axis_off()
        places = {(p.kind, p.exemplar): ((p.x + 1) / 2 * wide, (p.y + 1) / 2 * high) for p in points}
        links = [
            [place, places["dense", exemplar]]
            for (kind, exemplar), place in places.items()
            if kind == "retrieved" and ("dense", exemplar) in places
        ]
        _draw_strokes(axes, links, colour=palette.ink, width=0.6, alpha=0.35)
        for kind, (_, mark, number) in LOOKS.items():
            of_kind = [place for (own, _), place in places.items() if own == kind]
            _draw_dots(axes, of_kind, mark, colour=palette.series[number])
        return figure, [_key(palette, *look) for look in token_looks(points)]

    return Drawing(name, draw)


def _key(palette: Palette, label: str, mark: Mark, number: int) -> Artist:
    colour = palette.series[number]
    key = Line2D([], [], linestyle="", label=label, color=colour, marker=_MARKERS[mark], markersize=7)
    key.set_markerfacecolor(colour if mark == "dot" else "none")
    return key


def _distance_chart(name: str, slots: Sequence[SlotDistances]) -> Drawing:
    def draw(palette: Palette) -> Drawn:
        figure, axes = _SQUARE.plot()
        wide, high = _SQUARE.area
        pairs = [(each.means.sparse, each.means.retrieved or 0.0) for each in slots]
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
        _draw_dots(over, [(x / most * wide, y / most * high) for x, y in pairs], "dot", colour=palette.series[0])
        return figure, ()

    return Drawing(name, draw)


def _draw_dots(axes: Axes, places: Sequence[tuple[float, float]], mark: Mark, *, colour: str) -> None:
    """Draw a mark at each place; the plot must count in points both ways."""
    strokes = [[(x + dx, y + dy) for dx, dy in stroke] for x, y in places for stroke in _STROKES[mark]]
    _draw_strokes(axes, strokes, colour=colour, width=_WIDTHS[mark], alpha=0.85)


def _draw_strokes(
    axes: Axes, strokes: Sequence[list[tuple[float, float]]], *, colour: str, width: float, alpha: float
) -> None:
    if not strokes:
        return
    vertices = [vertex for stroke in strokes for vertex in stroke]
    codes = [code for stroke in strokes for code in (Path.MOVETO, *[Path.LINETO] * (len(stroke) - 1))]
    look = {"edgecolor": colour, "linewidth": width, "alpha": alpha, "capstyle": "round", "joinstyle": "round"}
    axes.add_artist(PathPatch(Path(vertices, codes), facecolor="none", clip_on=False, **look))
