"""Long spans as clips of one length, the one at which `predict --window` reads a video."""

from collections.abc import Iterable

from essential.protocols.protocol import Segment
from essential.spans.labelled_span import LabelledSpan
from essential.video.windows import cut_windows


def cut_spans(spans: Iterable[LabelledSpan], *, window_seconds: float) -> list[LabelledSpan]:
    """Return each span as windows one after the other; the last one ends with it, and one that is shorter stays whole.

    ConfigError unless `window_seconds` is above 0.
    """
    return [
        LabelledSpan(
            span.path, Segment(start + span.segment.start_seconds, end + span.segment.start_seconds), span.label
        )
        for span in spans
        for start, end in cut_windows(
            span.segment.end_seconds - span.segment.start_seconds,
            window_seconds=window_seconds,
            stride_seconds=window_seconds,
        )
    ]
