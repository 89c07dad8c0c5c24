"""A folder of numbered images is a video: in order, whole, and never given to FFmpeg."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from essential.errors import VideoError
from essential.protocols.protocol import Segment
from essential.video import container, frame_folder
from essential.video.decode import read_frames
from video_files import numbered_frame, read_number, write_frame_folder

NAMES = ["img_{:05d}.jpg", "image_{:05d}.jpg", "frame{:06d}.png", "{:05d}.jpg", "IMG-{}.JPEG", "{}.png"]


@pytest.fixture(autouse=True)
def no_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test fail if the decoder of video files is asked to open anything."""
    monkeypatch.setattr(container.av, "open", None)


def make(path: Path, frames: int, **settings: Any) -> Path:
    """Write a folder of numbered frames."""
    return write_frame_folder(path, [numbered_frame(number) for number in range(frames)], **settings)


def read_numbers(path: Path) -> list[int]:
    """Return the numbers of all frames, in order."""
    decoded = read_frames(path, range)
    assert decoded.frame_count == len(decoded.frames)
    return [read_number(frame) for frame in decoded.frames]


def expect_error(path: Path, reason: str) -> None:
    """Check that reading the first and last frame fails, naming the folder, the reason and what is allowed."""
    with pytest.raises(VideoError, match=reason) as caught:
        read_frames(path, lambda count: [count - 1, 0])
    assert str(caught.value).startswith(f"{path}: {caught.value.problem}; ")
    assert "expected a folder of 2 frames or more such as img_00001.jpg" in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("first", [0, 1, 97])
def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path, name: str, first: int) -> None:
    assert read_numbers(make(tmp_path / "v", 12, name=name, first=first)) == list(range(12))


def test_frames_are_exact_and_in_the_order_asked_for_with_repeats(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 24, 32, 3), np.uint8)
    folder = write_frame_folder(tmp_path / "v", images, name="{}.png")
    counts = []
    wanted = [8, 2, 2, 0]
    decoded = read_frames(folder, lambda count: counts.append(count) or wanted)
    np.testing.assert_array_equal(decoded.frames, images[wanted])
    assert decoded.frames.dtype == np.uint8
    assert decoded.frame_count == 9
    assert counts == [9]


def test_only_the_wanted_frames_are_decoded_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "v", 20)
    opened: list[str] = []
    open_image = Image.open

    def counted(path: Path, **settings: Any) -> Image.Image:
        opened.append(path.name)
        return open_image(path, **settings)

    monkeypatch.setattr(frame_folder.Image, "open", counted)
    read_frames(folder, lambda _: [7, 3, 7, 3, 19])
    assert opened == ["img_00004.jpg", "img_00008.jpg", "img_00020.jpg"]


@pytest.mark.parametrize(
    "name",
    [
        ".img_00002.jpg",
        "._img_00002.jpg",
        "flow_x_00002.jpg",
        "labels.txt",
        "00002.txt",
        "img_00002.jpg.bak",
        "cover.jpg",
        "2.gif",
        "img_00002 (1).jpg",
    ],
)
def test_what_is_no_frame_is_passed_over(tmp_path: Path, name: str) -> None:
    folder = make(tmp_path / "v", 3)
    (folder / name).write_bytes(b"something else")
    (folder / "7.png").mkdir()
    assert read_numbers(folder) == [0, 1, 2]


def test_links_to_images_are_images(tmp_path: Path) -> None:
    source = make(tmp_path / "source", 4)
    (tmp_path / "v").mkdir()
    for path in source.iterdir():
        (tmp_path / "v" / path.name).symlink_to(path)
    assert read_numbers(tmp_path / "v") == [0, 1, 2, 3]
    (source / "img_00002.jpg").unlink()
    expect_error(tmp_path / "v", "it lacks the numbers 2;")


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ([5], "5"),
        ([4, 5], "4 to 5"),
        ([3, 7, 8, 9], "3, 7 to 9"),
        ([2, 4, 6, 8, 10, 12, 14], "2, 4, 6, 8, 10, ..."),
    ],
)
def test_a_gap_names_the_missing_numbers(tmp_path: Path, lost: list[int], named: str) -> None:
    folder = make(tmp_path / "v", 15)
    for number in lost:
        (folder / f"img_{number:05d}.jpg").unlink()
    expect_error(folder, rf"between img_00001\.jpg and img_00015\.jpg it lacks the numbers {named};")


def test_an_enormous_gap_is_told_at_once(tmp_path: Path) -> None:
    folder = make(tmp_path / "v", 2)
    (folder / f"{10**200}.jpg").write_bytes(b"far away")
    expect_error(folder, r"it lacks the numbers 3 to 9{200};")


@pytest.mark.parametrize("other", ["img_2.jpg", "frame00002.png", "00002.jpg", "img_00002.JPG"])
def test_two_images_of_one_number_are_named(tmp_path: Path, other: str) -> None:
    folder = make(tmp_path / "v", 3)
    (folder / other).write_bytes((folder / "img_00001.jpg").read_bytes())
    with pytest.raises(VideoError, match="have the same number") as caught:
        read_numbers(folder)
    assert other in str(caught.value)
    assert "img_00002.jpg" in str(caught.value)


