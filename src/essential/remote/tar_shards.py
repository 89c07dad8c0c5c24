"""Videos in tar shards of WebDataset form, on this machine or in a bucket: names in the tar are the names of files.

A shard is never unpacked: of a video the range of its bytes is read.
"""

import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO

from essential.errors import DataError
from essential.remote.access import checked_url, copy_range, read_range, scheme_of, status_of
from essential.remote.braces import expanded
from essential.remote.storage import Storage
from essential.remote.tar_index import BLOCK, Shard, TarIndex, check_member, tar_index
from essential.shown import named

_SCHEME = "tar"
# A place in a shard, the shard, and the name there.
_LOCATOR = re.compile(r"tar://([0-9]+)\+([0-9]+)@(.*?\.tar)!/(.*)", re.DOTALL)
_REQUESTS_AT_ONCE = 16
# What a request to a bucket costs in time, in bytes; a local file is asked in a moment.
_AHEAD, _AHEAD_LOCAL = 1 << 16, 1 << 12
_COPIED_AT_ONCE = 1 << 20
_SETTING = "data.url"


class TarShards(Storage):
    """The files in tar shards, `data.url=/data/train-{000..099}.tar` or such a URL: as one tree, each name once."""

    def __init__(self, url: str) -> None:
        self.places = [_checked(place) for place in expanded(url)]
        super().__init__(url if scheme_of(url) else str(Path(url).absolute()))

    def files(self) -> Mapping[str, int]:
        """Return the bytes of each file, shard by shard.

        Raises:
            DataError: a shard is missing, or cannot be used (see `tar_index`); a name is in two shards.
        """
        return {name: size for name, (_, _, size) in self._members.items()}

    def locator(self, name: str) -> str:
        place, first, size = self._members.get(name, (self.places[0], 0, 0))
        return f"{_SCHEME}://{first}+{size}@{place}!/{name}"

    def name_of(self, locator: str) -> str:
        return _parsed(locator)[3]

    @cached_property
    def indexes(self) -> Mapping[str, TarIndex]:
        """What each shard holds, by its path or URL."""
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            shards = list(pool.map(_opened, self.places))
            missing = [place for place, shard in zip(self.places, shards, strict=True) if shard is None]
            if missing:
                problem = f"{len(missing)} of {len(shards)} tar shards are missing: {named(missing)}"
                raise DataError(problem, where=f"{_SETTING}={self.url}", remedy="put them there, or name those there are")
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


def copy_member(locator: str, target: BinaryIO) -> None:
    """Write the file that a locator names into `target`, a block at a time.

    Raises:
        FileNotFoundError: no shard holds the file, or the shard is gone.
        DataError: the shard is another one than when it was indexed, ends early, or cannot be read.
    """
    first, size, place, name = _parsed(locator)
    if first < BLOCK:
        raise FileNotFoundError(locator)
    where = f"{place}, {name}"
    if scheme_of(place):
        check_member(read_range(place, first - BLOCK, first), size, where)
        copy_range(place, first, first + size, target)
        return
    with Path(place).open("rb", buffering=0) as file:
        file.seek(first - BLOCK)
        check_member(file.read(BLOCK), size, where)
        while size and (block := file.read(min(size, _COPIED_AT_ONCE))):
            target.write(block)
            size -= len(block)
    if size:
        raise DataError("the shard ends early", where=where, remedy="copy it again, and run again")


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
            status = status_of(place)
            if status.size_bytes is None:
                raise DataError("the server does not say how long it is", where=place, remedy="copy it to a disk")
            return Shard(place, status.size_bytes, status.version, partial(_read_object, place, status.size_bytes), _AHEAD)
        found = os.stat(place)  # noqa: PTH116
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{place} cannot be read ({error.strerror}); make it readable") from None
    return Shard(place, found.st_size, str(found.st_mtime_ns), partial(_read_local, place), _AHEAD_LOCAL)


def _read_local(place: str, first: int, count: int) -> bytes:
    with Path(place).open("rb", buffering=0) as file:
        file.seek(first)
        return file.read(count)


def _read_object(url: str, size: int, first: int, count: int) -> bytes:
    return read_range(url, first, min(first + count, size)) if first < size else b""
