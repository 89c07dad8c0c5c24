"""What a learner finds in videos whose spans are labelled, and how well it agrees with the labels."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from essential.errors import DataError
from essential.learner.prediction import Span
from essential.protocols.class_names import known_as
from essential.spans.labelled_span import LabelledSpan
from essential.spans.scoring import SpanScores, score_spans


@dataclass(frozen=True)
class SpanResults:
    """Precision, recall and F1 by overlap, and what was found.

    Attributes:
        scores: of the classes that the learner knows.
        found: what was predicted, video by video, from the start to the end of each.
        not_known: labels that the learner does not know: there, none of the classes would be right.
    """

    scores: SpanScores
    found: tuple[Span, ...]
    not_known: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        found = [span.as_json() for span in self.found]
        return {**self.scores.as_json(), "not_known": [*self.not_known], "found": found}


def compare_spans(
    spans: Iterable[LabelledSpan],
    predict: Callable[[Path], Sequence[Span]],
    *,
    classes: Collection[str],
    overlap: float,
) -> SpanResults:
    """Return how well predictions agree with labelled spans; all that is not labelled counts as none of the classes.

    DataError if no label is known; ConfigError for an overlap that is not allowed.
    """
    named = [replace(span, label=None if span.label is None else known_as(span.label, classes)) for span in spans]
    asked = [span for span in named if span.label in classes]
    not_known = tuple(dict.fromkeys(span.label for span in named if span.label not in (None, *classes) and span.label))
    if not asked:
        raise DataError(
            f"no span has a label that is known; the labels are {', '.join(map(repr, not_known)) or 'none'}",
            remedy=f"known are {', '.join(map(repr, classes))}",
        )
    score_spans((), asked, overlap=overlap)  # refuses an overlap before videos are read
    found = [span for path in dict.fromkeys(span.path for span in named) for span in predict(path)]
    scores = score_spans([span.labelled for span in found], asked, overlap=overlap)
    return SpanResults(scores, tuple(found), not_known)
