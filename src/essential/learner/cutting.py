"""Long spans as clips of one length, the one at which `predict --window` reads a video."""

from collections.abc import Iterable

from essential.protocols.protocol import Segment
from essential.spans.labelled_span import LabelledSpan
from essential.video.windows import cut_windows


def cut_spans(spans: Iterable[LabelledSpan], *, window_seconds: float) -> list[LabelledSpan]:
    """Return each span as windows one after the other; the last one ends with it, and one that is shorter stays whole.

    A window that two spans of one label share is given once. ConfigError unless `window_seconds` is above 0.
    """
    # In whole milliseconds, as windows are, so that those of two spans are equal if they are one.
    windows = (
        LabelledSpan(span.path, Segment(*(round(span.segment.start_seconds + border, 3) for border in cut)), span.label)
        for span in spans
        for cut in cut_windows(
            span.segment.end_seconds - span.segment.start_seconds,
            window_seconds=window_seconds,
            stride_seconds=window_seconds,
        )
    )
    return list(dict.fromkeys(windows))
