"""Videos in a list: a CSV file with the columns `path,label,split`, paths relative to the file's folder."""

import os
import stat
from pathlib import Path, PurePosixPath

from essential.errors import DataError
from essential.protocols.class_names import class_name
from essential.protocols.csv_table import CsvKind, read_table
from essential.protocols.folder import refuse_untrained
from essential.protocols.protocol import Video, known_split

_MANIFEST = CsvKind("manifest", "data.path", ("path", "label", "split"))
_NAMED_AT_MOST = 10


def manifest_videos(path: Path) -> list[Video]:
    """Return the labelled videos of a manifest, in its order.

    Raises:
        DataError: the file is missing, not UTF-8, or empty; a column is missing or unknown; a row has an unknown
            split, an empty field, a path that is absolute or leaves the manifest's folder, be it through a link, or
            one listed twice; a video does not exist; a class has no training clip.
    """
    videos = [_video(path, line, row) for line, row in read_table(path, _MANIFEST)]
    if not videos:
        raise DataError(f"manifest {path} lists no video; add rows below its header {_MANIFEST.header}")
    _refuse_repeats(path, videos)
    _refuse_missing(path, videos)
    _refuse_links_out(path, videos)
    refuse_untrained(videos, f"manifest {path}")
    return videos


def _video(manifest: Path, line: int, row: dict[str, str]) -> Video:
    where = f"manifest {manifest}, line {line}"
    split = known_split(row["split"], where)
    relative = PurePosixPath(row["path"])
    if relative.is_absolute() or ".." in relative.parts:
        raise DataError(
            f"{where}: path {row['path']!r} leaves the manifest's folder; give paths relative to {manifest.parent}, "
            "without '..'"
        )
    return Video(relative.as_posix(), str(manifest.parent / relative), class_name(row["label"], where), split)


def _refuse_repeats(path: Path, videos: list[Video]) -> None:
    seen: set[str] = set()
    for video in videos:
        if video.key in seen:
            raise DataError(f"manifest {path} lists {video.key!r} twice; a video has one label and one split")
        seen.add(video.key)


def _refuse_missing(path: Path, videos: list[Video]) -> None:
    missing = [video.key for video in videos if not _is_file(video.path)]
    if missing:
        named = ", ".join(missing[:_NAMED_AT_MOST]) + (", ..." if len(missing) > _NAMED_AT_MOST else "")
        raise DataError(
            f"manifest {path}: {len(missing)} of {len(videos)} videos do not exist, or are no files: {named}; "
            f"paths are relative to {path.parent}"
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # Such as a name longer than any file's.
        return False


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
