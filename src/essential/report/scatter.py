"""Accuracy against kept bytes, points labelled: of the methods on the page, and beside what others have published.

The bytes' axis is logarithmic and has no place for 0, nor for the videos themselves, which are not counted in bytes,
nor for a memory of which nobody says how large it is: each gets a strip of its own, apart from the scale.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from essential.published import PublishedFigure, is_joint, published_for
from essential.report.drawing import Drawing, Drawn, FigureView, LineStyle, Palette, Sheet, Value, dress
from essential.results.formats import BYTE_UNITS, human_bytes, percent
from essential.results.measures import FINAL, column_title, in_order, is_accuracy, metric_of
from essential.results.runs import SeedRuns

PUBLISHED = LineStyle(None, hollow=True)
"""The look of what was not run here."""
_SHEET = Sheet(width=480, height=440, right=10, top=26, bottom=74)
_AREA = _SHEET.area
_STRIP, _WIDE_STRIP, _CROWD = 62.0, 124.0, 4
"""Widths of strips, and how many points a narrow one holds."""
_HALF_TICK = 36.0
_LABEL_HEIGHT, _DIGIT_WIDTH, _LABEL_SPACE = 16.0, 10.2, 4.0
"""Of a page as narrow as a phone, where letters are the largest against the drawing."""
_LINE_FROM = 22.0
_MARKER_SIZE = 10.0
Place = tuple[float, float]


class Apart(Enum):
    """A memory that is not a number of bytes; the value is its strip's name."""

    ALL_VIDEOS = "all\nvideos"
    NOT_STATED = "not\nstated"


Kept = int | Apart


@dataclass(frozen=True)
class ScatterPoint:
    """A method, with accuracy and deviation in percent; `behind` is what the list beside the drawing says of it."""

    label: str
    name: str
    accuracy: float
    deviation: float
    kept: Kept
    look: LineStyle
    behind: str = ""


def scatter_chart(
    name: str, points: Sequence[ScatterPoint], *, y_label: str, budget_bytes: int | None = None, note: str = ""
) -> Drawing:
    """Return a drawing of at least one point, all with labels of their own; `name` is unique on the page.

    The budget is a line. `note` says in a file's legend what is to be known of the published points.
    """

    def draw(palette: Palette) -> Drawn:
        figure, axes = _SHEET.plot()
        dress(axes, palette, x_label="Kept from task to task, without MR modules", y_label=y_label)
        low = min(point.accuracy - point.deviation for point in points)
        high = max(point.accuracy + point.deviation for point in points)
        room = max(0.06 * (high - low), 1.0)
        axes.set(xlim=(0, _AREA[0]), ylim=(max(0.0, low) - room, min(100.0, high) + room))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if 0 <= value <= 100 else ""))
        axes.axhline(axes.get_ylim()[0], color=palette.ink, alpha=0.7, linewidth=1, clip_on=False)
        places = _lay_out(axes, palette, [point.kept for point in points], budget_bytes)
        keys = [_draw_point(axes, palette, places[point.kept], point) for point in points]
        if note:
            keys.append(Line2D([], [], label=note, **PUBLISHED.look(palette, size=5.5) | {"linestyle": ""}))
        _draw_labels(axes, palette, [(places[point.kept], point) for point in points])
        return figure, keys

    return Drawing(name, draw)


