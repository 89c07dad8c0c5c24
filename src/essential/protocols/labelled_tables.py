"""Labelled videos in CSV tables, read strictly: every complaint names file, line and value.

A manifest has the columns `path,label,split`, paths relative to the file's folder. The labels of imported features say
which row of an array is which video: `index,label,split`, and `video`, a name, if there is one.
"""

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from essential.errors import DataError
from essential.protocols.class_names import class_name
from essential.protocols.listed import refuse_untrained
from essential.protocols.protocol import SPLITS, Listing, Video
from essential.protocols.source import Dataset
from essential.protocols.text_files import Line, bytes_of, csv_rows, refuse_repeats, text_of
from essential.protocols.video_walk import is_below
from essential.remote.access import scheme_of
from essential.remote.storage import Storage, file_at, open_storage
from essential.shown import nearest, quoted

STORED_LABELS = "videos.csv"
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


def manifest_videos(path: Path, storage: Storage | None = None) -> list[Video]:
    """Return the labelled videos of a manifest, in its order.

    Args:
        path: the manifest.
        storage: what the paths are relative to; None: the manifest's folder.

    Raises:
        DataError: as `read_table`; a path is absolute or an address, leaves the manifest's folder, also through a link,
            is listed twice, or is no file; a class has no training clip.
    """
    found = []
    root = path.parent if storage is None else storage
    for line, row in read_table(path, _MANIFEST):
        relative = PurePosixPath(row["path"])
        if scheme_of(row["path"]) is not None:
            problem = f"path {quoted(row['path'])} is an address"
            raise line.error(problem, f"say where the videos are with data.url, and give paths relative to {root}")
        if relative.is_absolute() or ".." in relative.parts:
            raise line.error(
                f"path {row['path']!r} leaves the manifest's folder",
                f"give paths relative to {root}, without '..'",
            )
        found.append((line, _video(relative.as_posix(), file_at(root, relative.as_posix()), row, line)))
    if not found:
        raise DataError(f"manifest {path} lists no video; add rows below its header {_MANIFEST.header}")
    refuse_repeats((line, video.key) for line, video in found)
    videos = [video for _, video in found]
    if storage is None:
        # Not `Path.is_file`, which raises where a name is longer than any file's.
        missing = [video.key for video in videos if not os.path.isfile(video.file)]  # noqa: PTH113
    else:
        names = storage.files()
        missing = [] if names is None else [video.key for video in videos if video.key not in names]
    if missing:
        some = ", ".join(missing[:_NAMED_AT_MOST]) + (", ..." if len(missing) > _NAMED_AT_MOST else "")
        problem = f"{len(missing)} of {len(videos)} videos do not exist, or are no files: {some}"
        raise DataError(problem, where=f"manifest {path}", remedy=f"paths are relative to {root}")
    if storage is None:
        _refuse_links_out(path, videos)
    refuse_untrained(videos, f"manifest {path}")
    return videos


def labelled_rows(path: Path, rows: int) -> list[Video]:
    """Return the video of every row of an array of `rows` videos, in row order.

    Raises:
        DataError: the file does not name each row once; two videos have one name; a class has no training video.
    """
    found = _labels(path, rows)
    missing = [index for index in range(rows) if index not in found]
    if missing:
        raise DataError(
            f"labels file {path} has no line for {len(missing)} of the array's {rows} videos, for example index "
            f"{missing[0]}; label each row of the array once"
        )
    return [found[index] for index in range(rows)]


def stored_labels(store: Path) -> Listing:
    """Return the labelled videos of a store of imported features."""
    path = store / STORED_LABELS
    if not path.exists():
        raise DataError(
            f"{store} is no store of imported features (it holds no {STORED_LABELS}); make one with "
            "`essential features import FEATURES.npy LABELS.csv --out STORE` and give it as data.path"
        )
    videos = list(_labels(path).values())
    if not videos:
        raise DataError(f"{path} lists no video; import the features again into another folder")
    return Listing.by_name(videos)


