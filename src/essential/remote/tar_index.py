"""Where the files of a tar shard are: its headers are walked once, and what they say is kept, sealed, in the cache.

Tar files of the forms ustar, pax and gnu, not compressed. Walking reads a header and what stands right behind it, so
that of a shard of videos little is read; small labels (`.cls`, `.txt`, `.json`) are read with it.
"""

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import Int64

from essential.errors import DataError, FileSystemError, StoreError
from essential.files.atomic import sha256_of_json
from essential.files.cache import cache_folder
from essential.files.sealed import read_sealed, write_sealed
from essential.files.untrusted import parse_json
from essential.shown import quoted

LABELS = (".cls", ".txt", ".json")
BLOCK = 512
# No label of a class is longer, and no header that extends another.
_LONGEST_LABEL_FILE = 1 << 16
_LONGEST_LABEL = 1000
_LONGEST_READ = 1 << 20
# That a header has room for, with `./` before it.
_LONGEST_SHORT_NAME = 98
_VERSION = 1
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK": "zip"}
_PACK_AGAIN = "pack the shard again"
_KINDS = {
    tarfile.SYMTYPE: "a link",
    tarfile.LNKTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}

# Gives the bytes from a place on, as many as asked for, or fewer at the end.
ReadAt = Callable[[int, int], bytes]


@dataclass(frozen=True)
class Shard:
    """A tar file: its path or URL, its bytes, what changes when its content does, and how to read it.

    Attributes:
        ahead: bytes to read at a time: a request costs about as much as that many bytes.
    """

    url: str
    size: int
    version: str
    read: ReadAt
    ahead: int


@dataclass(frozen=True)
class TarIndex:
    """The files in a shard, in its order: names, their first bytes, their lengths, and the text of each label file.

    A label is None where its file holds none: it is no text, is long, or is JSON without a "label".
    """

    names: list[str]
    firsts: Int64[np.ndarray, " files"]
    sizes: Int64[np.ndarray, " files"]
    labels: Mapping[str, str | None]


def tar_index(shard: Shard) -> TarIndex:
    """Return the index of a shard, from the cache where it is known.

    Raises:
        DataError: the file is no tar, is compressed, damaged or cut short; or it holds a link, a device, the same name
            twice, or a name that is no path below a folder.
    """
    key = sha256_of_json([_VERSION, shard.url, shard.size, shard.version])[:32]
    kept = cache_folder() / "tar-shards" / f"{key}.safetensors"
    with suppress(StoreError, KeyError, TypeError):
        arrays, note = read_sealed(kept, StoreError)
        return TarIndex(note["names"], arrays["firsts"], arrays["sizes"], note["labels"])
    index = _walked(shard)
    with suppress(FileSystemError):  # A cache that is full or may not be written to costs time, no more.
        note = {"shard": shard.url, "names": index.names, "labels": dict(index.labels)}
        write_sealed(kept, {"firsts": index.firsts, "sizes": index.sizes}, note)
    return index


def is_header(block: bytes, name: str, size: int) -> bool:
    """Return whether a block is the header of such a file, as far as it says: long names and sizes are elsewhere."""
    with suppress(tarfile.HeaderError):
        found = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        is_name = found.name.removeprefix("./") == name or not name.isascii() or len(name) > _LONGEST_SHORT_NAME
        return found.isreg() and is_name and found.size in (size, 0)
    return False


def _walked(shard: Shard) -> TarIndex:
    file = _Ranges(shard)
    _refuse_compressed(shard)
    members: dict[str, tuple[int, int]] = {}
    labels: dict[str, str | None] = {}
    try:
        for member in _members(file, shard):
            name = _name_of(member, shard)
            if member.isdir():
                continue
            if name in members:
                problem = f"holds the name {quoted(name)} twice"
                raise DataError(problem, where=shard.url, remedy=f"give each file a name of its own, and {_PACK_AGAIN}")
            members[name] = member.offset_data, member.size
            if name.lower().endswith(LABELS):
                labels[name] = _label(name, file, member)
    except tarfile.TarError as error:
        raise _cut_short(shard, file.tell()) if file.at_end else _damaged(shard, str(error)) from None
    if not members:
        raise DataError("holds no file", where=shard.url, remedy=_PACK_AGAIN)
    places = np.array([*members.values()], np.int64)
    return TarIndex([*members], places[:, 0].copy(), places[:, 1].copy(), labels)


