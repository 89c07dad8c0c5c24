"""Predictions: of a clip, and of the time spans of a long video."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from essential.protocols.protocol import Segment

Places = Int[np.ndarray, " cells"]


class Scored(NamedTuple):
    """A label and its probability, 0 to 1."""

    label: str
    score: float


class ShortClip(NamedTuple):
    """How many frames a clip has, fewer than were read of it: some were read several times."""

    frames: int
    frames_read: int

    def __str__(self) -> str:
        return f"{self.frames} frame{'s' * (self.frames != 1)}, repeated to {self.frames_read}"


@dataclass(frozen=True, eq=False)
class Prediction:
    """The labels of one clip.

    Attributes:
        path: the file; of features, the number of their row.
        top: the most probable labels, the best first; empty if the clip could not be read.
        unknown_score: how far the clip is from all classes, above 1 for none of them; None where too few clips were
            held out to say so. Compare it only between answers of the same, unchanged learner.
        error: why the clip could not be read; None if it could.
        frames: the pixels that the encoder saw, if they were asked for; of one that sees very many, some.
        short_clip: what the clip lacks, if it has fewer frames than are read.
    """

    path: Path
    top: tuple[Scored, ...] = ()
    unknown_score: float | None = None
    error: str | None = None
    frames: UInt8[np.ndarray, "frames size size 3"] | None = None
    short_clip: ShortClip | None = None

    @property
    def label(self) -> str | None:
        """The most probable label."""
        return self.top[0].label if self.top else None

    @property
    def score(self) -> float | None:
        """Its probability."""
        return self.top[0].score if self.top else None

    @property
    def unknown(self) -> bool | None:
        """Whether it looks like none of the classes; None without an `unknown_score`."""
        return None if self.unknown_score is None else self.unknown_score > 1

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        path, top = path_text(self.path), [scored._asdict() for scored in self.top]
        if self.error is not None:
            return {"path": path, "error": self.error}
        unknown = {"unknown": self.unknown, "unknown_score": self.unknown_score}
        short = _short_json(self.short_clip)
        return {"path": path, "label": self.label, "score": self.score, **unknown, "top": top, **short}


@dataclass(frozen=True)
class Span:
    """A part of a long video in which one label has the highest mean probability, or None: none of the classes.

    `short_clip` is of the video's window of the fewest frames, if these are fewer than are read of a window.
    """

    path: Path
    segment: Segment
    label: str | None
    score: float
    short_clip: ShortClip | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        start, end = (round(seconds, 3) for seconds in self.segment)
        label = {"label": self.label, "score": self.score, "unknown": self.label is None}
        return {"path": path_text(self.path), "start": start, "end": end, **label, **_short_json(self.short_clip)}


def spans_of(
    path: Path,
    windows: Sequence[Segment],
    labels: Sequence[str],
    probabilities: Float[np.ndarray, "windows labels"],
    unknown: Sequence[bool],
) -> list[Span]:
    """Turn the predictions of overlapping windows into spans that follow each other without gap or overlap.

    The borders of the windows cut the video into cells. A cell has the mean probabilities of the windows over it, and
    is unknown if most of them are; neighbours of one label make a span.

    Args:
        path: the file.
        windows: in order of their starts and of their ends, without a gap between them.
        labels: of the columns of `probabilities`.
        probabilities: of every window.
        unknown: of every window.
    """
    starts, ends = np.array([window[0] for window in windows]), np.array([window[1] for window in windows])
    borders = np.unique(np.concatenate([starts, ends]))
    # The windows over a cell follow each other, as both their starts and their ends are in order.
    first, last = np.searchsorted(ends, borders[1:]), np.searchsorted(starts, borders[:-1], side="right")
    counts = last - first
    means = _sums(probabilities, first, last) / counts[:, None]
    mostly_unknown = 2 * _sums(np.asarray(unknown, np.int64), first, last) > counts
    found = [
        None if is_unknown else labels[mean.argmax()] for is_unknown, mean in zip(mostly_unknown, means, strict=True)
    ]
    spans = []
    for label, group in groupby(range(len(found)), key=found.__getitem__):
        cells = [*group]
        segment = Segment(float(borders[cells[0]]), float(borders[cells[-1] + 1]))
        scores = means[cells].max(axis=1).clip(0, 1)
        spans.append(Span(path, segment, label, float(np.average(scores, weights=np.diff(borders)[cells]))))
    return spans


def _sums(values: np.ndarray[Any, np.dtype[Any]], first: Places, last: Places) -> np.ndarray[Any, np.dtype[Any]]:
    """Return the sum of `values` from each place of `first` to that of `last`, excluded."""
    upto = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    sums: np.ndarray[Any, np.dtype[Any]] = upto[last] - upto[first]
    return sums


def _short_json(short: ShortClip | None) -> dict[str, Any]:
    return {} if short is None else {"short_clip": short._asdict()}


def path_text(path: Path) -> str:
    """Return a path as text that JSON can hold; a name that is not UTF-8 loses its odd bytes."""
    return str(path).encode("utf-8", "replace").decode()
