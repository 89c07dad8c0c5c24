"""Finding official split files and reading their lines, with errors that name file, line and value."""

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from essential.errors import DataError
from essential.files.given import plain_file
from essential.protocols.listed import ListedVideo


class Line(NamedTuple):
    """A line of a split file, or an entry of one in JSON."""

    path: Path
    place: str  # such as `line 4`, or `entry 4`; the first is 1
    text: str = ""  # of a line, without the spaces around it

    def error(self, advice: str) -> DataError:
        """Return the error for this line, ready to be raised."""
        text = f": {self.text!r}" if self.text else ""
        return DataError(f"{self.path}, {self.place}{text}: {advice}")


def find_folder(place: Path, pattern: str, what: str) -> Path:
    """Return the folder that holds files named like `pattern`, called `what`: `place`, or else one right below it.

    Raises:
        DataError: there is none, or there are several right below.
    """
    if not place.is_dir():
        raise DataError(f"the folder {place} does not exist; give the folder of {what}: -s data.annotations=DIR")
    if _holds(place, pattern):
        return place
    below = [folder for folder in _below(place) if _holds(folder, pattern)]
    if len(below) > 1:
        raise DataError(f"{pattern} is in {below[0]} and in {below[1]}; say where {what} are: -s data.annotations=DIR")
    if not below:
        raise DataError(
            f"{pattern} is not in {place}, nor in a folder right below; unpack {what} there, or give their folder: "
            "-s data.annotations=DIR"
        )
    return below[0]


def lines_of(path: Path) -> Iterator[Line]:
    """Give the lines of a file that are not empty, whatever ends them.

    Raises:
        DataError: the file is missing, not UTF-8 text, holds a NUL, or has no line.
    """
    empty = True
    for number, text in enumerate(text_of(path).split("\n"), start=1):
        line = Line(path, f"line {number}", text.strip())
        if "\0" in text:
            raise line.error("the line holds a NUL character; unpack the file again")
        if line.text:
            empty = False
            yield line
    if empty:
        raise DataError(f"{path} is empty; unpack the file again")


def text_of(path: Path) -> str:
    """Return a file's text.

    Raises:
        DataError: it is missing or not UTF-8 text.
    """
    try:
        return plain_file(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; unpack all the split files into {path.parent}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}); unpack the file again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; give a readable file") from error


def refuse_repeats(entries: Iterable[tuple[Line, ListedVideo]]) -> None:
    """Refuse a video that is listed twice, in one split or in both.

    Raises:
        DataError: names both lines.
    """
    seen: dict[str, Line] = {}
    for line, video in entries:
        before = seen.setdefault(video.name, line)
        if before is not line:
            raise line.error(
                f"video {video.name!r} is listed before, in {before.path.name}, {before.place}; "
                "a video is listed once and has one split"
            )


def _below(place: Path) -> list[Path]:
    with os.scandir(place) as entries:
        return sorted(place / entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())


def _holds(folder: Path, pattern: str) -> bool:
    if "*" not in pattern:
        return (folder / pattern).is_file()
    with os.scandir(folder) as entries:
        return any(
            fnmatchcase(entry.name, pattern) and not entry.name.startswith(".") and entry.is_file() for entry in entries
        )
