"""Arrays on disk: safetensors files that carry a checksum of their content, the seal.

Shards, checkpoints, memory, predictions and bundles are such files. A damaged file is refused by name; nothing is
unpickled. Large shards are read through a memory map, after their seal was checked once.
"""

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialize

from essential.errors import EssentialError
from essential.files.atomic import write_bytes
from essential.files.given import plain_file
from essential.files.untrusted import parse_json

Array = np.ndarray[Any, np.dtype[Any]]
# One key: the library writes several in an order that changes from call to call.
_KEY = "essential"
_HEADER_LENGTH = struct.Struct("<Q")
# What the format allows.
_LONGEST_HEADER = 100_000_000
_TYPES = {
    **{"F16": "<f2", "F32": "<f4", "F64": "<f8", "BOOL": "|b1"},
    **{f"I{bits}": f"<i{bits // 8}" for bits in (16, 32, 64)},
    **{f"U{bits}": f"<u{bits // 8}" for bits in (16, 32, 64)},
    **{"I8": "|i1", "U8": "|u1"},
}
_BLOCK = 1 << 20
_AGAIN = "delete it and run again"


def write_sealed(path: Path, arrays: Mapping[str, Array], metadata: Any = None) -> int:
    """Write `arrays` and JSON `metadata` to `path`, whole or not at all; return the file's bytes."""
    plain, note = _plain(arrays, metadata)
    content = serialize(plain, _notes(note, _seal(plain, note)))
    write_bytes(path, content)
    return len(content)


def sealed_size(arrays: Mapping[str, Array], metadata: Any = None) -> int:
    """Return the bytes that `write_sealed` would write, without writing."""
    plain, note = _plain(arrays, metadata)
    return len(serialize(plain, _notes(note, "0" * 2 * hashlib.sha256().digest_size)))


def _plain(arrays: Mapping[str, Array], metadata: Any) -> tuple[dict[str, Array], str]:
    note = json.dumps(metadata, sort_keys=True, ensure_ascii=False)
    return {name: np.asarray(array, order="C") for name, array in arrays.items()}, note


@contextmanager
def _damage_named(path: Path, error: type[EssentialError]) -> Iterator[None]:
    """Turn whatever is raised while a file is read into an `error` that names it."""
    try:
        yield
    except FileNotFoundError:
        raise error(f"{path} is missing") from None
    except OSError as cause:
        raise error(f"{path} cannot be read ({cause}); check that it is a file you may read, and the disk") from cause
    except (SafetensorError, struct.error, ValueError, LookupError, TypeError, AttributeError) as cause:
        raise error(f"{path} is damaged and cannot be read ({cause})", remedy=_AGAIN) from cause


def read_sealed(path: Path, error: type[EssentialError]) -> tuple[dict[str, Array], Any]:
    """Read the arrays and the metadata of a sealed file, and check the seal.

    Raises:
        error: the file is missing, cut short, or not as it was written.
    """
    with _damage_named(path, error):
        with safe_open(plain_file(path), "numpy") as file:
            notes = file.metadata()
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        note, seal = _read_notes(path, notes, error)
        _check_same(path, error, found=_seal(arrays, note), seal=seal)
        return arrays, parse_json(note)


class SealedHeader(NamedTuple):
    """The head of a sealed file: metadata as text (`note`) and parsed, the seal, and the place of each array."""

    note: str
    seal: str
    arrays: dict[str, "ArrayPlace"]
    metadata: Any


class ArrayPlace(NamedTuple):
    """An array's bytes in the file: from `first` to `last`, which is excluded."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    first: int
    last: int


def read_sealed_header(path: Path, error: type[EssentialError]) -> SealedHeader:
    """Read the head of a sealed file and no array. The seal is not checked.

    Raises:
        error: the file is missing, or its header is damaged or does not fit its size.
    """
    with _damage_named(path, error):
        header, start = _read_header(path)
        note, seal = _read_notes(path, header.pop("__metadata__", None), error)
        arrays = {name: _array_place(entry, start) for name, entry in header.items()}
        if max((array.last for array in arrays.values()), default=start) != path.stat().st_size:
            raise error(f"{path} is damaged: it is cut short, or longer than it was", remedy=_AGAIN)
        return SealedHeader(note, seal, arrays, parse_json(note))


def check_seal(path: Path, error: type[EssentialError]) -> str:
    """Return the seal of a file after checking it as `read_sealed` does, but block by block, which needs no memory."""
    header = read_sealed_header(path, error)
    digest = hashlib.sha256(header.note.encode())
    block = memoryview(bytearray(_BLOCK))
    with _damage_named(path, error), plain_file(path).open("rb", buffering=0) as file:
        for name, array in sorted(header.arrays.items()):
            digest.update(f"{name}|{array.dtype.str}|{array.shape}".encode())
            file.seek(array.first)
            left = array.last - array.first
            while left and (count := file.readinto(block[: min(left, _BLOCK)])):
                digest.update(block[:count])
                left -= count
    _check_same(path, error, found=digest.hexdigest(), seal=header.seal)
    return header.seal


def _array_place(entry: Mapping[str, Any], start: int) -> ArrayPlace:
    shape, (first, last) = tuple(entry["shape"]), entry["data_offsets"]
    dtype = np.dtype(_TYPES[entry["dtype"]])
    if not all(type(number) is int and number >= 0 for number in (*shape, first, last)):
        raise ValueError("an array's place is not in whole numbers")
    if last - first != dtype.itemsize * math.prod(shape):
        raise ValueError("an array's place does not fit its shape")
    return ArrayPlace(dtype, shape, start + first, start + last)


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    with plain_file(path).open("rb") as file:
        (length,) = _HEADER_LENGTH.unpack(file.read(_HEADER_LENGTH.size))
        if length > min(path.stat().st_size, _LONGEST_HEADER):
            raise ValueError("the header is longer than the file, or than any is")
        return dict(parse_json(file.read(length))), _HEADER_LENGTH.size + length


def _check_same(path: Path, error: type[EssentialError], *, found: str, seal: str) -> None:
    if found != seal:
        raise error(f"{path} is damaged: its content does not match its checksum", remedy=_AGAIN)


def _seal(arrays: Mapping[str, Array], note: str) -> str:
    digest = hashlib.sha256(note.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}|{array.dtype.str}|{array.shape}".encode())
        digest.update(np.asarray(array, order="C").data if array.size else b"")
    return digest.hexdigest()


def _notes(note: str, seal: str) -> dict[str, str]:
    return {_KEY: json.dumps({"metadata": note, "sha256": seal}, ensure_ascii=False)}


def _read_notes(path: Path, notes: Mapping[str, str] | None, error: type[EssentialError]) -> tuple[str, str]:
    if not notes or _KEY not in notes:
        raise error(f"{path} carries no checksum; it was not written by essential, or its header is damaged")
    content = parse_json(notes[_KEY])
    return str(content["metadata"]), str(content["sha256"])
