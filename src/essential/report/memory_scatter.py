"""Accuracy against kept bytes: of the methods on the page, and beside what others have published."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from essential.published import PublishedFigure, is_joint, published_for
from essential.report.drawing import FigureView, LineStyle, Value
from essential.report.scatter import PUBLISHED, Apart, Kept, ScatterPoint, scatter_chart
from essential.results.formats import human_bytes, percent
from essential.results.measures import FINAL, column_title, in_order, is_accuracy, metric_of
from essential.results.runs import SeedRuns

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
    assumed, y_label = _ASSUMED if any(map(_is_assumed, figures)) else "", column_title(metric)
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
    doubt, assumed = int(figure.uncertain), int(_is_assumed(figure))
    return figure.mark, figure.source, doubt, _reading(figure).removeprefix(", "), figure.memory, assumed


def _is_assumed(figure: PublishedFigure) -> bool:
    """Whether its bytes are counted from frames."""
    return "frames" in (figure.memory or "")


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
