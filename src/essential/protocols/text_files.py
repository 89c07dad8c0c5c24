"""Text files that somebody gives, read strictly: whatever is wrong with one is a DataError that names it."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from essential.errors import DataError
from essential.files.untrusted import parse_json, read_bounded


class Line(NamedTuple):
    """A line of a file, or an entry of one in JSON."""

    file: str  # what messages call it; it ends in its path
    place: str  # such as `line 4`, or `entry 4`; the first is 1
    text: str = ""  # of the line, without the spaces around it

    def error(self, problem: str, remedy: str | None = None) -> DataError:
        """Return the error for this line, ready to be raised."""
        text = f": {self.text!r}" if self.text else ""
        return DataError(problem, where=f"{self.file}, {self.place}{text}", remedy=remedy)


def refuse_repeats(names: Iterable[tuple[Line, str]], remedy: str = "a video is listed once and has one split") -> None:
    """Raise a DataError for a video that is listed twice, in one split or in both; it names both lines."""
    seen: dict[str, Line] = {}
    for line, name in names:
        before = seen.setdefault(name, line)
        if before is not line:
            place = f"{Path(before.file).name}, {before.place}"
            raise line.error(f"video {name!r} is listed before, in {place}", remedy)


def bytes_of(path: Path, *, what: str = "", absent: str) -> bytes:
    """Return a file's content; `what` begins messages, and `absent` is the remedy where there is no file."""
    try:
        return read_bounded(path)
    except FileNotFoundError:
        raise DataError(f"{what}{path} does not exist", remedy=absent) from None
    except OSError as error:
        raise DataError(f"{what}{path} cannot be read: {error.strerror}", remedy="give a readable file") from error
    except ValueError as error:
        raise DataError(f"{what}{path} cannot be read: {error}", remedy="give several smaller files") from None


def text_of(content: bytes, name: str, remedy: str) -> str:
    """Return a file's text, without a byte order mark; `remedy` is for a file that is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8 text (byte {error.start})", remedy=remedy) from None


def json_of(text: str, name: str, remedy: str | None = None) -> Any:
    """Return what the JSON text of the file `name` holds; raise a DataError for anything but plain JSON."""
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        where = f"{name}, line {error.lineno}, column {error.colno}"
        raise DataError(f"not valid JSON ({error.msg})", where=where, remedy=remedy or "fix the line") from None
    except ValueError as error:
        raise DataError(f"{name} holds what no such file has: {error}", remedy=remedy) from None


def csv_rows(text: str, name: str) -> Iterator[tuple[Line, list[str]]]:
    """Give the header of a CSV table, and then each row that is not empty, as long as the header, with its line.

    DataError for a row that is no CSV or has another number of fields.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        yield Line(name, "line 1"), header
        for fields in filter(None, reader):
            line = Line(name, f"line {reader.line_num}")
            if len(fields) != len(header):
                problem = f"{len(fields)} fields, but the header has {len(header)}"
                raise line.error(problem, "put a field that holds a comma in double quotes")
            yield line, fields
    except csv.Error as error:
        where = f"{name}, line {reader.line_num}"
        raise DataError(f"not valid CSV ({error})", where=where, remedy="fix the line") from error
