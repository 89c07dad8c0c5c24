"""The labels of features that a user brings along: which row of an array is which video, of which class and split."""

import re
from collections.abc import Iterator
from pathlib import Path

from essential.errors import DataError
from essential.protocols.class_names import class_name
from essential.protocols.csv_table import CsvKind, read_table
from essential.protocols.folder import refuse_untrained
from essential.protocols.protocol import Listing, Video, known_split

STORED_LABELS = "videos.csv"
_LABELS = CsvKind("labels file", "LABELS.csv", ("index", "label", "split"), ("video",))


def labelled_rows(path: Path, rows: int) -> list[Video]:
    """Return the video of every row of an array of `rows` videos, in row order.

    The file has the columns `index,label,split` and may have `video`, a name; without it a video is called by its
    index. It names each row of the array once, in any order.

    Raises:
        DataError: it does not; two videos have one name; a class has no training video.
    """
    found: dict[int, Video] = {}
    for index, video, where in _entries(path):
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
    videos = [found[index] for index in range(rows)]
    _refuse_repeats(videos, path)
    refuse_untrained(videos, f"labels file {path}")
    return videos


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
    videos = [video for _, video, _ in _entries(path)]
    if not videos:
        raise DataError(f"{path} lists no video; import the features again into another folder")
    _refuse_repeats(videos, path)
    refuse_untrained(videos, f"labels file {path}")
    return Listing.by_name(videos)


def _entries(path: Path) -> Iterator[tuple[int, Video, str]]:
    for line, row in read_table(path, _LABELS):
        where = f"labels file {path}, line {line}"
        text = row["index"]
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise DataError(f"{where}: index is {text[:40]!r}; give the row of the array, a whole number from 0")
        key = row.get("video") or text
        label, split = class_name(row["label"], where), known_split(row["split"], where)
        yield int(text), Video(key, f"{path.parent}/{key}", label, split), where


def _refuse_repeats(videos: list[Video], path: Path) -> None:
    seen: set[str] = set()
    for video in videos:
        if video.key in seen:
            raise DataError(f"labels file {path} names the video {video.key!r} twice; give each row a name of its own")
        seen.add(video.key)
