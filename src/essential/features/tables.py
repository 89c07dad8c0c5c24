"""The frame features of many videos at one view, read by row: from memory, or from a store through memory maps."""

import ctypes
import mmap
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from essential.errors import StoreError
from essential.features.index import Located, StoreIndex, stamp_of, with_checked_seals
from essential.protocols.protocol import Video

# Takes the numbers of rows; gives a copy of these rows, in the type they are kept in.
Reader = Callable[[Int64[np.ndarray, " batch"]], Float[np.ndarray, "batch frames dim"]]

_MAP_FIXED = 0x10  # of Linux and macOS alike; Python does not name it
_TYPES = {2: np.float16, 4: np.float32}


class FrameTable:
    """Frame features of `videos`, one a row; `read` gives rows: of an array in memory, its `__getitem__`."""

    def __init__(self, videos: Sequence[Video], read: Reader) -> None:
        self.videos = tuple(videos)
        self._read = read

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.videos)

    def rows(self, indices: Int64[Tensor, " batch"]) -> Float[Tensor, "batch frames dim"]:
        """Return the features of these rows, as float32, in the order asked; repeats are allowed."""
        return torch.from_numpy(self._read(indices.numpy())).float()


def map_shards(found: Located) -> "ShardMaps":
    """Map the shards of these videos; a StoreError if one is damaged or changed, or the system maps no more."""
    numbers = np.unique(found.index.shards_at(found.places)).tolist()
    index = with_checked_seals(found.index, numbers)
    try:
        return ShardMaps(index, numbers)
    except OSError as error:
        raise StoreError(
            f"the {len(numbers)} shards of {index.store.path} cannot be mapped into memory ({error.strerror})",
            remedy="raise the limit of address space (ulimit -v) or of maps (sysctl vm.max_map_count), or extract "
            "again with more videos a shard (-s features.shard_videos=N)",
        ) from error


class ShardMaps:
    """Shards mapped side by side into one range of addresses, so that a batch of rows is one indexing operation.

    An item is as long as a row, and each begins one number behind the item before, so that every row of every shard is
    an item; numpy copies items faster than rows of numbers. No file stays open. A page of a shard is read when a row on
    it is first asked for, into the system's page cache. An OSError says that the system does not map as many.
    """

    def __init__(self, index: StoreIndex, numbers: Collection[int]) -> None:
        self._shards = np.array(sorted(numbers), np.int64)
        layouts = index.layouts[self._shards]
        self._frames, self._dim, itemsize = _shape(index, layouts)
        pages = -(-index.stamps[self._shards, 0] // mmap.PAGESIZE) * mmap.PAGESIZE
        offsets = np.cumsum([0, *pages.tolist()], dtype=np.int64)
        # Readable and never written to: what no shard covers is zeros, and takes no memory.
        area = mmap.mmap(-1, max(int(offsets[-1]), mmap.PAGESIZE), flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
        address = np.frombuffer(area, np.uint8).ctypes.data
        for number, offset in zip(self._shards.tolist(), offsets.tolist(), strict=False):
            _map_at(address + offset, index, number)
        self._row = self._frames * self._dim
        self._type = np.dtype(_TYPES[itemsize])
        count = max(0, len(area) // itemsize - self._row + 1)
        self._items: Any = np.ndarray(count, f"V{self._row * itemsize}", buffer=area, strides=(itemsize,))
        # A shard that is not mapped lies past the end, so that asking for it is an error.
        self._first = np.full(len(index.plan), np.iinfo(np.int64).max // 2, np.int64)
        self._first[self._shards] = (offsets[:-1] + layouts[:, 0]) // itemsize
        self._views = np.ones(len(index.plan), np.int64)
        self._views[self._shards] = layouts[:, 2]
        self._index = index

    def reader(self, places: Int64[np.ndarray, " rows"], view: int) -> Reader:
        """Return what reads one view of the videos at `places`."""
        shards = self._index.shards_at(places)
        rows_before = (places - self._index.starts[shards]) * self._views[shards] + view
        first = self._first[shards] + rows_before * self._row
        return lambda rows: self._items[first[rows]].view(self._type).reshape(len(rows), self._frames, self._dim)


def _shape(index: StoreIndex, layouts: Int64[np.ndarray, "shards 6"]) -> tuple[int, int, int]:
    """Return (frames, dim, bytes of a number), the same for all shards of a store."""
    shapes = np.unique(layouts[:, 3:], axis=0)
    if len(shapes) > 1:
        raise StoreError(
            f"the shards of {index.store.path} differ in shape or type; delete the store and extract again"
        )
    frames, dim, itemsize = shapes[0].tolist() if len(shapes) else (1, 1, 4)
    return frames, dim, itemsize


def _open(index: StoreIndex, number: int) -> int:
    """Open a shard's file; a StoreError if it is not the file that the index knows."""
    path = index.store.shard_path(index.plan[number])
    with suppress(FileNotFoundError):
        handle = os.open(path, os.O_RDONLY)
        if stamp_of(os.fstat(handle)) == tuple(index.stamps[number].tolist()):
            return handle
        os.close(handle)
    raise StoreError(f"{path} changed after the store was opened; run the same command again")


def _map_at(address: int, index: StoreIndex, number: int) -> None:
    """Map a shard's file to `address`; an OSError if the system refuses."""
    handle, size = _open(index, number), int(index.stamps[number, 0])
    try:
        given = _system_mmap()(address, size, mmap.PROT_READ, mmap.MAP_SHARED | _MAP_FIXED, handle, 0)
    finally:
        os.close(handle)
    if given != address:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@cache
def _system_mmap() -> Any:
    """Return the C library's mmap: Python's own takes no address."""
    function = ctypes.CDLL(None, use_errno=True).mmap
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    return function
