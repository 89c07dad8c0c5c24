"""Labelled videos in CSV tables, read strictly: every complaint names file, line and value.

A manifest has the columns `path,label,split`, paths relative to the file's folder. The labels of features that a user
brings along say which row of an array is which video: `index,label,split`, and `video`, a name, if there is one.
"""

import csv
import io
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, get_args

from essential.errors import DataError
from essential.files.given import plain_file
from essential.protocols.class_names import class_name
from essential.protocols.folder import refuse_untrained
from essential.protocols.protocol import Listing, Split, Video
from essential.shown import nearest

STORED_LABELS = "videos.csv"
_SPLITS: tuple[Split, ...] = get_args(Split)
_NAMED_AT_MOST = 10


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


_MANIFEST = CsvKind("manifest", "data.path", ("path", "label", "split"))
_LABELS = CsvKind("labels file", "LABELS.csv", ("index", "label", "split"), ("video",))


def manifest_videos(path: Path) -> list[Video]:
    """Return the labelled videos of a manifest, in its order.

    Raises:
        DataError: the file is missing, not UTF-8, or empty; a column is missing or unknown; a row has an unknown
            split, an empty field, a path that is absolute or leaves the manifest's folder, be it through a link, or
            one listed twice; a video does not exist; a class has no training clip.
    """
    videos = []
    for where, row in read_table(path, _MANIFEST):
        relative = PurePosixPath(row["path"])
        if relative.is_absolute() or ".." in relative.parts:
            raise DataError(
                f"{where}: path {row['path']!r} leaves the manifest's folder; give paths relative to {path.parent}, "
                "without '..'"
            )
        videos.append(_video(relative.as_posix(), path.parent / relative, row, where))
    if not videos:
        raise DataError(f"manifest {path} lists no video; add rows below its header {_MANIFEST.header}")
    _refuse_repeats(videos, f"manifest {path} lists", "a video has one label and one split")
    _refuse_missing(path, videos)
    _refuse_links_out(path, videos)
    refuse_untrained(videos, f"manifest {path}")
    return videos


def labelled_rows(path: Path, rows: int) -> list[Video]:
    """Return the video of every row of an array of `rows` videos, in row order.

    The labels file names each row of the array once, in any order; a video without a name is called by its index.

    Raises:
        DataError: it does not; two videos have one name; a class has no training video.
    """
    found: dict[int, Video] = {}
    for where, index, video in _labels(path):
        if index >= rows:
            raise DataError(f"{where}: index is {index}, but the array holds {rows} videos; use 0 to {rows - 1}")
        if index in found:
            raise DataError(f"{where}: index {index} is there twice; label each row of the array once")
        found[index] = video
    missing = [index for index in range(rows) if index not in found]
    if missing:
        raise DataError(
            f"labels file {path} has no line for {len(missing)} of the array's {rows} videos, for example index "
            f"{missing[0]}; label each row of the array once"
        )
    return _checked_labels([found[index] for index in range(rows)], path)


def stored_labels(store: Path) -> Listing:
    """Return the labelled videos of a store of imported features.

    Raises:
        DataError: it is no such store.
    """
    path = store / STORED_LABELS
    if not path.exists():
        raise DataError(
            f"{store} is no store of imported features (it holds no {STORED_LABELS}); make one with "
            "`essential features import FEATURES.npy LABELS.csv --out STORE` and give it as data.path"
        )
    videos = [video for _, _, video in _labels(path)]
    if not videos:
        raise DataError(f"{path} lists no video; import the features again into another folder")
    return Listing.by_name(_checked_labels(videos, path))


