"""What no set of spans may hold: one span twice, or two labels at one time."""

from collections import defaultdict
from collections.abc import Sequence

from essential.errors import DataError
from essential.protocols.class_names import NONE_OF_THESE
from essential.spans.labelled_span import LabelledSpan

# Neighbours that meet: tools round borders, to frames or to tenths.
SHARED_SECONDS = 0.1


def refuse_conflicts(spans: Sequence[LabelledSpan], places: Sequence[str]) -> None:
    """Raise a DataError that names both spans where one is there twice, or two labels share more than 0.1 s.

    Args:
        places: what messages call each span.
    """
    of_video = defaultdict(list)
    for span, place in zip(spans, places, strict=True):
        of_video[span.path].append((span, place))
    for given in of_video.values():
        active: list[tuple[LabelledSpan, str]] = []
        for span, place in sorted(given, key=lambda each: each[0].segment):
            active = [each for each in active if each[0].segment.end_seconds > span.segment.start_seconds]
            for other, before in active:
                _refuse_pair(other, before, span, place)
            active.append((span, place))


def _refuse_pair(one: LabelledSpan, before: str, other: LabelledSpan, place: str) -> None:
    if (one.segment, one.label) == (other.segment, other.label):
        raise DataError(
            f"the span {_shown(other)} of {other.path.name} is there twice: {before}, and {place}", remedy="keep one"
        )
    shared = min(one.segment.end_seconds, other.segment.end_seconds) - other.segment.start_seconds
    if one.label != other.label and shared > SHARED_SECONDS:
        raise DataError(
            f"two labels at one time in {other.path.name}: {_shown(one)} ({before}), and {_shown(other)} ({place})",
            remedy="let each moment have one label: move a border, or leave one span out",
        )


def _shown(span: LabelledSpan) -> str:
    start, end = span.segment
    return f"{NONE_OF_THESE if span.label is None else span.label!r} from {start:.3f} to {end:.3f} s"
