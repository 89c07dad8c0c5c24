"""Spans in JSON as of ActivityNet: `{database: {name: {annotations: [{segment: [start, end], label}]}}}`, in seconds.

Source: Caba Heilbron et al., ActivityNet: A Large-Scale Video Benchmark for Human Activity Understanding, CVPR 2015,
and its evaluation toolkit; THUMOS, HACS and FineAction are given in the same layout. Its files of results hold
`{results: {name: [{segment, label, score}]}}`.
"""

from collections.abc import Mapping
from typing import Any

from essential.errors import DataError
from essential.protocols.text_files import Line
from essential.spans.labelled_span import Mark, Marks, label_of, score_of, seconds_of

_KNOWN = "known is the layout of version 1.3: {database: {name: {annotations: [{segment: [start, end], label}]}}}"


def is_activity_net(content: Any) -> bool:
    """Return whether JSON is laid out like that."""
    return isinstance(content, dict) and ("database" in content or "results" in content)


def marks_of_activity_net(content: Mapping[str, Any], name: str) -> Marks:
    """Return what annotations or results hold; DataError for another layout inside."""
    version = f" (it says version {content['version']!r})" if "version" in content else ""
    key = "database" if "database" in content else "results"
    if not isinstance(content[key], dict):
        raise DataError(f"{key} is no object{version}", where=name, remedy=_KNOWN)
    marks = []
    for video, given in content[key].items():
        annotations = given.get("annotations") if isinstance(given, dict) else given
        if not isinstance(annotations, list):
            raise DataError(f"no list of annotations{version}", where=f"{name}, video {video!r}", remedy=_KNOWN)
        for place, one in enumerate(annotations, 1):
            line = Line(name, f"video {video!r}, annotation {place}")
            segment = one.get("segment") if isinstance(one, dict) else None
            if not isinstance(segment, list) or len(segment) != 2:
                raise line.error(f"segment is {segment!r}{version}", _KNOWN)
            marks.append(
                Mark(
                    line,
                    video,
                    seconds_of(line, *segment),
                    label_of(line, one.get("label")),
                    score_of(line, one.get("score")),
                )
            )
    return Marks(marks)
