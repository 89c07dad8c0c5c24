"""A labelled span, and what all readers of spans give: marks, which name a video and a time as their file does."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from essential.protocols.class_names import NONE_OF_THESE, class_name
from essential.protocols.protocol import Segment
from essential.protocols.text_files import Line


@dataclass(frozen=True)
class LabelledSpan:
    """A part of a video with its label; None: none of the classes.

    Attributes:
        path: the video.
        segment: in seconds from the video's first frame.
        score: of a prediction, 0 to 1; None where it has none.
    """

    path: Path
    segment: Segment
    label: str | None
    score: float | None = None


class FrameRange(NamedTuple):
    """Frames of a video, counted from 0: from `first`, included, to `after`, excluded."""

    first: int
    after: int


class Mark(NamedTuple):
    """A span as a file has it: `line` is where it stands there, `video` what the file calls its video."""

    line: Line
    video: str
    time: Segment | FrameRange
    label: str | None
    score: float | None = None


@dataclass(frozen=True)
class Marks:
    """What a file of spans holds.

    Attributes:
        marks: in the file's order.
        passed_over: how many of what else there is in it, by its kind.
        rate_hint: what to know of the rate at which it counts frames; empty where there is no doubt.
    """

    marks: Sequence[Mark]
    passed_over: Counter[str] = field(default_factory=Counter)
    rate_hint: str = ""


def seconds_of(line: Line, start: object, end: object) -> Segment:
    """Return the segment of two numbers, or texts of numbers; a DataError unless 0 <= start < end."""
    times = [_number(line, name, value) for name, value in (("start", start), ("end", end))]
    if not 0 <= times[0] < times[1]:
        raise line.error(
            f"the span starts at {times[0]:g} s and ends at {times[1]:g} s",
            "give a start from 0 on, and an end after it",
        )
    return Segment(*times)


def frames_of(line: Line, first: object, after: object) -> FrameRange:
    """Return the frames of two whole numbers; a DataError unless 0 <= first < after."""
    # Not `isinstance`: true is an int to Python.
    if not (type(first) is int and type(after) is int and 0 <= first < after):
        raise line.error(
            f"the span is from frame {first!r} to before frame {after!r} (counted from 0)",
            "give whole numbers, the first from 0 on and the last not before it",
        )
    return FrameRange(first, after)


def label_of(line: Line, given: object) -> str | None:
    """Return a class's name, or None for the words `none of these`; a DataError if it is neither."""
    if isinstance(given, str) and given.strip().casefold() == NONE_OF_THESE:
        return None
    return class_name(given, f"{line.file}, {line.place}")


def score_of(line: Line, given: object) -> float | None:
    """Return a score, None for nothing or an empty text; a DataError unless it is a finite number."""
    return None if given is None or given == "" else _number(line, "score", given)


def _number(line: Line, name: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        unit = "" if name == "score" else " of seconds"
        raise line.error(f"{name} is {value!r}", f"give a number{unit}, such as 12.5")
    return number
