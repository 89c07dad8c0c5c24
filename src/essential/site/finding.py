"""Where the records are: run folders, record files, and folders that hold runs."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from essential.errors import RunError
from essential.records import Record

_FILE = "record.json"
_SHOWN = 10


@dataclass(frozen=True, eq=False)
class FoundRecord:
    """A record, the bytes of its file and their SHA-256, and a name for its run: its folder below what was given."""

    label: str
    record: Record
    content: bytes
    sha256: str


@dataclass(frozen=True)
class Findings:
    """The records that were found, and how many files more held one of them again, byte for byte."""

    records: tuple[FoundRecord, ...]
    copies: int


def find_records(places: Sequence[Path], *, unverified: bool = False) -> Findings:
    """Read every record in `places`.

    Args:
        places: record files of any name, and folders; a folder is searched, itself and all below, for `record.json`.
            Links to folders below it are not followed.
        unverified: take records that were changed after they were written too, and mark them.

    Raises:
        RunError: a place is not there or holds no record, or a file is not a valid record; all such files are named.
    """
    files: dict[Path, str] = {}
    for place in places:
        for file, label in _below(place):
            files.setdefault(file.resolve(), label)
    found: dict[str, FoundRecord] = {}
    broken: list[str] = []
    for file, label in files.items():
        try:
            record = Record.read(file, unverified=unverified)
        except RunError as error:
            broken.append(str(error))
            continue
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        found.setdefault(digest, FoundRecord(record.marked(label), record, content, digest))
    if broken:
        # A board that silently lacks a run is wrong: better none.
        shown = [f"  {message}" for message in broken[:_SHOWN]]
        more = [f"  and {len(broken) - _SHOWN} more"] if len(broken) > _SHOWN else []
        are = "is not a valid record" if len(broken) == 1 else "are not valid records"
        what = f"{len(broken)} of {len(files)} files {are}; fix it or remove it, and run this command again"
        raise RunError("\n".join([what, *shown, *more]))
    return Findings(tuple(found.values()), len(files) - len(found))


def _below(place: Path) -> Iterator[tuple[Path, str]]:
    """Give each record file of a place, and its run's name."""
    if place.exists() and not place.is_dir():
        yield place, place.resolve().parent.name if place.name == _FILE else place.stem
        return
    if not place.is_dir():
        raise RunError(f"{place} is neither a folder nor a file; give run folders, record files or folders of runs")
    files = sorted(Path(folder) / _FILE for folder, _, names in os.walk(place, onerror=_unreadable) if _FILE in names)
    if not files:
        raise RunError(f"there is no {_FILE} in {place} or below; give folders of finished runs")
    for file in files:
        yield file, "/".join((place.resolve().name, *file.parent.relative_to(place).parts))


def _unreadable(error: OSError) -> NoReturn:
    raise RunError(f"{error.filename} cannot be searched ({error.strerror}); check that you may read it") from error
