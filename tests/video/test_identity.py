"""Two videos have one identity if, and only if, they have the same content."""

import hashlib
from pathlib import Path

import pytest

from essential.video.frame_folder import identity_of, size_of
from video_files import numbered_frame, write_frame_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of 4 frames."""
    return write_frame_folder(tmp_path / "v", [numbered_frame(number) for number in range(4)])


def test_a_file_is_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"some content")
    assert identity_of(path) == (12, hashlib.sha256(b"some content").hexdigest())
    assert size_of(path) == 12


def test_a_folder_is_its_frames(folder: Path, tmp_path: Path) -> None:
    size, sha256 = identity_of(folder)
    assert size == size_of(folder) == sum(path.stat().st_size for path in folder.iterdir())
    moved = folder.rename(tmp_path / "elsewhere")
    (moved / "notes.txt").write_text("no frame")
    (moved / ".img_00001.jpg").write_text("hidden")
    assert identity_of(moved) == (size, sha256)
    assert size_of(moved) == size


def test_another_content_name_or_number_of_frames_is_another_video(folder: Path) -> None:
    seen = {identity_of(folder).sha256}
    first, second = folder / "img_00001.jpg", folder / "img_00002.jpg"
    content = first.read_bytes()
    first.write_bytes(content[:-1] + b"\0")
    seen.add(identity_of(folder).sha256)
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    seen.add(identity_of(folder).sha256)
    (folder / "img_00004.jpg").rename(folder / "img_00005.jpg")
    seen.add(identity_of(folder).sha256)
    second.unlink()
    seen.add(identity_of(folder).sha256)
    assert len(seen) == 5


def test_bytes_moved_from_one_frame_to_the_next_are_another_video(tmp_path: Path) -> None:
    identities = []
    for cut in (1, 2):
        (tmp_path / "1.jpg").write_bytes(b"abc"[:cut])
        (tmp_path / "2.jpg").write_bytes(b"abc"[cut:])
        identities.append(identity_of(tmp_path))
    assert identities[0].size_bytes == identities[1].size_bytes == 3
    assert identities[0].sha256 != identities[1].sha256


def test_a_damaged_folder_still_has_an_identity(folder: Path) -> None:
    (folder / "img_00002.jpg").write_bytes(b"")
    (folder / "img_00003.jpg").unlink()
    assert identity_of(folder).size_bytes == size_of(folder) > 0


def test_what_is_not_there_has_none(tmp_path: Path) -> None:
    for ask in (size_of, identity_of):
        with pytest.raises(FileNotFoundError):
            ask(tmp_path / "none")
