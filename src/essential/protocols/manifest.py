"""Videos in a list: a CSV file with the columns `path,label,split`, paths relative to the file's folder."""

import csv
import difflib
import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from essential.errors import DataError
from essential.protocols.folder import refuse_untrained
from essential.protocols.protocol import Split, Video

COLUMNS = ("path", "label", "split")
_SPLITS: dict[str, Split] = {"train": "train", "test": "test"}
_NAMED_AT_MOST = 10


def manifest_videos(path: Path) -> list[Video]:
    """Return the labelled videos of a manifest, in its order.

    Raises:
        DataError: the file is missing, not UTF-8, or empty; a column is missing or unknown; a row has an unknown
            split, an empty field, a path that is absolute or leaves the manifest's folder, or one listed twice; a
            video does not exist; a class has no training clip.
    """
    videos = [_video(path, line, row) for line, row in _rows(path)]
    if not videos:
        raise DataError(f"manifest {path} lists no video; add rows below its header {','.join(COLUMNS)}")
    _refuse_repeats(path, videos)
    _refuse_missing(path, videos)
    refuse_untrained(videos, f"manifest {path}")
    return videos


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        _check_header(path, header)
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(header):
                raise DataError(
                    f"manifest {path}, line {reader.line_num}: {len(fields)} fields, but the header has {len(header)}; "
                    "put a field that holds a comma in double quotes"
                )
            yield reader.line_num, dict(zip(header, (field.strip() for field in fields), strict=True))
    except csv.Error as error:
        raise DataError(f"manifest {path}, line {reader.line_num}: not valid CSV ({error}); mend the line") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"manifest {path} does not exist; give an existing CSV file as data.path") from None
    except UnicodeDecodeError as error:
        raise DataError(f"manifest {path} is not UTF-8 text (byte {error.start}); save it as UTF-8 CSV") from error
    except OSError as error:
        raise DataError(f"manifest {path} cannot be read: {error.strerror}; give a readable CSV file") from error


def _check_header(path: Path, header: list[str]) -> None:
    allowed = f"its header must be {','.join(COLUMNS)}, in any order"
    for column in header:
        if column not in COLUMNS:
            near = difflib.get_close_matches(column, COLUMNS, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise DataError(f"manifest {path} has an unknown column {column!r}{hint}; {allowed}")
        if header.count(column) > 1:
            raise DataError(f"manifest {path} has the column {column!r} twice; {allowed}")
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise DataError(f"manifest {path} lacks the column {missing[0]!r}; {allowed}")


def _video(manifest: Path, line: int, row: dict[str, str]) -> Video:
    where = f"manifest {manifest}, line {line}"
    for column in COLUMNS:
        if not row[column] or "\0" in row[column] or "\n" in row[column]:
            raise DataError(f"{where}: {column} is {row[column]!r}; fill it in with plain text of one line")
    split = _SPLITS.get(row["split"])
    if split is None:
        raise DataError(f"{where}: split is {row['split']!r}; use one of {', '.join(_SPLITS)}")
    relative = PurePosixPath(row["path"])
    if relative.is_absolute() or ".." in relative.parts:
        raise DataError(
            f"{where}: path {row['path']!r} leaves the manifest's folder; give paths relative to {manifest.parent}, "
            "without '..'"
        )
    return Video(relative.as_posix(), str(manifest.parent / relative), row["label"], split)


def _refuse_repeats(path: Path, videos: list[Video]) -> None:
    seen: set[str] = set()
    for video in videos:
        if video.key in seen:
            raise DataError(f"manifest {path} lists {video.key!r} twice; a video has one label and one split")
        seen.add(video.key)


def _refuse_missing(path: Path, videos: list[Video]) -> None:
    missing = [video.key for video in videos if not video.path.is_file()]
    if missing:
        named = ", ".join(missing[:_NAMED_AT_MOST]) + (", ..." if len(missing) > _NAMED_AT_MOST else "")
        raise DataError(
            f"manifest {path}: {len(missing)} of {len(videos)} videos do not exist: {named}; "
            f"paths are relative to {path.parent}"
        )
