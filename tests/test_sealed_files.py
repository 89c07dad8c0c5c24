from pathlib import Path

import numpy as np
import pytest

from essential.errors import CheckpointError, StoreError
from essential.sealed_files import map_sealed, read_metadata, read_sealed, sealed_size, write_sealed

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


def test_a_map_shows_the_same_numbers_without_reading_them(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_sealed(path, ARRAYS)
    mapped = map_sealed(path, "a", StoreError)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, ARRAYS["a"])
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 1


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
        map_sealed(path, "a", StoreError)


def test_a_missing_file_and_a_foreign_file_are_named(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    with pytest.raises(StoreError, match=r"nothing\.safetensors is missing"):
        read_metadata(tmp_path / "nothing.safetensors", StoreError)
    save_file({"a": ARRAYS["a"]}, tmp_path / "foreign.safetensors")
    with pytest.raises(StoreError, match=r"foreign\.safetensors carries no checksum"):
        read_sealed(tmp_path / "foreign.safetensors", StoreError)
