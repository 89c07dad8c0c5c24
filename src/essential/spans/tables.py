"""Spans in a CSV table, `path,start_seconds,end_seconds,label`, and in JSON lines, `{path, start, end, label}`.

Both are also what `essential predict --window` prints, so that its answers can be corrected and taught. Columns and
keys that are not known are passed over.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from essential.errors import DataError
from essential.protocols.text_files import Line, csv_rows, json_of
from essential.shown import unguarded_cell
from essential.spans.labelled_span import LabelledSpan, Mark, Marks, label_of, score_of, seconds_of

COLUMNS = ("path", "start_seconds", "end_seconds", "label", "score")
# By these names too: those of `predict`.
_ALSO = {"start": "start_seconds", "end": "end_seconds"}
_NEEDED = COLUMNS[:4]
_HEADER = "path,start_seconds,end_seconds,label"
_UNREAD = "rows of videos that could not be read"


def marks_of_csv(text: str, name: str) -> Marks:
    """Return what a table with a header holds; DataError for a missing column or field, or no CSV."""
    rows = csv_rows(text, name)
    header = [str(_ALSO.get(column.strip(), column.strip())) for column in next(rows)[1]]
    for column in COLUMNS:
        if header.count(column) > 1 or (column in _NEEDED and column not in header):
            problem = f"{'lacks the column' if column not in header else 'has twice the column'} {column!r}"
            raise DataError(problem, where=name, remedy=f"begin it with the header {_HEADER}")
    return _marks([(line, dict(zip(header, map(unguarded_cell, fields), strict=True))) for line, fields in rows])


def marks_of_json_lines(text: str, name: str) -> Marks:
    """Return what JSON lines hold; DataError for a line that is no JSON object, or lacks a key."""
    rows = []
    for number, content in enumerate(text.split("\n"), 1):
        if content.strip():
            line = Line(name, f"line {number}")
            row = json_of(content, f"{name}, line {number}")
            if not isinstance(row, dict):
                raise line.error("not a JSON object", "give {path, start, end, label}")
            rows.append((line, {str(_ALSO.get(key, key)): value for key, value in row.items()}))
    return _marks(rows)


def row_of(span: LabelledSpan, path: str) -> tuple[str, float, float, str | None, float | None]:
    """Return the cells of a span, in the order of `COLUMNS`; an empty label is none of the classes."""
    start, end = (round(seconds, 3) for seconds in span.segment)
    return path, start, end, span.label, span.score


def _marks(rows: Sequence[tuple[Line, Mapping[str, Any]]]) -> Marks:
    unread = Counter({_UNREAD: sum(bool(row.get("error")) for _, row in rows)})
    return Marks([*_each(rows)], +unread)


def _each(rows: Sequence[tuple[Line, Mapping[str, Any]]]) -> Iterator[Mark]:
    for line, row in rows:
        if row.get("error"):
            continue
        path, label = row.get("path"), row.get("label")
        if not isinstance(path, str) or not path.strip():
            raise line.error(f"path is {path!r}", "give the video's path")
        segment = seconds_of(line, row.get("start_seconds"), row.get("end_seconds"))
        yield Mark(
            line,
            path.strip(),
            segment,
            None if label in (None, "") else label_of(line, label),
            score_of(line, row.get("score")),
        )