def _members(file: "_Ranges", shard: Shard) -> Iterator[tarfile.TarInfo]:
    """Give what a shard holds, and check that it goes on to the end of the archive."""
    with tarfile.open(fileobj=cast(io.BytesIO, file), mode="r:", errors="surrogateescape") as tar:
        while (member := tar.next()) is not None:
            if member.size < 0:
                raise _damaged(shard, f"{quoted(member.name)} has {member.size:,} bytes")
            if member.offset_data + member.size > shard.size:
                raise _cut_short(shard, shard.size)
            yield member
            tar.members.clear()  # type: ignore[attr-defined] # it would keep all of them
        file.seek(tar.offset)
        last = file.read(BLOCK)
        if len(last) < BLOCK:
            raise _cut_short(shard, shard.size)
        if any(last):
            raise _damaged(shard, f"byte {tar.offset:,} begins no header")


def _cut_short(shard: Shard, place: int) -> DataError:
    remedy = f"copy it again, or {_PACK_AGAIN}"
    return DataError(f"ends early, at byte {place:,}, without the end of a tar file", where=shard.url, remedy=remedy)


def _damaged(shard: Shard, problem: str) -> DataError:
    remedy = f"give an uncompressed tar file; if it is one, {_PACK_AGAIN}"
    return DataError(f"is no tar file, or damaged: {problem}", where=shard.url, remedy=remedy)


def _refuse_compressed(shard: Shard) -> None:
    start = shard.read(0, 8)
    for magic, kind in _COMPRESSED.items():
        if start.startswith(magic):
            problem = f"is compressed ({kind}): no file in it could be read alone"
            raise DataError(problem, where=shard.url, remedy="uncompress it; videos are compressed themselves")


def _name_of(member: tarfile.TarInfo, shard: Shard) -> str:
    """Return a member's name, below a folder; `tar` itself may begin names with `./`."""
    name = member.name
    while name.startswith("./"):
        name = name[2:]
    if member.isdir() and name in ("", "."):
        return name
    problem = _KINDS.get(member.type) or ("sparse" if member.issparse() else None)
    if not (member.isdir() or member.isreg()) or problem:
        remedy = f"put the file itself there (tar --dereference --hard-dereference), and {_PACK_AGAIN}"
        raise DataError(f"{quoted(name)} is {problem or 'no plain file'}", where=shard.url, remedy=remedy)
    parts = name.split("/")
    problems = {
        "is an absolute path": name.startswith("/"),
        "leaves the folder with '..'": ".." in parts,
        "has an empty part or a '.' in its path": "" in parts or "." in parts,
        "is not UTF-8 text of one line": not name.replace("\u200c", "").replace("\u200d", "").isprintable(),
    }
    for problem in (problem for problem, there in problems.items() if there):
        raise DataError(f"the name {quoted(name)} {problem}", where=shard.url, remedy=_PACK_AGAIN)
    return name


def _label(name: str, file: "_Ranges", member: tarfile.TarInfo) -> str | None:
    if member.size > _LONGEST_LABEL_FILE:
        return None
    file.seek(member.offset_data)
    content = file.read(member.size)
    with suppress(ValueError):
        if name.lower().endswith(".json"):
            top = parse_json(content)
            label = top.get("label") if isinstance(top, dict) else None
            text = str(label) if type(label) in (str, int) else ""
        else:
            text = content.decode("utf-8-sig").strip()
        return text if 0 < len(text) <= _LONGEST_LABEL else None
    return None


class _Ranges:
    """What `tarfile` needs of a file, out of ranges of one; never more than a little at a time."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._place = self._first = 0
        self._held = b""
        self.at_end = False  # whether more was asked for than there is

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> int:
        self._place = place
        return place

    def read(self, count: int) -> bytes:
        if not 0 <= count <= _LONGEST_READ:
            raise tarfile.ReadError(f"a header of {count:,} bytes")
        start = self._place - self._first
        if not 0 <= start <= start + count <= len(self._held):
            self._first, start = self._place, 0
            self._held = self._shard.read(self._place, max(count, self._shard.ahead))
        found = self._held[start : start + count]
        self._place += len(found)
        self.at_end = self.at_end or len(found) < count
        return found
