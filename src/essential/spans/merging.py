"""Answers for overlapping windows, merged into runs of one label that follow each other without gap or overlap.

The borders of the windows cut the video into cells. A cell has the mean probabilities of the windows over it. Where
there are unknown scores, it is of none of the classes with a probability that is the share of unknown windows among
these. A label is chosen for every cell so that the sum of the chosen probabilities over time, less a cost for each
change of label, is greatest (the Viterbi algorithm, 1967). The cost is such that what lasts for less than the shortest
span does not pay for its two changes: it is flicker, and takes the label of its neighbours. (Windows blur borders: what
lasts for L seconds, under windows of W that are sure of what fills more than half of them, is worth L - W / 2 seconds.)

A run of cells of one label has the means over its time of the probabilities and of the unknown scores. These say what
it is: none of the classes if the mean unknown score is above 1, else the label of the highest mean probability.
Neighbours that are the same are one run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from jaxtyping import Bool, Float, Int

from essential.protocols.protocol import Segment

Means = Float[np.ndarray, "cells numbers"]
Places = Int[np.ndarray, " cells"]


@dataclass(frozen=True, eq=False)
class Run:
    """A part of a video, with means over it: of the labels' probabilities, and of the unknown scores, if there are."""

    segment: Segment
    probabilities: Float[np.ndarray, " labels"]
    unknown_score: float | None

    @property
    def closest(self) -> int:
        """The place of the label of the highest mean probability."""
        return int(self.probabilities.argmax())

    @property
    def label(self) -> int | None:
        """The place of its label; None for none of the classes."""
        return None if self.unknown_score is not None and self.unknown_score > 1 else self.closest

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.segment.end_seconds - self.segment.start_seconds


def merged(
    windows: Sequence[Segment],
    probabilities: Float[np.ndarray, "windows labels"],
    unknown_scores: Float[np.ndarray, " windows"] | None,
    *,
    shortest_seconds: float,
) -> list[Run]:
    """Return the runs of a video, from its start to its end; see the top of this file.

    Args:
        windows: in order of their starts and of their ends, without a gap between them.
        probabilities: of every window, and the same for `unknown_scores`.
    """
    starts, ends = np.array(windows, np.float64).T
    borders = np.unique(np.concatenate([starts, ends]))
    lengths = np.diff(borders)
    # The windows over a cell follow each other, as both their starts and their ends are in order.
    first, last = np.searchsorted(ends, borders[1:]), np.searchsorted(starts, borders[:-1], side="right")
    of_labels = _means(probabilities, first, last)
    scores, gains = None, of_labels
    if unknown_scores is not None:
        scores = _means(unknown_scores[:, None], first, last)[:, 0]
        unknown = _means((unknown_scores[:, None] > 1).astype(np.float64), first, last)
        gains = np.concatenate([(1 - unknown) * of_labels, unknown], axis=1)
    path = _best_path(gains * lengths[:, None], change_cost=max(0.0, shortest_seconds - (ends[0] - starts[0]) / 2) / 2)
    # Cells as runs, so that one mean serves those of a path and those that turn out to be one.
    cells = [
        Run(
            Segment(*map(float, borders[cell : cell + 2])),
            of_labels[cell],
            None if scores is None else float(scores[cell]),
        )
        for cell in range(len(lengths))
    ]
    pieces = [_joined([cells[cell] for cell in group]) for _, group in groupby(range(len(path)), key=path.__getitem__)]
    return [_joined([*group]) for _, group in groupby(pieces, key=lambda run: run.label)]


def _joined(runs: Sequence[Run]) -> Run:
    """Return one run in the place of some that follow each other."""
    seconds = [run.seconds for run in runs]
    scores = [run.unknown_score for run in runs if run.unknown_score is not None]
    return Run(
        Segment(runs[0].segment.start_seconds, runs[-1].segment.end_seconds),
        np.average([run.probabilities for run in runs], axis=0, weights=seconds),
        float(np.average(scores, weights=seconds)) if scores else None,
    )


def _means(values: Float[np.ndarray, "windows numbers"], first: Places, last: Places) -> Means:
    """Return the mean of `values` from each place of `first` to that of `last`, excluded."""
    upto = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    means: Means = (upto[last] - upto[first]) / (last - first)[:, None]
    return means


def _best_path(gains: Means, *, change_cost: float) -> list[int]:
    """Return the state of each cell for which the sum of the gains, less the cost of every change, is greatest."""
    best = gains[0]
    # Of each cell but the first: the states that stay what they were before, and what all others were.
    stays: list[tuple[Bool[np.ndarray, " numbers"], int]] = []
    for gain in gains[1:]:
        changed = best.max() - change_cost
        stays.append((best >= changed, int(best.argmax())))
        best = np.maximum(best, changed) + gain
    path = [int(best.argmax())]
    for stay, other in reversed(stays):
        path.append(path[-1] if stay[path[-1]] else other)
    return path[::-1]
