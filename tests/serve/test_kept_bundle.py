"""The bundle and those before it: what undo puts back, also after a restart, and never another's work."""

from pathlib import Path

import pytest

from essential.errors import FileSystemError
from essential.files.atomic import file_lock
from essential.serve.kept_bundle import KeptBundle
from essential.serve.messages import Refusal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "actions.bundle"
    path.write_bytes(b"0")
    return path


def _change(kept: KeptBundle, content: bytes) -> None:
    kept.new_path.write_bytes(content)
    kept.replace()


def test_changes_are_undone_one_by_one_after_a_restart_too(path: Path) -> None:
    kept = KeptBundle(path)
    assert not kept.can_undo
    for content in (b"1", b"2"):
        _change(kept, content)
    again = KeptBundle(path)
    for content in (b"1", b"0"):
        assert again.can_undo
        again.undo()
        assert path.read_bytes() == content
    with pytest.raises(Refusal, match="nothing to undo"):
        again.undo()
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name]


def test_the_last_three_alone_are_kept(path: Path) -> None:
    kept = KeptBundle(path)
    for number in range(1, 7):
        _change(kept, str(number).encode())
    assert len(list(path.parent.iterdir())) == 4
    for number in (5, 4, 3):
        kept.undo()
        assert path.read_bytes() == str(number).encode()
    assert not kept.can_undo


def test_a_change_that_was_undone_and_made_again_is_undone_again(path: Path) -> None:
    kept = KeptBundle(path)
    for _ in range(3):
        _change(kept, b"1")
        kept.undo()
        assert path.read_bytes() == b"0"


def test_what_something_else_wrote_is_not_undone(path: Path) -> None:
    _change(KeptBundle(path), b"1")
    path.write_bytes(b"of another command")
    assert not KeptBundle(path).can_undo


def test_a_disk_that_refuses_leaves_the_bundle(path: Path) -> None:
    kept = KeptBundle(path)
    kept.new_path.write_bytes(b"1")
    in_the_way = kept._predecessor_of(kept.new_path)
    in_the_way.mkdir()
    with pytest.raises((FileSystemError, OSError)):
        kept.replace()
    assert path.read_bytes() == b"0"


def test_the_rest_of_a_change_that_was_broken_off_is_removed(path: Path) -> None:
    left = KeptBundle(path).new_path
    half = left.with_name(f".{left.name}.abcdefgh.tmp")
    for each in (left, half):
        each.write_bytes(b"half")
    KeptBundle(path)
    assert not left.exists()
    left.write_bytes(b"half")
    with file_lock(path):
        assert {each.name for each in path.parent.iterdir()} == {path.name, f".{path.name}.lock"}