def read_table(path: Path, kind: CsvKind) -> Iterator[tuple[str, dict[str, str]]]:
    """Give (where it stands, for messages; field by column) of every row below the header, no spaces around fields.

    Raises:
        DataError: the file is missing, not UTF-8 or not CSV; a column is missing, unknown or there twice; a row has
            more or fewer fields than the header, or a field with a NUL or a line break; a field that must not be is
            empty.
    """
    what = f"{kind.what} {path}"
    reader = csv.reader(io.StringIO(_text(path, kind), newline=""), strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        _check_header(what, header, kind)
        for fields in reader:
            if not fields:
                continue
            where = f"{what}, line {reader.line_num}"
            if len(fields) != len(header):
                raise DataError(
                    f"{where}: {len(fields)} fields, but the header has {len(header)}; "
                    "put a field that holds a comma in double quotes"
                )
            row = dict(zip(header, (field.strip() for field in fields), strict=True))
            for column, field in row.items():
                if (not field and column in kind.columns) or "\0" in field or "\n" in field:
                    raise DataError(f"{where}: {column} is {field!r}; fill it in with plain text of one line")
            yield where, row
    except csv.Error as error:
        raise DataError(f"{what}, line {reader.line_num}: not valid CSV ({error}); fix the line") from error


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


def _check_header(what: str, header: list[str], kind: CsvKind) -> None:
    allowed = f"its header must be {kind.header}, in any order"
    known = (*kind.columns, *kind.optional)
    for column in header:
        if column not in known:
            raise DataError(f"{what} has an unknown column {column!r}{nearest(column, known)}; {allowed}")
        if header.count(column) > 1:
            raise DataError(f"{what} has the column {column!r} twice; {allowed}")
    for column in kind.columns:
        if column not in header:
            raise DataError(f"{what} lacks the column {column!r}; {allowed}")


def _labels(path: Path) -> Iterator[tuple[str, int, Video]]:
    for where, row in read_table(path, _LABELS):
        index = row["index"]
        if not re.fullmatch(r"[0-9]{1,18}", index):
            raise DataError(f"{where}: index is {index[:40]!r}; give the row of the array, a whole number from 0")
        key = row.get("video") or index
        yield where, int(index), _video(key, f"{path.parent}/{key}", row, where)


def _checked_labels(videos: list[Video], path: Path) -> list[Video]:
    _refuse_repeats(videos, f"labels file {path} names the video", "give each row a name of its own")
    refuse_untrained(videos, f"labels file {path}")
    return videos


def _video(key: str, file: str | Path, row: dict[str, str], where: str) -> Video:
    split = next((split for split in _SPLITS if split == row["split"]), None)
    if split is None:
        raise DataError(f"{where}: split is {row['split']!r}; use one of {', '.join(_SPLITS)}")
    return Video(key, str(file), class_name(row["label"], where), split)


def _refuse_repeats(videos: list[Video], what: str, advice: str) -> None:
    seen: set[str] = set()
    for video in videos:
        if video.key in seen:
            raise DataError(f"{what} {video.key!r} twice; {advice}")
        seen.add(video.key)


def _refuse_missing(path: Path, videos: list[Video]) -> None:
    # Not `Path.is_file`, which raises where a name is longer than any file's.
    missing = [video.key for video in videos if not os.path.isfile(video.file)]  # noqa: PTH113
    if missing:
        named = ", ".join(missing[:_NAMED_AT_MOST]) + (", ..." if len(missing) > _NAMED_AT_MOST else "")
        raise DataError(
            f"manifest {path}: {len(missing)} of {len(videos)} videos do not exist, or are no files: {named}; "
            f"paths are relative to {path.parent}"
        )


def _refuse_links_out(path: Path, videos: list[Video]) -> None:
    """Refuse videos that are not below the manifest's folder once links are followed."""
    inside = path.parent.resolve()
    # Thousands of videos share few folders: those are followed once, and of the files only the ones that are links.
    folders = {video.file.rpartition("/")[0] for video in videos}
    leaving = {folder for folder in folders if not Path(folder).resolve().is_relative_to(inside)}
    for video in videos:
        is_link = stat.S_ISLNK(os.lstat(video.file).st_mode)
        if video.file.rpartition("/")[0] not in leaving and not is_link:
            continue
        place = video.path.resolve()
        if not place.is_relative_to(inside):
            raise DataError(
                f"manifest {path}: {video.key!r} leads out of the manifest's folder through a link, to {place}; "
                f"put the video below {inside}, or the manifest above the video"
            )
