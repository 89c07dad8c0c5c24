"""What is said of a video file or a folder of frames, and what of one that cannot be read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from essential.video.check import CheckedFile, probe
from essential.video.worker_pool import Lost
from video_files import cut_short, numbered_frame, write_numbered_video, write_sound


@pytest.mark.parametrize(
    ("name", "codec", "format_name", "expected"),
    [
        ("v.mp4", "libx264", "mov,mp4,m4a,3gp,3g2,mj2", "h264"),
        ("v.avi", "mpeg4", "avi", "mpeg4"),
        ("v.mkv", "libx264", "matroska,webm", "h264"),
    ],
)
def test_a_file(name: str, codec: str, format_name: str, expected: str, tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / name, 30, size=(80, 48), codec=codec, rate=15)
    assert probe(path) == CheckedFile(
        file=str(path),
        format=format_name,
        codec=expected,
        width=80,
        height=48,
        rate=15.0,
        pictures=30,
        seconds=2.0,
        size_bytes=path.stat().st_size,
    )


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_folder_of_frames(suffix: str, tmp_path: Path) -> None:
    for number in range(1, 6):
        Image.fromarray(numbered_frame(number)).save(tmp_path / f"img_{number:05d}.{suffix}")
    (tmp_path / "flow_x_00001.jpg").touch()
    (tmp_path / "notes.txt").touch()
    codec = {"jpg": "jpeg", "png": "png"}[suffix]
    size = sum(path.stat().st_size for path in tmp_path.glob("img_*"))
    expected = CheckedFile(
        file=str(tmp_path), format="frames", codec=codec, width=64, height=48, pictures=5, size_bytes=size
    )
    assert probe(tmp_path) == expected


def _empty(path: Path) -> None:
    path.touch()


def _noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(4096))


def _cut_avi(path: Path) -> None:
    write_numbered_video(path.with_suffix(".avi"), 60, codec="mpeg4").rename(path)
    cut_short(path, 0.8)


def _folder_without_images(path: Path) -> None:
    path.mkdir()


def _folder_with_a_damaged_frame(path: Path) -> None:
    path.mkdir()
    for number in (1, 2):
        (path / f"img_{number:05d}.jpg").write_bytes(b"\xff\xd8\xff no frame")


def _nothing(path: Path) -> None:
    assert not path.exists()


def _sound(path: Path) -> None:
    write_sound(path.with_suffix(".wav")).rename(path)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (_nothing, "there is no such file"),
        (_empty, "it is empty (0 bytes)"),
        (_noise, "not a video, or damaged"),
        (_cut_avi, "it is damaged or cut short: it promises about 59 frames and gives 39"),
        (_sound, "it holds no video stream, only audio"),
        (_folder_without_images, "it holds 0 frames"),
        (_folder_with_a_damaged_frame, "img_00001.jpg cannot be decoded ("),
    ],
)
def test_what_cannot_be_read_is_said_shortly(make: Callable[[Path], None], expected: str, tmp_path: Path) -> None:
    path = tmp_path / "v"
    make(path)
    result = probe(path)
    assert isinstance(result, Lost)
    assert result.reason.startswith(expected)
    assert "expected" not in result.reason


def test_a_name_that_is_too_long_is_a_problem_too(tmp_path: Path) -> None:
    assert probe(tmp_path / ("x" * 300)) == Lost("it cannot be opened (File name too long)")
