import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from essential.errors import CheckpointError, StoreError
from essential.files.sealed import (
    _notes,
    check_seal,
    read_sealed,
    read_sealed_header,
    sealed_size,
    write_sealed,
)

ARRAYS = {"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.array([7], dtype=np.uint16), "none": np.zeros(0)}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "x.safetensors"
    size = write_sealed(path, ARRAYS, {"who": "me", "n": [1, 2]})
    arrays, metadata = read_sealed(path, CheckpointError)
    assert metadata == {"who": "me", "n": [1, 2]}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    assert size == path.stat().st_size == sealed_size(ARRAYS, {"who": "me", "n": [1, 2]})
    assert [file.name for file in path.parent.iterdir()] == ["x.safetensors"]


def test_a_header_says_where_an_array_is(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_sealed(path, ARRAYS)
    array = read_sealed_header(path, StoreError).arrays["a"]
    mapped = np.memmap(path, array.dtype, "r", array.first, array.shape)
    np.testing.assert_array_equal(mapped, ARRAYS["a"])


@pytest.mark.parametrize("where", ["header", "first number", "last byte"])
def test_a_flipped_bit_is_found(tmp_path: Path, where: str) -> None:
    path = tmp_path / "x.safetensors"
    write_sealed(path, {"a": ARRAYS["a"]}, {"n": 1})
    content = bytearray(path.read_bytes())
    place = {"header": content.index(b'"n'), "first number": len(content) - 48, "last byte": len(content) - 1}[where]
    content[place + (2 if where == "header" else 0)] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.safetensors is damaged"):
        read_sealed(path, CheckpointError)


@pytest.mark.parametrize("length", [0, 5, 60, -1])
def test_a_file_cut_short_is_refused_by_every_reader(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.safetensors"
    write_sealed(path, {"a": ARRAYS["a"]})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(StoreError, match=r"x\.safetensors is damaged"):
        read_sealed(path, StoreError)
    with pytest.raises(StoreError, match=r"x\.safetensors is damaged"):
        read_sealed_header(path, StoreError)


DEEP = "[" * 3000 + "]" * 3000


def _write_with_header(path: Path, header: str) -> None:
    path.write_bytes(struct.pack("<Q", len(header.encode())) + header.encode())


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "U8", "shape": [-1, -1], "data_offsets": [0, 1]},
        {"dtype": "U8", "shape": [1.0], "data_offsets": [0, 1]},
        {"dtype": "U8", "shape": [True], "data_offsets": [0, 1]},
        {"dtype": "U8", "shape": [0], "data_offsets": [-5, -5]},
        {"dtype": "U8", "shape": "1", "data_offsets": [0, 1]},
        {"dtype": "X8", "shape": [0], "data_offsets": [0, 0]},
        {"dtype": "U8", "shape": [0]},
        "a",
    ],
)
def test_an_array_in_no_place_is_refused(tmp_path: Path, entry: object) -> None:
    path = tmp_path / "x.safetensors"
    _write_with_header(path, json.dumps({"__metadata__": _notes("{}", "0"), "a": entry}))
    for read in (read_sealed, read_sealed_header, check_seal):
        with pytest.raises(StoreError, match=r"x\.safetensors is damaged"):
            read(path, StoreError)


@pytest.mark.parametrize(
    "header",
    [
        DEEP,
        json.dumps({"__metadata__": {"essential": DEEP}}),
        json.dumps({"__metadata__": _notes(DEEP, hashlib.sha256(DEEP.encode()).hexdigest())}),
        json.dumps({"__metadata__": _notes("{", hashlib.sha256(b"{").hexdigest())}),
        json.dumps({"__metadata__": _notes("9" * 5000, hashlib.sha256(b"9" * 5000).hexdigest())}),
        '{"a": ' + "9" * 5000 + "}",
    ],
)
def test_a_header_or_note_that_no_writer_makes_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "x.safetensors"
    _write_with_header(path, header)
    for read in (read_sealed, read_sealed_header, check_seal):
        with pytest.raises(StoreError, match=r"x\.safetensors (is damaged|carries no checksum)"):
            read(path, StoreError)


def test_a_missing_file_and_a_foreign_file_are_named(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    with pytest.raises(StoreError, match=r"nothing\.safetensors is missing"):
        read_sealed_header(tmp_path / "nothing.safetensors", StoreError)
    save_file({"a": ARRAYS["a"]}, tmp_path / "foreign.safetensors")
    with pytest.raises(StoreError, match=r"foreign\.safetensors carries no checksum"):
        read_sealed(tmp_path / "foreign.safetensors", StoreError)