def _lay_out(axes: Axes, palette: Palette, kept: Sequence[Kept], budget_bytes: int | None) -> dict[Kept, float]:
    """Draw the scale, its strips and the budget; return where each memory lies, in points from the left."""
    counts = {count for count in (*kept, budget_bytes) if isinstance(count, int) and count}
    powers = [math.log2(count) for count in counts] or [10.0, 20.0]
    room = max(0.06 * (max(powers) - min(powers)), 0.75)
    low, high = min(powers) - room, max(powers) + room
    start = _STRIP if 0 in kept else 0.0
    widths = {strip: _STRIP if kept.count(strip) <= _CROWD else _WIDE_STRIP for strip in Apart if strip in kept}
    end = _AREA[0] - sum(widths.values())
    unit = (end - start) / (high - low)
    places: dict[Kept, float] = {count: start + (math.log2(count) - low) * unit for count in counts}
    # A label of the scale must not reach into a strip, whose name is as wide as the strip.
    first, last = start + _HALF_TICK * (start > 0), end - _HALF_TICK * bool(widths)
    powers_of_two = MaxNLocator(nbins=4, integer=True, steps=[1, 2, 3, 5, 10]).tick_values(max(low, 0), high)
    scale = [(start + (power - low) * unit, int(power)) for power in powers_of_two if power >= 0]
    ticks = [(x, f"{1 << power % 10} {BYTE_UNITS[power // 10]}") for x, power in scale if first <= x <= last]
    strips: list[tuple[Kept, str, float, float]] = [(0, "nothing\nkept", 0.0, start)] if start else []
    for strip, width in widths.items():
        strips.append((strip, strip.value, end, end + width))
        end += width
    for memory, name, left, right in strips:
        places[memory] = (left + right) / 2
        ticks.append((places[memory], name))
        axes.axvline(left or right, color=palette.ink, alpha=0.45, linewidth=1, linestyle=(0, (1, 2.5)))
    axes.set_xticks([place for place, _ in ticks], [name for _, name in ticks], linespacing=1.45)
    axes.tick_params(axis="x", pad=7)
    axes.xaxis.labelpad = 10
    if budget_bytes:
        place = places[budget_bytes]
        axes.axvline(place, color=palette.ink, alpha=0.6, linewidth=1.2, linestyle=(0, (5, 2.5)), zorder=1)
        side = "right" if place > _AREA[0] * 0.8 else "left" if place < _AREA[0] * 0.2 else "center"
        axes.text(place, 1.02, "budget", transform=axes.get_xaxis_transform(), ha=side, va="bottom", color=palette.ink)
    return places


def _draw_point(axes: Axes, palette: Palette, place: float, point: ScatterPoint) -> Line2D:
    look = point.look.look(palette, size=5.5 if point.look == PUBLISHED else 8.0) | {"linestyle": "", "zorder": 4}
    axes.errorbar(place, point.accuracy, point.deviation, fmt="none", ecolor=look["color"], elinewidth=1.6, zorder=3)
    return axes.plot((place,), (point.accuracy,), label=f"{point.label}  {point.name}", **look)[0]


def _draw_labels(axes: Axes, palette: Palette, points: Sequence[tuple[float, ScatterPoint]]) -> None:
    low, high = axes.get_ylim()
    unit = _AREA[1] / (high - low)
    spots = [(x, (point.accuracy - low) * unit) for x, point in points]
    size = _DIGIT_WIDTH * max(len(point.label) for _, point in points) + _LABEL_SPACE, _LABEL_HEIGHT
    line = {"arrowstyle": "-", "color": palette.ink, "alpha": 0.5, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 4}
    for (x, point), spot, middle in zip(points, spots, place_labels(spots, size, area=_AREA), strict=True):
        axes.annotate(
            point.label,
            (x, point.accuracy),
            (middle[0], low + middle[1] / unit),
            ha="center",
            va="center_baseline",
            color=palette.ink,
            zorder=2,
            arrowprops=line if math.dist(spot, middle) > _LINE_FROM else None,
        )


def place_labels(points: Sequence[Place], size: Place, *, area: Place) -> Float[np.ndarray, "points 2"]:
    """Return the middle of each label, inside the area, left or right of its point; none covers another, or a point.

    Each point takes the nearest place that is free; labels of a crowd form columns on both sides of it.
    Then they trade places so that the lines from points to labels are as short as can be in all: such lines do not
    cross. `size` is that of a label, and `area` that of the drawing, whose corner is (0, 0).
    """
    # Takes a while to import, and only charts of several methods need it.
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    spots, box, places = np.array(points, float), np.array(size), np.zeros((0, 2))
    beside = (box[0] + _MARKER_SIZE) / 2 + np.arange(4, 64, 6)
    steps = np.stack(np.meshgrid([*beside, *-beside], np.arange(-120, 121, 2)), axis=-1).reshape(-1, 2)
    # To go up or down is better than to go away.
    steps = steps[np.argsort(np.abs(steps) @ [3, 1], kind="stable")]
    # From the middle of a crowd outwards, so that its columns are level with it.
    crowd = np.exp(-((cdist(spots, spots) / 40) ** 2)).sum(axis=1)
    for spot in spots[np.argsort(-crowd, kind="stable")]:
        around = spot + steps
        around = around[((around >= box / 2) & (around <= np.array(area) - box / 2)).all(axis=1)]
        free = np.ones(len(around), bool)
        for others, least in ((spots, (box + _MARKER_SIZE) / 2), (places, box)):
            free &= (np.abs(around[:, None] - others) >= least).any(axis=2).all(axis=1)
        places = np.vstack([places, around[free.argmax()]])
    chosen: Float[np.ndarray, "points 2"] = places[linear_sum_assignment(cdist(spots, places))[1]]
    return chosen


