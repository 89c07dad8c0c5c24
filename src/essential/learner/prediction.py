"""Predictions: of a clip, and of the time spans of a long video."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from essential.protocols.protocol import Segment
from essential.shown import encodable
from essential.spans.labelled_span import LabelledSpan
from essential.spans.merging import Run


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
    def closest(self) -> Scored:
        """The most probable label and its probability; an IndexError if the clip could not be read."""
        return self.top[0]

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
        path, top = encodable(str(self.path)), [scored._asdict() for scored in self.top]
        if self.error is not None:
            return {"path": path, "error": self.error}
        unknown = {"unknown": self.unknown, "unknown_score": self.unknown_score}
        short = _short_json(self.short_clip)
        return {"path": path, "label": self.label, "score": self.score, **unknown, "top": top, **short}


@dataclass(frozen=True)
class Span:
    """A part of a long video that shows one class, or none of the classes; see `essential.spans.merging`.

    Attributes:
        closest: the label of the highest mean probability over the span, and that probability.
        unknown_score: the mean over the span of how far its windows are from all classes, above 1 for none of them;
            None where too few clips were held out to say so.
        short_clip: of the video's window of the fewest frames, if these are fewer than are read of a window.
    """

    path: Path
    segment: Segment
    closest: Scored
    unknown_score: float | None = None
    short_clip: ShortClip | None = None

    @property
    def unknown(self) -> bool | None:
        """Whether it shows none of the classes; None without an `unknown_score`."""
        return None if self.unknown_score is None else self.unknown_score > 1

    @property
    def label(self) -> str | None:
        """The closest label, or None for none of the classes."""
        return None if self.unknown else self.closest.label

    @property
    def score(self) -> float | None:
        """The probability of the label; None for none of the classes."""
        return None if self.unknown else self.closest.score

    @property
    def labelled(self) -> LabelledSpan:
        """The span as files of spans hold it."""
        return LabelledSpan(self.path, self.segment, self.label, self.score)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values; `closest` is there where the label is null."""
        start, end = (round(seconds, 3) for seconds in self.segment)
        label = {"label": self.label, "score": self.score}
        unknown = {"unknown": bool(self.unknown), "unknown_score": self.unknown_score}
        closest = {"closest": self.closest._asdict()} if self.unknown else {}
        times = {"path": encodable(str(self.path)), "start": start, "end": end}
        return {**times, **label, **unknown, **closest, **_short_json(self.short_clip)}


def spans_of(path: Path, labels: Sequence[str], runs: Sequence[Run]) -> list[Span]:
    """Return the spans of a video: its runs, with their labels."""
    closest = [Scored(labels[run.closest], min(float(run.probabilities[run.closest]), 1.0)) for run in runs]
    return [Span(path, run.segment, best, run.unknown_score) for run, best in zip(runs, closest, strict=True)]


def _short_json(short: ShortClip | None) -> dict[str, Any]:
    return {} if short is None else {"short_clip": short._asdict()}
