"""Where the tokens of exemplars lie: dense clips, the sparse frames that are kept, and what is retrieved from these."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from essential.records.analysis import Analysis, Kind, Point, SlotDistances
from essential.report.drawing import Drawing, Drawn, FigureView, NumberRow, Palette, Sheet, dress
from essential.results.formats import NONE

_MAP = Sheet(width=480, height=440, left=8, right=8, top=8, bottom=8)
_SQUARE = Sheet(width=480, height=440, left=62)


class Look(NamedTuple):
    """How a kind of token is drawn: its name, its mark on a page, its marker in matplotlib.

    `stroke` draws the mark in points around the origin; a line of no length has round ends, and is a dot.
    """

    name: str
    mark: str
    marker: str
    stroke: Sequence[tuple[float, float]]


_DOT = ((0.0, 0.0), (0.0, 0.0))
_CROSS = ((-2.9, -2.9), (2.9, 2.9), (np.nan, np.nan), (-2.9, 2.9), (2.9, -2.9))
_TRIANGLE = ((0.0, 2.9), (-2.9, -2.9), (2.9, -2.9), (0.0, 2.9))
_LOOKS: dict[Kind, Look] = {
    "dense": Look("all frames (dense)", "dot", "o", _DOT),
    "sparse": Look("stored frames (sparse)", "cross", "x", _CROSS),
    "retrieved": Look("retrieved from the stored frames", "triangle", "^", _TRIANGLE),
}
_MOST_COLOURS = 6


@dataclass(frozen=True, eq=False)
class TokenMap(FigureView):
    """The map, with its legend: the marks that it has, and the tasks of each colour, by the colour's number."""

    looks: Sequence[Look] = ()
    colours: Sequence[str] = ()


def token_map_figure(anchor: str, analysis: Analysis) -> TokenMap | None:
    """t-SNE of the exemplars' clip tokens, as in the paper's analysis, coloured by task; None if there is none."""
    if analysis.embedding is None:
        return None
    points, names = analysis.embedding.points, analysis.class_names
    kinds = {point.kind for point in points}
    looks = [look for kind, look in _LOOKS.items() if kind in kinds]
    tasks = analysis.class_tasks[-1] + 1
    count = min(tasks, _MOST_COLOURS)
    of_task = [task * count // tasks for task in range(tasks)]
    colours = [_tasks_named([task + 1 for task in range(tasks) if of_task[task] == number]) for number in range(count)]
    of_slot = [of_task[task] for task in analysis.class_tasks]
    return TokenMap(
        title="Map of exemplars",
        drawing=_token_map(f"{anchor}-tokens", points, of_slot, _keys(looks, colours)),
        data=[
            ("exemplar", "class", "task", "kind", "x", "y"),
            *((p.exemplar, names[p.slot], analysis.class_tasks[p.slot] + 1, p.kind, p.x, p.y) for p in points),
        ],
        looks=looks,
        colours=colours,
    )


def _tasks_named(tasks: Sequence[int]) -> str:
    return f"task {tasks[0]}" if len(tasks) == 1 else f"tasks {tasks[0]} to {tasks[-1]}"


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


def _token_map(
    name: str, points: Sequence[Point], of_slot: Sequence[int], keys: Callable[[Palette], list[Line2D]]
) -> Drawing:
    def draw(palette: Palette) -> Drawn:
        figure, axes = _MAP.plot()
        axes.set(xlim=(0, _MAP.area[0]), ylim=(0, _MAP.area[1]))
        axes.set_axis_off()
        places = {(p.kind, p.exemplar): (np.array([p.x, p.y]) + 1) / 2 * _MAP.area for p in points}
        links = [
            (place, places["dense", exemplar])
            for (kind, exemplar), place in places.items()
            if kind == "retrieved" and ("dense", exemplar) in places
        ]
        _draw_as_one(axes, links, colour=palette.ink, width=0.6, alpha=0.3)
        for kind, look in _LOOKS.items():
            for number in sorted(set(of_slot)):
                own = [p for p in points if p.kind == kind and of_slot[p.slot] == number]
                marks = [places[kind, p.exemplar] + look.stroke for p in own]
                width = 5.0 if look.mark == "dot" else 1.3
                _draw_as_one(axes, marks, colour=palette.series[number], width=width, alpha=0.85)
        return figure, keys(palette)

    return Drawing(name, draw)


def _draw_as_one(axes: Axes, strokes: Sequence[Any], *, colour: str, width: float, alpha: float) -> None:
    """Draw strokes of alike many points as one line: markers of their own would make a page of many runs too large."""
    if strokes:
        # NaN lifts the pen.
        line = np.insert(np.array(strokes, float), len(strokes[0]), np.nan, axis=1).reshape(-1, 2)
        look: dict[str, Any] = {"color": colour, "linewidth": width, "alpha": alpha, "clip_on": False}
        axes.plot(*line.T, solid_capstyle="round", solid_joinstyle="round", scalex=False, scaley=False, **look)


def _keys(looks: Sequence[Look], colours: Sequence[str]) -> Callable[[Palette], list[Line2D]]:
    def keys(palette: Palette) -> list[Line2D]:
        marks = [(look.name, look.marker, palette.ink) for look in looks]
        marks += [(name, "o", palette.series[number]) for number, name in enumerate(colours)]
        return [
            Line2D([], [], linestyle="", label=name, color=colour, marker=marker, markersize=7)
            for name, marker, colour in marks
        ]

    return keys


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
        _draw_as_one(axes, [np.array(pair) + _DOT for pair in pairs], colour=palette.series[0], width=5.0, alpha=0.85)
        return figure, ()

    return Drawing(name, draw)