FRAME_BYTES = 224 * 224 * 3
"""Of one frame, as methods that keep videos read it: 224 by 224 pixels of three bytes."""
_DESCRIBED = 8
_ELSEWHERE = "published elsewhere for a protocol of this name, not run here"
_ASSUMED = (
    f" Sources that count their memory in frames do not say how many bytes these are: a frame is put at "
    f"{human_bytes(FRAME_BYTES)} (224 by 224 pixels, uncompressed), of which a JPEG file would take a fraction."
)
_EXPONENT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


@dataclass(frozen=True, eq=False)
class OwnMethod:
    """A method that was run: its label in the figure, its name, its runs, and how it is drawn."""

    label: str
    name: str
    runs: SeedRuns
    look: LineStyle

    def point(self, metric: str) -> ScatterPoint | None:
        """Return its place in the figure, MR modules left out; None if it has no such measure."""
        kept = Apart.ALL_VIDEOS if self.runs.needs_all_tasks else self.runs.kept("budgeted")
        spread = self.runs.spread(metric)
        if spread.mean is None:
            return None
        return ScatterPoint(self.label, self.name, 100 * spread.mean, 100 * (spread.std or 0.0), kept, self.look)


@dataclass(frozen=True, eq=False)
class ScatterView(FigureView):
    """A figure with a list of its points beside it."""

    points: Sequence[ScatterPoint] = ()


def own_scatter(methods: Sequence[OwnMethod], anchor: str, budget_bytes: int | None = None) -> ScatterView | None:
    """Return final accuracy against kept bytes; None if no method has an accuracy."""
    points = [point for method in methods if (point := method.point(FINAL))]
    if not points:
        return None
    name, y_label = f"{anchor}-accuracy-and-memory", "Final accuracy, %"
    return ScatterView(
        title="Accuracy against memory",
        note="Final accuracy in percent (up) against what is kept from task to task (across, log axis). Bars: ± one "
        "standard deviation over seeds. Methods that keep nothing, or everything, are drawn beside the log axis."
        + _modules(methods),
        description=_description(points, y_label),
        drawing=scatter_chart(name, points, y_label=y_label, budget_bytes=budget_bytes),
        data=[_columns(y_label), *map(_row, points)],
        points=points,
    )


def published_scatter(methods: Sequence[OwnMethod], protocol: str, anchor: str) -> ScatterView | None:
    """Return the same beside what was published for a protocol of this name; None if nothing was that can be shown.

    It is of the accuracy that most was published of, among those that a method here has.
    """
    # Hollow is what was published, so that whatever was run here is filled.
    filled = [replace(method, look=replace(method.look, hollow=False)) for method in methods]
    figures = [figure for figure in published_for(protocol) if is_accuracy(figure.metric) and figure.value is not None]
    for metric, _ in Counter(_measure(figure.metric) for figure in figures).most_common():
        own = [point for method in filled if (point := method.point(metric))]
        if own:
            break
    else:
        return None
    figures = _once([figure for figure in figures if _measure(figure.metric) == metric])
    others = [(_point(figure, _letters(place)), figure) for place, figure in enumerate(figures)]
    assumed, y_label = (
        _ASSUMED if any("frames" in (each.memory or "") for each in figures) else "",
        column_title(metric),
    )
    points = [*own, *(point for point, _ in others)]
    return ScatterView(
        title="Beside published methods",
        note=f"{metric_of(metric).title}, in percent (up), against what is kept (across). Numbers: run here. Letters, "
        f"hollow: {_ELSEWHERE}, with other backbones, and most with whole videos in memory, so that places in the "
        f"figure are no ranking.{assumed}{_modules(filled)}",
        description=_description(points, y_label),
        drawing=scatter_chart(f"{anchor}-published", points, y_label=y_label, note=f"Hollow: {_ELSEWHERE}.{assumed}"),
        data=[
            (*_columns(y_label), "mark", "source", "uncertain", "reading", "memory as printed", "bytes are assumed"),
            *((*_row(point), "run here", *[None] * 5) for point in own),
            *((*_row(point), *_origin(figure)) for point, figure in others),
        ],
        points=points,
    )


