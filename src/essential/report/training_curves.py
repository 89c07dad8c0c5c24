"""Losses by stage and the learning rate, over the epochs of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from essential.records.training_log import EpochReport, TrainingLog
from essential.report.drawing import Drawing, Drawn, FigureView, LineStyle, Palette, Sheet, dress, every_few
from essential.results.formats import counted

_LOSSES = Sheet(width=480, height=340, left=58, top=12, bottom=136)
_RATES = Sheet(width=480, height=340, left=58, top=244, bottom=46)
_MOST_POINTS = 400


@dataclass(frozen=True, eq=False)
class _Piece:
    """A stage of a task: its epochs as points, each the mean of up to `step` of them."""

    stage: str
    task: int
    places: np.ndarray
    losses: np.ndarray
    rates: np.ndarray


def training_figure(anchor: str, log: TrainingLog) -> FigureView | None:
    """Return the curves of a run; None if no epoch was trained."""
    epochs = log.epochs
    if not epochs:
        return None
    step = ceil(len(epochs) / _MOST_POINTS)
    pieces = _pieces(epochs, step)
    stages = list(dict.fromkeys(piece.stage for piece in pieces))
    styles = {stage: LineStyle(number) for number, stage in enumerate(stages)}
    names = sorted({name for each in epochs for name in each.losses})
    ends = [f"{stage} {_last_loss(epochs, stage):.3g}" for stage in stages]
    trained = counted(len(epochs), "epoch")
    averaged = f" A point is the mean of up to {step} epochs." if step > 1 else ""
    return FigureView(
        title="Loss and learning rate",
        note="Loss of each stage, the sum of its weighted terms, above the learning rate, "
        f"over {trained} of one task after another.{averaged}",
        description=f"Line chart of the losses and the learning rate over {trained}. Last losses: {', '.join(ends)}.",
        drawing=_drawing(f"{anchor}-training", pieces, styles),
        data=[
            ("task", "stage", "epoch", "learning rate", *(f"loss, {name}" for name in names)),
            *(
                (each.task + 1, each.stage, each.epoch + 1, each.learning_rate, *map(each.losses.get, names))
                for each in epochs
            ),
        ],
        legend=[(style.swatch, stage) for stage, style in styles.items()],
    )


def _last_loss(epochs: Sequence[EpochReport], stage: str) -> float:
    return next(sum(each.losses.values()) for each in reversed(epochs) if each.stage == stage)


def _pieces(epochs: Sequence[EpochReport], step: int) -> list[_Piece]:
    """Return the stages in the order in which they were trained, thinned alike."""
    pieces, place = [], 0
    for (task, stage), group in groupby(epochs, lambda each: (each.task, each.stage)):
        own = list(group)
        starts = range(0, len(own), step)
        losses = np.array([sum(each.losses.values()) for each in own])
        rates = np.array([each.learning_rate for each in own])
        numbers = np.arange(place, place + len(own)) + 0.5
        means = [[part[start : start + step].mean() for start in starts] for part in (numbers, losses, rates)]
        pieces.append(_Piece(stage, task, *map(np.array, means)))
        place += len(own)
    return pieces


def _drawing(name: str, pieces: Sequence[_Piece], styles: dict[str, LineStyle]) -> Drawing:
    def draw(palette: Palette) -> Drawn:
        figure, losses = _LOSSES.plot()
        rates = _RATES.plot_in(figure)
        keys: dict[str, Line2D] = {}
        for piece in pieces:
            look = styles[piece.stage].look(palette, size=6) | {"linewidth": 1.5, "markevery": [-1]}
            [keys[piece.stage]] = losses.plot(piece.places, piece.losses, label=piece.stage, **look)
            rates.plot(piece.places, piece.rates, **look | {"marker": "", "linewidth": 1.3})
        dress(losses, palette, x_label="", y_label="Loss")
        dress(rates, palette, x_label="Task", y_label="Learning rate")
        highest = max(float(piece.rates.max()) for piece in pieces)
        rates.set_yticks([0, highest] if highest else [0], ["0", f"{highest:.2g}"] if highest else ["0"])
        for axes in (losses, rates):
            # A term of a plug-in may be negative.
            axes.set_ylim(min(0.0, axes.dataLim.ymin))
            _mark_tasks(axes, palette, pieces)
        losses.tick_params(labelbottom=False)
        return figure, list(keys.values())

    return Drawing(name, draw)


def _mark_tasks(axes: Axes, palette: Palette, pieces: Sequence[_Piece]) -> None:
    """Name each task, or every few, at its middle, and put a line between two."""
    spans = {
        task: (own[0].places[0] - 0.5, own[-1].places[-1] + 0.5)
        for task, own in ((task, list(group)) for task, group in groupby(pieces, lambda piece: piece.task))
    }
    shown = [task - 1 for task in every_few(max(spans) + 1, 13) if task - 1 in spans]
    axes.set_xticks([sum(spans[task]) / 2 for task in shown], [str(task + 1) for task in shown])
    axes.set_xlim(min(first for first, _ in spans.values()), max(last for _, last in spans.values()))
    axes.vlines(
        [last for _, last in spans.values()][:-1],
        0,
        1,
        transform=axes.get_xaxis_transform(),
        color=palette.ink,
        alpha=0.2,
        linewidth=0.8,
    )
    axes.axhline(0, color=palette.ink, alpha=0.7, linewidth=1, zorder=2)
