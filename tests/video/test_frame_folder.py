"""Folders of numbered images: the right frames in the right order, and damage named."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from essential.errors import VideoError
from essential.protocols.protocol import Segment
from essential.video.decode import read_frames
from essential.video.identity import sha256_of_video, size_bytes
from essential.video.probe import probe
from video_files import numbered_picture, read_number


def _folder(root: Path, names: str, *, frames: int = 12, first: int = 1) -> Path:
    root.mkdir()
    for number in range(frames):
        Image.fromarray(numbered_picture(number)).save(root / names.format(number + first))
    return root


@pytest.mark.parametrize("names", ["img_{:05d}.jpg", "frame{:06d}.png", "{}.JPG", "image-{}.jpeg"])
@pytest.mark.parametrize("first", [0, 1, 98])
def test_frames_are_in_the_order_of_their_numbers(names: str, first: int, tmp_path: Path) -> None:
    folder = _folder(tmp_path / "video", names, first=first)
    (folder / ".hidden_00099.jpg").write_text("no image")
    (folder / "notes.txt").write_text("no image")
    decoded = read_frames(folder, lambda count: [count - 1, 0, 5, 5])
    assert [read_number(frame) for frame in decoded.frames] == [11, 0, 5, 5]
    assert decoded.frame_count == 12
    assert decoded.frames.dtype == np.uint8
    if names.endswith("png"):
        assert np.array_equal(read_frames(folder, lambda _: [7]).frames[0], numbered_picture(7))


def test_a_grey_image_is_read_as_rgb(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "video", "{}.png")
    Image.fromarray(numbered_picture(3)[..., 0]).save(folder / "4.png")
    assert np.array_equal(read_frames(folder, lambda _: [3]).frames[0], numbered_picture(3))


def _deepen(folder: Path) -> None:
    Image.fromarray(np.full((48, 64), 40_000, np.uint16)).save(folder / "img_00003.jpg", format="png")


def _resize(folder: Path) -> None:
    Image.new("RGB", (32, 32)).save(folder / "img_00003.jpg")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "img_00005.jpg").unlink(), r"1 of its numbers from 1 to 12 are missing: 5;"),
        (
            lambda folder: [(folder / f"img_{n:05d}.jpg").unlink() for n in range(2, 10)],
            r"8 of its .*: 2, 3, 4, 5, 6, \.\.\.",
        ),
        (lambda folder: (folder / "img_3.jpg").touch(), r"img_00003\.jpg and img_3\.jpg have the same number 3"),
        (lambda folder: (folder / "img_00003.jpg").write_text("x"), r"img_00003\.jpg cannot be read"),
        (lambda folder: os.truncate(folder / "img_00003.jpg", 300), r"img_00003\.jpg cannot be read"),
        (_deepen, r"img_00003\.jpg has pixels of the kind I;16; 8 bits a channel are read"),
        (lambda folder: Image.new("RGB", (64, 48)).save(folder / "img_00003.jpg", format="gif"), "cannot be read"),
        (_resize, r"img_00003\.jpg is 32x32, img_00001\.jpg 64x48"),
    ],
)
def test_damage_is_named(damage: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path / "video", "img_{:05d}.jpg")
    damage(folder)
    with pytest.raises(VideoError, match=rf"cannot read video .*video: .*{message}"):
        read_frames(folder, range)


@pytest.mark.parametrize("frames", [0, 1])
def test_too_few_images(frames: int, tmp_path: Path) -> None:
    folder = _folder(tmp_path / "video", "{}.jpg", frames=frames)
    with pytest.raises(VideoError, match=rf"it holds {frames} numbered image"):
        read_frames(folder, range)


def test_an_image_that_nobody_asks_for_is_not_read(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "video", "{}.jpg")
    (folder / "3.jpg").write_text("x")
    assert [read_number(frame) for frame in read_frames(folder, lambda _: [1, 3]).frames] == [1, 3]


def test_a_folder_has_no_clock(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "video", "{}.jpg")
    with pytest.raises(VideoError, match="a folder of images has no clock; use the video file"):
        read_frames(folder, range, Segment(0.0, 1.0))


def test_an_index_outside_is_an_error(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "video", "{}.jpg")
    for wanted in ([12], [-1], []):
        with pytest.raises(ValueError, match="give one index or more, from 0 to 11"):
            read_frames(folder, lambda _, w=wanted: w)  # type: ignore[misc]


def test_a_folder_is_known_by_its_images(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "video", "{}.jpg")
    before = size_bytes(folder), sha256_of_video(folder)
    assert before[0] == sum(path.stat().st_size for path in folder.iterdir())
    (folder / "notes.txt").write_text("a note")
    assert (size_bytes(folder), sha256_of_video(folder)) == before
    same = _folder(tmp_path / "again", "{}.jpg")
    assert sha256_of_video(same) == before[1]
    content = bytearray((folder / "3.jpg").read_bytes())
    content[-1] ^= 1
    (folder / "3.jpg").write_bytes(content)
    assert size_bytes(folder) == before[0]
    assert sha256_of_video(folder) != before[1]
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    assert size_bytes(file) == 3
    assert sha256_of_video(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(FileNotFoundError):
        size_bytes(tmp_path / "none")


def test_a_probe_counts_and_measures(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "video", "img_{:05d}.jpg")
    found = probe(folder)
    assert (found.format, found.codec, found.width, found.height, found.pictures) == ("frames", "jpeg", 64, 48, 12)
    assert found.size_bytes == size_bytes(folder)
    (folder / "img_00005.jpg").unlink()
    assert "missing: 5" in str(probe(folder).problem)
