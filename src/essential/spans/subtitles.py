"""Spans in WebVTT (W3C, 2019) and SubRip (.srt): a cue is a span, its text the label; the video has the file's name."""

import html
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from essential.protocols.class_names import NONE_OF_THESE
from essential.protocols.text_files import Line
from essential.spans.labelled_span import LabelledSpan, Mark, Marks, label_of, seconds_of

_CLOCK = r"(?:(\d{1,9}):)?(\d\d):(\d\d)[.,](\d{3})"
_TIMING = re.compile(rf"\s*{_CLOCK}\s+-->\s+{_CLOCK}(?:\s.*)?")
_HEAD = "WEBVTT"
_FURTHER = "texts after the first line of a cue"
_TAG = re.compile(r"</?[a-z][^>]*>", re.IGNORECASE)
# SubRip has no escapes: what else stands between such brackets is the text's own.
_SUB_RIP_TAG = re.compile(r"</?(?:[biu]|font[^>]*)>", re.IGNORECASE)


def marks_of_subtitles(text: str, name: str) -> Marks:
    """Return the cues of either kind; DataError for a timing that is none, or a cue without a text.

    Args:
        name: the file's path, whose last part without its ending is the video's name.
    """
    marks, video = [], PurePath(name).stem
    plain = _of_web_vtt if text.startswith(_HEAD) else _of_sub_rip
    rows, further = text.splitlines(), 0
    lines = enumerate(rows, 1)
    for number, timing in lines:
        if "-->" not in timing:
            continue
        line = Line(name, f"line {number}")
        found = _TIMING.fullmatch(timing)
        if found is None:
            raise line.error(f"the timing is {timing.strip()!r}", "give it as 00:01:02.500 --> 00:01:04.000")
        hours, minutes, seconds, thousandths = ([int(part or 0) for part in found.groups()[at::4]] for at in range(4))
        times = [
            (3_600_000 * hours[side] + 60_000 * minutes[side] + 1000 * seconds[side] + thousandths[side]) / 1000
            for side in (0, 1)
        ]
        label = plain(next(lines, (0, ""))[1])
        further += any(after.strip() for after in rows[number + 1 : number + 2])
        marks.append(Mark(line, video, seconds_of(line, *times), label_of(line, label)))
    return Marks(marks, +Counter({_FURTHER: further}))


def web_vtt(spans: Sequence[LabelledSpan]) -> str:
    """Return spans of one video as WebVTT."""
    cues = (f"{_clocks(span, '.')}\n{html.escape(_text(span), quote=False)}\n" for span in spans)
    return "\n".join([f"{_HEAD}\n", *cues])


def sub_rip(spans: Sequence[LabelledSpan]) -> str:
    """Return spans of one video as SubRip, whose cues are numbered and whose texts have no escapes."""
    return "\n".join(f"{number}\n{_clocks(span, ',')}\n{_text(span)}\n" for number, span in enumerate(spans, 1))


def _of_web_vtt(text: str) -> str:
    return html.unescape(_TAG.sub("", text))


def _of_sub_rip(text: str) -> str:
    return _SUB_RIP_TAG.sub("", text)


def _clocks(span: LabelledSpan, point: str) -> str:
    return " --> ".join(_clock(round(seconds * 1000), point) for seconds in span.segment)


def _clock(milliseconds: int, point: str) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{thousandths:03}"


def _text(span: LabelledSpan) -> str:
    return NONE_OF_THESE if span.label is None else span.label