@pytest.mark.parametrize(("frames", "words"), [(0, "it holds 0 frames;"), (1, "it holds 1 frame;")])
def test_too_few(tmp_path: Path, frames: int, words: str) -> None:
    expect_error(make(tmp_path / "v", frames), words)


def test_another_size_is_named(tmp_path: Path) -> None:
    folder = make(tmp_path / "v", 3)
    Image.new("RGB", (32, 24)).save(folder / "img_00003.jpg")
    expect_error(folder, r"img_00001\.jpg is 64x48 pixels, img_00003\.jpg is 32x24;")


def test_an_empty_image_is_damage_wherever_it_is(tmp_path: Path) -> None:
    folder = make(tmp_path / "v", 5)
    (folder / "img_00003.jpg").write_bytes(b"")
    expect_error(folder, r"img_00003\.jpg is empty \(0 bytes\)")


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _text(content: bytes) -> bytes:
    return b"no image" * (len(content) // 8)


def _postscript(_: bytes) -> bytes:
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize("name", ["img_{:05d}.jpg", "img_{:05d}.png"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [(_cut, "cannot be decoded"), (_text, "it is neither JPEG nor PNG"), (_postscript, "it is neither JPEG nor PNG")],
)
def test_a_broken_image_is_named(tmp_path: Path, name: str, damage: Callable[[bytes], bytes], reason: str) -> None:
    folder = make(tmp_path / "v", 3, name=name)
    path = folder / name.format(3)
    path.write_bytes(damage(path.read_bytes()))
    expect_error(folder, rf"{name.format(3)} cannot be decoded \(.*")
    expect_error(folder, reason)


@pytest.mark.parametrize("name", ["img_{:05d}.jpg", "img_{:05d}.png"])
def test_damage_gives_frames_or_a_video_error(tmp_path: Path, name: str) -> None:
    folder = make(tmp_path / "v", 2, name=name)
    path = folder / name.format(1)
    whole = path.read_bytes()
    outcomes = []
    for seed in range(150):
        draw = np.random.default_rng(seed)
        content = bytearray(whole)
        for place in draw.integers(0, min(len(whole), 60 if seed % 2 else len(whole)), 1 + seed % 8):
            content[place] = draw.integers(256)
        path.write_bytes(content)
        try:
            outcomes.append(read_frames(folder, range).frames.shape[0] == 2)
        except VideoError as error:
            outcomes.append(str(folder) in str(error))
    assert outcomes == [True] * 150


def test_an_image_of_enormous_size_is_an_error(tmp_path: Path) -> None:
    folder = make(tmp_path / "v", 2, name="{}.png")
    content = bytearray((folder / "1.png").read_bytes())
    content[16:24] = (2**31 - 1).to_bytes(4, "big") * 2
    content[29:33] = frame_folder.zlib.crc32(content[12:29]).to_bytes(4, "big")
    (folder / "1.png").write_bytes(content)
    expect_error(folder, r"1\.png cannot be decoded \(Image size")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_kind_of_8_bits_becomes_rgb(tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    suffix = "jpg" if mode == "CMYK" else "png"
    for number, grey in enumerate((255, 0)):
        image = Image.new("RGB", (16, 16), (grey, grey, grey)).convert(mode)
        image.save(folder / f"{number}.{suffix}", **({"transparency": bytes(4)} if mode == "P" else {}))
    with Image.open(folder / f"0.{suffix}") as image:
        assert image.mode == mode
    np.testing.assert_allclose(read_frames(folder, range).frames.mean((1, 2, 3)), [255, 0], atol=1)


def test_more_than_8_bits_are_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "v", 2, name="{}.png")
    Image.fromarray(np.full((48, 64), 40000, np.uint16)).save(folder / "1.png")
    expect_error(folder, r"1\.png cannot be decoded \(its pixels are of kind I;16, not of 8 bits\)")


def test_exif_rotation_is_not_applied(tmp_path: Path) -> None:
    folder = make(tmp_path / "v", 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(numbered_frame(0)).save(folder / "img_00001.jpg", quality=95, exif=exif)
    assert read_numbers(folder) == [0, 1, 2]


def test_a_segment_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = make(tmp_path / "v", 3)
    with pytest.raises(
        VideoError, match=r"v: segment 1\.5-2\.0 s cannot be read: .* how many frames make a second; put the video file"
    ):
        read_frames(folder, range, segment=Segment(1.5, 2.0))


@pytest.mark.parametrize("wanted", [[], [-1], [3], [0, 99]])
def test_a_choice_outside_the_folder_is_a_mistake_of_the_caller(tmp_path: Path, wanted: list[int]) -> None:
    folder = make(tmp_path / "v", 3)
    with pytest.raises(ValueError, match=r"choose\(3\) gave .*from 0 to 2"):
        read_frames(folder, lambda _: wanted)


def test_a_folder_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    folder = make(tmp_path / "v", 3)
    monkeypatch.setattr(frame_folder.os, "scandir", refuse)
    expect_error(folder, r"it cannot be listed \(Permission denied\)")
