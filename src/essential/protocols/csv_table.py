"""Small CSV tables with a header of known columns, read strictly: every complaint names file, line and value."""

import csv
import difflib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from essential.errors import DataError
from essential.given_files import plain_file


class CsvKind(NamedTuple):
    """What kind of table is expected: what messages call it, the setting that names it, and its columns."""

    what: str
    setting: str
    columns: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def header(self) -> str:
        """The header as a user should write it."""
        return ",".join((*self.columns, *(f"[{column}]" for column in self.optional)))


def read_table(path: Path, kind: CsvKind) -> Iterator[tuple[int, dict[str, str]]]:
    """Give (line number, field by column) of every row below the header, without spaces around fields.

    Raises:
        DataError: the file is missing, not UTF-8 or not CSV; a column is missing, unknown or there twice; a row has
            more or fewer fields than the header, or a field with a NUL or a line break; a field that must not be is
            empty.
    """
    reader = csv.reader(io.StringIO(_text(path, kind), newline=""), strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        _check_header(path, header, kind)
        for fields in reader:
            if not fields:
                continue
            where = f"{kind.what} {path}, line {reader.line_num}"
            if len(fields) != len(header):
                raise DataError(
                    f"{where}: {len(fields)} fields, but the header has {len(header)}; "
                    "put a field that holds a comma in double quotes"
                )
            row = dict(zip(header, (field.strip() for field in fields), strict=True))
            _check_fields(where, row, kind)
            yield reader.line_num, row
    except csv.Error as error:
        where = f"{kind.what} {path}, line {reader.line_num}"
        raise DataError(f"{where}: not valid CSV ({error}); mend the line") from error


def _text(path: Path, kind: CsvKind) -> str:
    what = kind.what
    try:
        return plain_file(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{what} {path} does not exist; give an existing CSV file as {kind.setting}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{what} {path} is not UTF-8 text (byte {error.start}); save it as UTF-8 CSV") from error
    except OSError as error:
        raise DataError(f"{what} {path} cannot be read: {error.strerror}; give a readable CSV file") from error


def _check_header(path: Path, header: list[str], kind: CsvKind) -> None:
    allowed = f"its header must be {kind.header}, in any order"
    known: Sequence[str] = (*kind.columns, *kind.optional)
    for column in header:
        if column not in known:
            near = difflib.get_close_matches(column, known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise DataError(f"{kind.what} {path} has an unknown column {column!r}{hint}; {allowed}")
        if header.count(column) > 1:
            raise DataError(f"{kind.what} {path} has the column {column!r} twice; {allowed}")
    missing = [column for column in kind.columns if column not in header]
    if missing:
        raise DataError(f"{kind.what} {path} lacks the column {missing[0]!r}; {allowed}")


def _check_fields(where: str, row: dict[str, str], kind: CsvKind) -> None:
    for column, field in row.items():
        if (not field and column in kind.columns) or "\0" in field or "\n" in field:
            raise DataError(f"{where}: {column} is {field!r}; fill it in with plain text of one line")
