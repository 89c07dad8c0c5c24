"""Accuracy against bytes of the methods on a page, a point or a line each; and beside what others have published."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import count, product
from string import ascii_lowercase

from essential.published import PublishedFigure, is_joint, published_for
from essential.report.drawing import FigureView, Value
from essential.report.lines import Line
from essential.report.scatter import CARRIED, PUBLISHED, Apart, Kept, ScatterPoint, labels_of, scatter_chart
from essential.results.formats import NBSP, human_bytes, percent
from essential.results.measures import FINAL, column_title, in_order, is_accuracy, metric_of, values_of
from essential.results.runs import SeedRuns, grouped_by

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
class ScatterView(FigureView):
    """A figure with a list of its points beside it, which has the labels that stand in the figure for names."""

    points: Sequence[ScatterPoint] = ()
    labels: Collection[str] = ()

    @property
    def listed(self) -> list[ScatterPoint]:
        """Those that the list has: of joined points one."""
        return [same[0] for same in grouped_by(self.points, lambda point: (point.label, point.name)).values()]


def _own_points(lines: Sequence[Line], metric: str, carried: Callable[[SeedRuns], int | None]) -> list[ScatterPoint]:
    """Return the places of what was run, by number; there is none without such a measure."""
    points = []
    for number, line in enumerate(lines, 1):
        spread = line.results.spread(metric)
        if spread.mean is not None:
            bytes_kept = None if line.results.needs_all_tasks else carried(line.results)
            kept: Kept = Apart.ALL_VIDEOS if bytes_kept is None else bytes_kept
            points.append(
                ScatterPoint(
                    str(number),
                    line.name,
                    100 * spread.mean,
                    100 * (spread.std or 0.0),
                    kept,
                    line.style,
                    f"{percent(spread.mean)}{NBSP}%, {_kept_words(kept)}",
                    least=100 * (spread.least or 0),
                    greatest=100 * (spread.greatest or 0),
                    seeds=tuple(100 * (values_of(run.record)[metric] or 0) for run in line.runs),
                )
            )
    return points


def own_scatter(
    lines: Sequence[Line], anchor: str, budgets: Sequence[int] = (), front: Collection[Line] = ()
) -> ScatterView | None:
    """Return final accuracy against carried bytes; None if no method has an accuracy.

    Over several budgets, lines of one name are joined, and those on the Pareto front are marked.
    """
    lines = [line for line in lines if line.results.spread(FINAL).mean is not None]
    points = _own_points(lines, FINAL, lambda results: results.carried_bytes)
    if not points:
        return None
    spread, drawn = "Bars: ± one standard deviation over seeds; small dots: one seed each.", points
    if len(budgets) > 1:
        takes = [line.results.example.method.budget_bytes in budgets for line in lines]
        points = [
            replace(point, label="", behind="", on_front=line in front, reference=not own)
            for line, point, own in zip(lines, points, takes, strict=True)
        ]
        lowest = min((point.accuracy for point in points if not point.reference), default=0.0)
        # They would press all others together.
        drawn = [point for point in points if point.accuracy >= lowest]
        below = ", ".join(f"{each.name} ({percent(each.accuracy / 100)} %)" for each in points if each not in drawn)
        spread = (
            "Bars and bands: the least to the greatest over seeds; small dots: one seed each. Dashed: the budgets."
            f"{f' Not drawn, below: {below}.' if below else ''}"
        )
    name, y_label = f"{anchor}-accuracy-and-memory", "Final accuracy, %"
    return ScatterView(
        title="Accuracy against memory",
        note="Final accuracy in percent (up) against what is carried from task to task (across, log axis): the most "
        f"after any task of any seed, MR (memory retrieval) modules included. {spread} Methods that carry nothing, or "
        "all videos, are drawn beside the log axis.",
        description=_description(points, y_label),
        drawing=scatter_chart(name, drawn, y_label=y_label, x_label=CARRIED, budgets=budgets),
        data=[
            (*_columns(y_label, "carried bytes"), "least", "greatest", "on the Pareto front"),
            *((*_row(point), point.least, point.greatest, int(point.on_front)) for point in points),
        ],
        points=drawn,
        labels=labels_of(drawn, budgets).values(),
    )


def published_scatter(lines: Sequence[Line], protocol: str, anchor: str) -> ScatterView | None:
    """Return the same beside what was published for a protocol of this name; None if nothing was that can be shown.

    It is of the accuracy that most was published of, among those that a method here has.
    """
    # Hollow is what was published, so that whatever was run here is filled.
    lines = [replace(line, style=replace(line.style, hollow=False)) for line in lines]
    figures = [figure for figure in published_for(protocol) if is_accuracy(figure.metric) and figure.value is not None]
    for metric, _ in Counter(_measure(figure.metric) for figure in figures).most_common():
        if own := _own_points(lines, metric, lambda results: results.kept("budgeted")):
            break
    else:
        return None
    figures = _once([figure for figure in figures if _measure(figure.metric) == metric])
    # a, b, ..., z, aa, ab, ...
    letters = (letter for size in count(1) for letter in map("".join, product(ascii_lowercase, repeat=size)))
    others = [(_point(figure, label), figure) for figure, label in zip(figures, letters, strict=False)]
    assumed, y_label = (
        _ASSUMED if any("frames" in (each.memory or "") for each in figures) else "",
        column_title(metric),
    )
    points = [*own, *(point for point, _ in others)]
    return ScatterView(
        title="Beside published methods",
        note=f"{metric_of(metric).title}, in percent (up), against what is kept (across). Numbers: run here. Letters, "
        f"hollow: {_ELSEWHERE}, with other backbones, and most with whole videos in memory, so that places in the "
        f"figure are no ranking.{assumed}{_modules(lines)}",
        description=_description(points, y_label),
        drawing=scatter_chart(f"{anchor}-published", points, y_label=y_label, note=f"Hollow: {_ELSEWHERE}.{assumed}"),
        data=[
            (*_columns(y_label), "mark", "source", "uncertain", "reading", "memory as printed", "bytes are assumed"),
            *((*_row(point), "run here", *[None] * 5) for point in own),
            *((*_row(point), *_origin(figure)) for point, figure in others),
        ],
        points=points,
        labels=labels_of(points).values(),
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


def _modules(lines: Sequence[Line]) -> str:
    """Say in a sentence what the MR modules take, which are left out; nothing where there are none."""
    sizes = {line: size for line in lines if (size := line.results.kept("retrieval_modules"))}
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


def _columns(y_label: str, x_label: str = "kept bytes") -> tuple[str, ...]:
    return "label", "method", "published", y_label.lower(), "standard deviation", x_label, "memory"


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
