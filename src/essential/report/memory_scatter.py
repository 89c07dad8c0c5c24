"""Accuracy against kept bytes: of the methods on the page, and beside what others have published."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from essential.published import PublishedFigure, published_for
from essential.report.figure_view import Data, FigureView
from essential.report.formats import human_bytes, percent
from essential.report.line_style import LineStyle
from essential.report.scatter import Apart, Kept, Look, ScatterChart, ScatterPoint

FRAME_BYTES = 224 * 224 * 3
"""Of one picture, as methods that keep videos read it: 224 by 224 pixels of three bytes."""
READINGS = {
    "average_incremental_accuracy": "",
    "average_incremental_accuracy_cnn": ", by the head",
    "average_incremental_accuracy_nme": ", by nearest means",
}
_BESIDE = ("vclimb_accuracy", "average_incremental_accuracy", "final_accuracy")
_DESCRIBED = 8
_EXPONENT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


@dataclass(frozen=True)
class OwnMethod:
    """A method that was run: its label in the figure, what it keeps, and mean and deviation of its measures by name."""

    label: str
    name: str
    kept: Kept
    look: Look | LineStyle
    measures: Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True, eq=False)
class ScatterView:
    """The figure, and its points with what stands behind each: for the list beside it."""

    figure: FigureView
    points: Sequence[tuple[ScatterPoint, str]]


def own_scatter(methods: Sequence[OwnMethod], anchor: str, budget_bytes: int | None = None) -> ScatterView | None:
    """Return final accuracy against kept bytes; None if no method has an accuracy."""
    points = _own_points(methods, "final_accuracy")
    if not points:
        return None
    return _view(
        points,
        [],
        f"{anchor}-accuracy-and-memory",
        title="Accuracy against memory",
        note="Final accuracy in percent (up) against what is kept from task to task, without MR modules (across, on a "
        "scale of powers). Bars: ± one standard deviation over seeds. Nothing and all videos have no place on a scale "
        "of powers, so they stand beside it.",
        y_label="Final accuracy, %",
        budget_bytes=budget_bytes,
    )


def published_scatter(methods: Sequence[OwnMethod], protocol: str, anchor: str) -> ScatterView | None:
    """Return the same beside what was published for a protocol of this name; None if nothing was that can be shown."""
    for metric in _BESIDE:
        figures = _published(published_for(protocol), metric)
        own = _own_points(methods, metric)
        if figures and own:
            break
    else:
        return None
    measure = metric.replace("_", " ").capitalize().replace("Vclimb", "vCLIMB")
    return _view(
        own,
        [(_point(figure, _letters(place)), _behind(figure)) for place, figure in enumerate(figures)],
        f"{anchor}-published",
        title="Beside published methods",
        note=f"{measure} in percent (up) against what is kept (across). Numbers: run here. Letters, hollow: printed "
        "elsewhere for a protocol of this name and not run here, with other backbones, and most with whole videos in "
        "memory, so that places in the figure are no ranking. Sources that count their memory in frames do not say how "
        f"many bytes these are: a frame is put at {human_bytes(FRAME_BYTES)} here (224 by 224 pixels).",
        y_label=f"{measure}, %",
        budget_bytes=None,
    )


def stated_memory(memory: str | None) -> Kept:
    """Return the bytes of what a source says the memory holds, such as 8.4 MiB or so many frames."""
    text = (memory or "").translate(_EXPONENT)
    if text == "none":
        return 0
    mebibytes = re.fullmatch(r"([\d.]+) MiB", text)
    if mebibytes:
        return round(float(mebibytes[1]) * 1024**2)
    frames = re.search(r"([\d.]+) \u00d7 10(\d+) frames$", text)
    return round(float(frames[1]) * 10 ** int(frames[2]) * FRAME_BYTES) if frames else Apart.NOT_STATED


def _view(
    own: Sequence[ScatterPoint],
    others: Sequence[tuple[ScatterPoint, str]],
    name: str,
    *,
    title: str,
    note: str,
    y_label: str,
    budget_bytes: int | None,
) -> ScatterView:
    points = [*own, *(point for point, _ in others)]
    named = [f"{point.name}: {percent(point.accuracy / 100)} % with {_kept_words(point.kept)}" for point in points]
    more = f"; and {len(named) - _DESCRIBED} more methods" if len(named) > _DESCRIBED else ""
    figure = FigureView(
        title=title,
        note=note,
        description=f"Scatter chart, {y_label.removesuffix(', %').lower()} against kept bytes. "
        f"{'; '.join(named[:_DESCRIBED])}{more}.",
        drawing=ScatterChart(name, y_label, points, budget_bytes),
        data=Data(
            ("label", "method", "published", y_label.lower(), "standard deviation", "kept bytes", "memory"),
            [
                (
                    point.label,
                    point.name,
                    int(point.look == "published"),
                    point.accuracy,
                    point.deviation,
                    point.kept if isinstance(point.kept, int) else None,
                    _kept_words(point.kept),
                )
                for point in points
            ],
        ),
    )
    return ScatterView(figure, [*((point, "") for point in own), *others])


def _own_points(methods: Sequence[OwnMethod], metric: str) -> list[ScatterPoint]:
    """Return a point for each method that has the measure."""
    points = []
    for method in methods:
        mean, deviation = method.measures.get(metric, (None, None))
        if mean is not None:
            spread = 100 * (deviation or 0.0)
            points.append(ScatterPoint(method.label, method.name, 100 * mean, spread, method.kept, method.look))
    return points


def _published(figures: Sequence[PublishedFigure], metric: str) -> list[PublishedFigure]:
    """Return one figure per method, backbone and memory, and again where a source prints another value.

    Of several readings of one measure it is the first of `READINGS`.
    """
    names = list(READINGS) if metric == "average_incremental_accuracy" else [metric]
    chosen: dict[tuple[str | None, ...], PublishedFigure] = {}
    for figure in sorted((f for f in figures if f.metric in names), key=lambda f: names.index(f.metric)):
        if figure.value is not None:
            chosen.setdefault((figure.method, figure.backbone, figure.memory, figure.source), figure)
    once = {(figure.method, figure.backbone, figure.memory, figure.value): figure for figure in chosen.values()}
    return sorted(once.values(), key=lambda figure: -(figure.value or 0))


def _point(figure: PublishedFigure, label: str) -> ScatterPoint:
    kept = stated_memory(figure.memory)
    name = f"{figure.method} ({figure.backbone or 'backbone not stated'})"
    return ScatterPoint(label, name, float(figure.value or 0), 0.0, kept, "published")


def _behind(figure: PublishedFigure) -> str:
    """What is to be said of a published figure beside its name."""
    doubt = ", uncertain" if figure.uncertain else ""
    return f"{figure.value}{doubt}{READINGS.get(figure.metric, '')}; {figure.memory or 'memory not stated'}"


def _kept_words(kept: Kept) -> str:
    if isinstance(kept, Apart):
        return "memory not stated" if kept is Apart.NOT_STATED else "all videos"
    return human_bytes(kept)


def _letters(number: int) -> str:
    """0, 1, ... as a, b, ..., z, aa, ab, ..."""
    first = _letters(number // 26 - 1) if number >= 26 else ""
    return first + chr(ord("a") + number % 26)
