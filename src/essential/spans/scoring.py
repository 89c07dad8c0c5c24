"""How well predicted spans agree with labelled ones: precision, recall and F1 by overlap.

Overlap is intersection over union of times. Predictions are taken by falling score, and each is given the labelled span
of its own video and class that it overlaps with most among those left. It is right from an overlap of `overlap` on. So
each labelled span is found once, and what finds it again is wrong. Source: the evaluation of temporal detection in
ActivityNet (Caba Heilbron et al., CVPR 2015; its toolkit, `compute_average_precision_detection`), for all predictions
that were made, instead of the mean over all thresholds of score.

What is labelled as none of the classes is not looked for, and a span predicted so is no detection.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from essential.errors import ConfigError
from essential.protocols.protocol import Segment
from essential.spans.labelled_span import LabelledSpan


@dataclass(frozen=True)
class SpanCounts:
    """How many spans were predicted and labelled, and how many of both are right."""

    right: int
    predicted: int
    labelled: int

    @property
    def precision(self) -> float | None:
        """The share of the predictions that are right; None if there is none."""
        return self.right / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """The share of the labelled spans that were found; None if there is none."""
        return self.right / self.labelled if self.labelled else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both; None if there is nothing to compare."""
        both = self.predicted + self.labelled
        return 2 * self.right / both if both else None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        counts = {"right": self.right, "predicted": self.predicted, "labelled": self.labelled}
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1, **counts}


@dataclass(frozen=True)
class SpanScores:
    """The counts of each class that is labelled or predicted, by name, at an overlap."""

    overlap: float
    per_class: dict[str, SpanCounts]

    @property
    def total(self) -> SpanCounts:
        """The counts of all classes together."""
        every = self.per_class.values()
        right, predicted = sum(one.right for one in every), sum(one.predicted for one in every)
        return SpanCounts(right, predicted, sum(one.labelled for one in every))

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values: those of all classes together, and `per_class`."""
        per_class = {label: counts.as_json() for label, counts in self.per_class.items()}
        return {"overlap": self.overlap, **self.total.as_json(), "per_class": per_class}


def score_spans(
    predicted: Iterable[LabelledSpan], labelled: Iterable[LabelledSpan], *, overlap: float = 0.5
) -> SpanScores:
    """Return how many spans are found; see the top of this file. ConfigError unless 0 < overlap <= 1."""
    if not 0 < overlap <= 1:
        raise ConfigError(f"an overlap of {overlap} is not allowed; give one above 0, up to 1")
    guesses, truths = _by_key(predicted), _by_key(labelled)
    right: Counter[str] = Counter()
    for (path, label), guessed in guesses.items():
        right[label] += _found(guessed, truths.get((path, label), ()), overlap)
    of_guesses, of_truths = _counts(guesses), _counts(truths)
    labels = sorted(of_guesses | of_truths)
    return SpanScores(
        overlap, {label: SpanCounts(right[label], of_guesses[label], of_truths[label]) for label in labels}
    )


def intersection_over_union(one: Segment, other: Segment) -> float:
    """Return the share of the time of two segments that both cover."""
    shared = min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)
    both = max(one.end_seconds, other.end_seconds) - min(one.start_seconds, other.start_seconds)
    return max(shared, 0.0) / both if both > 0 else 0.0


def _by_key(spans: Iterable[LabelledSpan]) -> dict[tuple[Path, str], list[LabelledSpan]]:
    found: dict[tuple[Path, str], list[LabelledSpan]] = {}
    for span in spans:
        if span.label is not None:
            found.setdefault((span.path, span.label), []).append(span)
    return found


def _counts(spans: dict[tuple[Path, str], list[LabelledSpan]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for (_, label), of_label in spans.items():
        counts[label] += len(of_label)
    return counts


def _found(guessed: Sequence[LabelledSpan], truths: Sequence[LabelledSpan], overlap: float) -> int:
    left = list(truths)
    found = 0
    for guess in sorted(guessed, key=lambda span: -(span.score or 0.0)):
        best = max(left, key=lambda truth: intersection_over_union(guess.segment, truth.segment), default=None)
        if best is not None and intersection_over_union(guess.segment, best.segment) >= overlap:
            left.remove(best)
            found += 1
    return found