def read_table(path: Path, kind: CsvKind) -> Iterator[tuple[Line, dict[str, str]]]:
    """Give each row below the header, field by column without spaces around fields, and its line.

    Raises:
        DataError: the file is missing, not UTF-8 or not CSV; a column is missing, unknown or there twice; a field is
            missing, too many, not one line, or empty where it must not be.
    """
    what = f"{kind.what} {path}"
    absent = f"give an existing CSV file as {kind.setting}"
    text = text_of(bytes_of(path, what=f"{kind.what} ", absent=absent), what, "save it as UTF-8 CSV")
    rows = csv_rows(text.replace("\r\n", "\n").replace("\r", "\n"), what)
    header = [column.strip() for column in next(rows)[1]]
    _check_header(what, header, kind)
    for line, fields in rows:
        row = dict(zip(header, (field.strip() for field in fields), strict=True))
        for column, field in row.items():
            if (not field and column in kind.columns) or "\0" in field or "\n" in field:
                raise line.error(f"{column} is {field!r}", "fill it in with plain text of one line")
        yield line, row


def _check_header(what: str, header: list[str], kind: CsvKind) -> None:
    allowed = f"its header must be {kind.header}, in any order"
    known = (*kind.columns, *kind.optional)
    for column in header:
        if column not in known:
            raise DataError(f"{what} has an unknown column {column!r}{nearest(column, known)}", remedy=allowed)
        if header.count(column) > 1:
            raise DataError(f"{what} has the column {column!r} twice", remedy=allowed)
    for column in kind.columns:
        if column not in header:
            raise DataError(f"{what} lacks the column {column!r}", remedy=allowed)


def _labels(path: Path, rows: int | None = None) -> dict[int, Video]:
    """Return the videos of a labels file by the rows of the array, of which there are `rows`, in the file's order."""
    found: dict[int, Video] = {}
    lines = []
    for line, row in read_table(path, _LABELS):
        text = row["index"]
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise line.error(f"index is {text[:40]!r}", "give the row of the array, a whole number from 0")
        index = int(text)
        if rows is not None and index >= rows:
            raise line.error(f"index is {index}, but the array holds {rows} videos", f"use 0 to {rows - 1}")
        if index in found:
            raise line.error(f"index {index} is there twice", "label each row of the array once")
        key = row.get("video") or text
        found[index] = _video(key, f"{path.parent}/{key}", row, line)
        lines.append((line, key))
    refuse_repeats(lines, "give each row a name of its own")
    refuse_untrained([*found.values()], f"labels file {path}")
    return found


def _video(key: str, file: str, row: dict[str, str], line: Line) -> Video:
    split = next((split for split in SPLITS if split == row["split"]), None)
    if split is None:
        raise line.error(f"split is {row['split']!r}", f"use one of {', '.join(SPLITS)}")
    return Video(key, file, class_name(row["label"], f"{line.file}, {line.place}"), split)


def _refuse_links_out(path: Path, videos: list[Video]) -> None:
    """Refuse videos that are not below the manifest's folder once links are followed."""
    # Thousands of videos share few folders: those are followed once, and of the files only the ones that are links.
    real = cache(os.path.realpath)
    inside = real(str(path.parent))
    for video in videos:
        folder, _, name = video.file.rpartition("/")
        is_link = os.path.islink(video.file)  # noqa: PTH114
        place = os.path.realpath(video.file) if is_link else f"{real(folder)}/{name}"
        if not is_below(place, inside):
            raise DataError(
                f"manifest {path}: {video.key!r} leads out of the manifest's folder through a link, to {place}; "
                f"put the video below {inside}, or the manifest above the video"
            )


MANIFEST = Dataset(
    "a CSV table of videos",
    ("path",),
    lambda config: Listing.by_name(
        manifest_videos(config.given("path"), None if config.url is None else open_storage(config.url))
    ),
    hint="the list: -s data.path=FILE.csv",
    takes_url=True,
)
FEATURES = Dataset(
    "imported features",
    ("path",),
    lambda config: stored_labels(config.given("path")),
    hint="the store: -s data.path=STORE (`essential features import` makes it)",
)