def stated_memory(memory: str | None) -> Kept:
    """Return the bytes of what a source says the memory holds, such as 8.4 MiB or so many frames."""
    text = (memory or "").translate(_EXPONENT)
    if text == "none":
        return 0
    if mebibytes := re.fullmatch(r"([\d.]+) MiB", text):
        return round(float(mebibytes[1]) * 1024**2)
    frames = re.search(r"([\d.]+) \u00d7 10(\d+) frames$", text)
    return round(float(frames[1]) * 10 ** int(frames[2]) * FRAME_BYTES) if frames else Apart.NOT_STATED


def _modules(methods: Sequence[OwnMethod]) -> str:
    """Say in a sentence what the MR modules take, which are left out; nothing where there are none."""
    sizes = {method: size for method in methods if (size := method.runs.kept("retrieval_modules"))}
    if not sizes:
        return ""
    span = " to ".join(map(human_bytes, dict.fromkeys((min(sizes.values()), max(sizes.values())))))
    whose = f"of {next(iter(sizes)).name}" if len(sizes) == 1 else f"of {len(sizes)} methods run here"
    return f" Left out, as papers do: the MR (memory retrieval) modules {whose}, which take {span}."


def _description(points: Sequence[ScatterPoint], y_label: str) -> str:
    named = [f"{each.name}: {percent(each.accuracy / 100)} % with {_kept_words(each.kept)}" for each in points]
    more = f"; and {len(named) - _DESCRIBED} more methods" if len(named) > _DESCRIBED else ""
    measure = y_label.removesuffix(", %").lower()
    return f"Scatter chart, {measure} against kept bytes. {'; '.join(named[:_DESCRIBED])}{more}."


def _columns(y_label: str) -> tuple[str, ...]:
    return "label", "method", "published", y_label.lower(), "standard deviation", "kept bytes", "memory"


def _row(point: ScatterPoint) -> tuple[Value, ...]:
    kept, published = point.kept if isinstance(point.kept, int) else None, int(point.look == PUBLISHED)
    return point.label, point.name, published, point.accuracy, point.deviation, kept, _kept_words(point.kept)


def _origin(figure: PublishedFigure) -> tuple[Value, ...]:
    """Return where a figure is from, and how well it is founded."""
    doubt, assumed = int(figure.uncertain), int("frames" in (figure.memory or ""))
    return figure.mark, figure.source, doubt, _reading(figure).removeprefix(", "), figure.memory, assumed


def _measure(metric: str) -> str:
    """Return the metric of which this is one reading, or itself."""
    return metric.removesuffix(f"_{metric_of(metric).reading}")


def _reading(figure: PublishedFigure) -> str:
    """Return what the title of a reading says beyond its measure's."""
    return metric_of(figure.metric).title.removeprefix(metric_of(_measure(figure.metric)).title)


def _once(figures: Sequence[PublishedFigure]) -> list[PublishedFigure]:
    """Return one figure per method, backbone and memory, and again where a source prints another value.

    Of several readings of one measure it is the first in the registry's order.
    """
    names = in_order(figure.metric for figure in figures)
    # The last of a key stays.
    last_first = sorted(figures, key=lambda figure: names.index(figure.metric), reverse=True)
    chosen = {(figure.method, figure.backbone, figure.memory, figure.source): figure for figure in last_first}
    once = {(figure.method, figure.backbone, figure.memory, figure.value): figure for figure in chosen.values()}
    return sorted(once.values(), key=lambda figure: -(figure.value or 0))


def _point(figure: PublishedFigure, label: str) -> ScatterPoint:
    kept = Apart.ALL_VIDEOS if is_joint(figure.method) else stated_memory(figure.memory)
    name = f"{figure.method} ({figure.backbone or 'backbone not stated'})"
    doubt = ", uncertain" if figure.uncertain else ""
    memory = "all videos" if is_joint(figure.method) else figure.memory or "memory not stated"
    behind = f"{figure.value}{doubt}{_reading(figure)}; {memory}"
    return ScatterPoint(label, name, float(figure.value or 0), 0.0, kept, PUBLISHED, behind)


def _kept_words(kept: Kept) -> str:
    if isinstance(kept, Apart):
        return "memory not stated" if kept is Apart.NOT_STATED else "all videos"
    return human_bytes(kept)


def _letters(number: int) -> str:
    """0, 1, ... as a, b, ..., z, aa, ab, ..."""
    first = _letters(number // 26 - 1) if number >= 26 else ""
    return first + chr(ord("a") + number % 26)
