"""Tensors on disk under a seal: safetensors files that carry a checksum of their own content.

Used for shards, checkpoints, memory and predictions. A damaged file is refused with its name; nothing is
ever unpickled. Large shards are read through a memory map, after their seal was checked once.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialize

from essential.atomic_files import write_bytes
from essential.errors import EssentialError

Array = np.ndarray[Any, np.dtype[Any]]
# One key: the library writes several in an order that changes from call to call.
_KEY = "essential"
_HEADER_LENGTH = struct.Struct("<Q")


def write_sealed(path: Path, arrays: Mapping[str, Array], metadata: Any = None) -> int:
    """Write `arrays` and JSON `metadata` to `path`, whole or not at all; return the file's bytes."""
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    note = json.dumps(metadata, sort_keys=True, ensure_ascii=False)
    content = serialize(plain, _notes(note, _seal(plain, note)))
    write_bytes(path, content)
    return len(content)


def sealed_size(arrays: Mapping[str, Array], metadata: Any = None) -> int:
    """Return the bytes that `write_sealed` would write, without writing."""
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    note = json.dumps(metadata, sort_keys=True, ensure_ascii=False)
    return len(serialize(plain, _notes(note, "0" * 2 * hashlib.sha256().digest_size)))


def read_sealed(path: Path, error: type[EssentialError]) -> tuple[dict[str, Array], Any]:
    """Read every array and the metadata of a sealed file, and check the seal.

    Raises:
        error: the file is missing, cut short, or its content is not what was written.
    """
    try:
        with safe_open(path, "numpy") as file:
            notes = file.metadata()
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise error(f"{path} is missing") from None
    except (SafetensorError, OSError, ValueError) as cause:
        raise error(f"{path} is damaged and cannot be read ({cause}); delete it and run again") from cause
    note, seal = _read_notes(path, notes, error)
    if _seal(arrays, note) != seal:
        raise error(f"{path} is damaged: its content does not match its checksum; delete it and run again")
    return arrays, json.loads(note)


def map_sealed(path: Path, name: str, error: type[EssentialError]) -> Array:
    """Return array `name` of a sealed file as a read-only memory map. The seal is not checked here.

    Raises:
        error: the file is missing or its header does not fit its size.
    """
    header, start = _read_header(path, error)
    entry = header[name]
    first, last = entry["data_offsets"]
    if start + last > path.stat().st_size:
        raise error(f"{path} is damaged: it is cut short; delete it and run again")
    dtype = {"F32": np.float32, "F16": np.float16}[entry["dtype"]]
    return np.memmap(path, dtype=dtype, mode="r", offset=start + first, shape=tuple(entry["shape"]))


def read_metadata(path: Path, error: type[EssentialError]) -> Any:
    """Return only the metadata of a sealed file, reading no array."""
    header, _ = _read_header(path, error)
    return json.loads(_read_notes(path, header.get("__metadata__"), error)[0])


def seal_of(path: Path, error: type[EssentialError]) -> str:
    """Return the checksum that a sealed file carries, without checking its content against it.

    Raises:
        error: the file is missing, or its header is damaged.
    """
    header, _ = _read_header(path, error)
    return _read_notes(path, header.get("__metadata__"), error)[1]


def _read_header(path: Path, error: type[EssentialError]) -> tuple[dict[str, Any], int]:
    try:
        with path.open("rb") as file:
            (length,) = _HEADER_LENGTH.unpack(file.read(_HEADER_LENGTH.size))
            if length > path.stat().st_size:
                raise ValueError("the header is longer than the file")
            return json.loads(file.read(length)), _HEADER_LENGTH.size + length
    except FileNotFoundError:
        raise error(f"{path} is missing") from None
    except (struct.error, ValueError, OSError) as cause:
        raise error(f"{path} is damaged and cannot be read ({cause}); delete it and run again") from cause


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
    try:
        content = json.loads(notes[_KEY])
        return str(content["metadata"]), str(content["sha256"])
    except (ValueError, KeyError, TypeError) as cause:
        raise error(f"{path} is damaged: its metadata cannot be read; delete it and run again") from cause
