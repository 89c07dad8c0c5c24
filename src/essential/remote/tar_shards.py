"""Videos in tar shards of WebDataset form, on this machine or in a bucket: names in the tar are the names of files.

A shard is never unpacked: of a video the range of its bytes is read.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO

from essential.errors import DataError
from essential.files.given import plain_file
from essential.remote.access import checked_url, read_range, scheme_of, status_of, write_block
from essential.remote.braces import expanded
from essential.remote.storage import Storage
from essential.remote.tar_index import BLOCK, Shard, TarIndex, is_header, tar_index
from essential.shown import named

_SCHEME = "tar"
# A place in a shard, the shard, and the name there.
_LOCATOR = re.compile(r"tar://([0-9]+)\+([0-9]+)@(.*?\.tar)!/(.*)", re.DOTALL)
_REQUESTS_AT_ONCE = 16
# What a request to a bucket costs in time, in bytes; a local file is asked in a moment.
_AHEAD, _AHEAD_LOCAL = 1 << 16, 1 << 12
_COPIED_AT_ONCE = 1 << 23
_SETTING = "data.url"


class TarShards(Storage):
    """The files in tar shards, `data.url=/data/train-{000..099}.tar` or such a URL: as one tree, each name once."""

    def __init__(self, url: str) -> None:
        self.places = [_checked(place) for place in expanded(url)]
        self._places = frozenset(self.places)
        super().__init__(url if scheme_of(url) else str(Path(url).absolute()))

    def files(self) -> Mapping[str, int]:
        """Return the bytes of each file, shard by shard.

        Raises:
            DataError: a shard is missing, or cannot be used (see `tar_index`); a name is in two shards.
        """
        return {name: size for name, (_, _, size) in self._members.items()}

    def locator(self, name: str) -> str:
        return _locator(*self._members.get(name, (self.places[0], 0, 0)), name)

    def name_of(self, locator: str) -> str:
        return _parsed(locator)[3]

    def holds(self, file: str) -> bool:
        return is_member(file) and _parsed(file)[2] in self._places

    @cached_property
    def indexes(self) -> Mapping[str, TarIndex]:
        """What each shard holds, by its path or URL."""
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            shards = list(pool.map(_opened, self.places))
            missing = [place for place, shard in zip(self.places, shards, strict=True) if shard is None]
            if missing:
                problem = f"{len(missing)} of {len(shards)} tar shards are missing: {named(missing)}"
                raise DataError(
                    problem, where=f"{_SETTING}={self.url}", remedy="put them there, or name those there are"
                )
            indexes = pool.map(tar_index, (shard for shard in shards if shard is not None))
            return dict(zip(self.places, indexes, strict=True))

    @cached_property
    def _members(self) -> dict[str, tuple[str, int, int]]:
        """The shard, first byte and bytes of each name."""
        members: dict[str, tuple[str, int, int]] = {}
        for place, index in self.indexes.items():
            for name, first, size in zip(index.names, index.firsts.tolist(), index.sizes.tolist(), strict=True):
                other = members.setdefault(name, (place, first, size))[0]
                if other is not place:
                    problem = f"the name {name!r} is in two shards, {other} and {place}"
                    raise DataError(problem, remedy="give each file a name of its own over all shards")
        return members


def is_member(file: str) -> bool:
    """Return whether a storage's locator names a file in a tar shard."""
    return file.startswith(f"{_SCHEME}://")


def member_size(locator: str) -> int:
    """Return the bytes of the file that a locator names."""
    return _parsed(locator)[1]


def shard_with(locator: str) -> str | None:
    """Return the shard that a locator's file was found in; None if it was in none."""
    first, _, place, _ = _parsed(locator)
    return None if first < BLOCK else place


def copy_member(locator: str, target: BinaryIO) -> None:
    """Write the file that a locator names into `target`, a block at a time; it is looked for where shards changed.

    Raises:
        FileNotFoundError: no shard holds the file, or the shard is gone.
        DataError: the shard is damaged, ends early, or cannot be read.
    """
    first, size, place, name = _parsed(locator)
    if first < BLOCK:
        raise FileNotFoundError(locator)
    start, problem = b"", DataError("its header is damaged", where=f"{place}, {name}", remedy="pack the shard again")
    try:
        start = _read(place, first + size, first - BLOCK, _COPIED_AT_ONCE)  # with the header, in one request
    except DataError as error:  # the shard is shorter now, or out of reach
        problem = error
    if not is_header(start[:BLOCK], name, size):
        now = _place_now(place, name)
        if now == (first, size):
            raise problem
        copy_member(_locator(place, *now, name), target)
        return
    write_block(target, start[BLOCK:])
    for place_of_block in range(first - BLOCK + len(start), first + size, _COPIED_AT_ONCE):
        write_block(target, _read(place, first + size, place_of_block, _COPIED_AT_ONCE))


def _place_now(place: str, name: str) -> tuple[int, int]:
    """Return the first byte and the bytes of a file in a shard that was packed anew since its locator was made."""
    shard = _opened(place)
    index = None if shard is None else tar_index(shard)
    if index is None or name not in index.names:
        raise FileNotFoundError(f"{place}, {name}")
    number = index.names.index(name)
    return int(index.firsts[number]), int(index.sizes[number])


def _locator(place: str, first: int, size: int, name: str) -> str:
    return f"{_SCHEME}://{first}+{size}@{place}!/{name}"


def _parsed(locator: str) -> tuple[int, int, str, str]:
    """Return the first byte, the bytes, the shard and the name."""
    match = _LOCATOR.fullmatch(locator)
    if match is None:
        raise ValueError(f"{locator!r} names no file in a tar shard")
    return int(match[1]), int(match[2]), match[3], match[4]


def _checked(place: str) -> str:
    if ".tar!/" in place or not place.endswith(".tar"):
        raise ValueError(f"{place} is no tar shard; give files that end in .tar, not compressed")
    return checked_url(place) if scheme_of(place) else str(Path(place).absolute())


def _opened(place: str) -> Shard | None:
    """Return a shard, its size asked for; None where there is none."""
    try:
        if scheme_of(place):
            size, version = status_of(place)
        else:
            found = plain_file(Path(place)).stat()
            size, version = found.st_size, str(found.st_mtime_ns)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(place, error) from None
    if size is None:
        raise DataError("the server does not say how long it is", where=place, remedy="copy it to a disk")
    return Shard(place, size, version, partial(_read, place, size), _AHEAD if scheme_of(place) else _AHEAD_LOCAL)


def _read(place: str, end: int, first: int, count: int) -> bytes:
    """Return bytes of a shard from `first` on: as many as asked for, or as there are before `end`."""
    count = min(count, end - first)
    if count <= 0:
        return b""
    if scheme_of(place):
        return read_range(place, first, first + count)
    try:
        with Path(place).open("rb", buffering=0) as file:
            file.seek(first)
            content = file.read(count)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(place, error) from None
    if len(content) < count:
        raise DataError("the shard was cut short while it was in use", where=place, remedy="run the same command again")
    return content


def _unreadable(place: str, error: OSError) -> DataError:
    return DataError(f"it cannot be read ({error.strerror})", where=place, remedy="make it readable")
