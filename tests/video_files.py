"""Small videos made by the tests. The number of each frame is written into its pixels, as black and white blocks."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_ROWS, _COLUMNS = 3, 4
LARGEST_NUMBER = 2 ** (_ROWS * _COLUMNS) - 1


def numbered_frame(number: int, *, size: tuple[int, int] = (64, 48)) -> Pixels:
    """Return a grey frame (H, W, 3) of `size` (width, height) that carries a number from 0 to 4095."""
    assert 0 <= number <= LARGEST_NUMBER
    width, height = size
    bits = [number >> bit & 1 for bit in range(_ROWS * _COLUMNS)]
    blocks = np.array(bits, np.uint8).reshape(_ROWS, _COLUMNS) * 215 + 20
    rows = np.arange(height) * _ROWS // height
    columns = np.arange(width) * _COLUMNS // width
    return np.repeat(blocks[rows][:, columns, None], 3, axis=2)


def read_number(image: Pixels) -> int:
    """Return the number in a frame (H, W, 3) of any size, upright, that went through a codec."""
    height, width = image.shape[:2]
    number = 0
    for bit in range(_ROWS * _COLUMNS):
        row, column = divmod(bit, _COLUMNS)
        y, x = (2 * row + 1) * height // (2 * _ROWS), (2 * column + 1) * width // (2 * _COLUMNS)
        number |= int(image[y - 2 : y + 3, x - 2 : x + 3].mean() > 127) << bit
    return number


def write_video(
    path: Path,
    images: Sequence[Pixels],
    *,
    codec: str = "libx264",
    b_frames: int = 2,
    rate: int = 25,
    times: Sequence[int] | None = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """Write RGB frames (H, W, 3) to a video whose kind the suffix of `path` says, and return the path.

    Args:
        path: the file; its folder is made.
        images: of one even size.
        codec: an encoder's name; MPEG-4 in AVI is tagged XVID, as in UCF101.
        b_frames: B-frames between two others; 0 for a codec without them.
        rate: frames per second.
        times: each frame's time, in 1/rate seconds; one after the other by default.
        options: for the container, for example `{"movflags": "faststart"}`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=dict(options or {})) as container:
        stream = container.add_stream(codec, rate=rate, options=_codec_options(codec, b_frames))
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = 12
        stream.codec_context.max_b_frames = b_frames
        if codec == "mpeg4" and path.suffix == ".avi":
            stream.codec_context.codec_tag = "XVID"
        for time, image in zip(times or range(len(images)), images, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_numbered_video(path: Path, frames: int, *, size: tuple[int, int] = (64, 48), **settings: Any) -> Path:
    """Write a video of `frames` frames that carry the numbers 0, 1, 2, ...; see `write_video` for the settings."""
    return write_video(path, [numbered_frame(number, size=size) for number in range(frames)], **settings)


def write_frame_folder(path: Path, images: Iterable[Pixels], *, name: str = "img_{:05d}.jpg", first: int = 1) -> Path:
    """Write RGB frames as images, numbered from `first` on, and return the folder."""
    path.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images, first):
        Image.fromarray(image).save(path / name.format(number), quality=95)
    return path


def write_sound(path: Path, *, seconds: float = 0.5) -> Path:
    """Write a file that holds silence and no frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        silence = np.zeros((1, int(8000 * seconds)), np.int16)
        frame = av.AudioFrame.from_ndarray(silence, format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut_short(path: Path, share: float) -> Path:
    """Keep only the first `share` of a file's bytes, and return the path."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def turn(path: Path, *, matrix: tuple[int, int, int, int]) -> Path:
    """Write the matrix (a, b, c, d) into an MP4's track header: shown at (a x + c y, b x + d y), y downwards."""
    content = bytearray(path.read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", content, content.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def _codec_options(codec: str, b_frames: int) -> dict[str, str]:
    if codec == "libx264":  # without "b-adapt=0" it uses no B-frames where nothing moves smoothly
        return {"x264-params": f"b-adapt=0:bframes={b_frames}:threads=1"}
    return {"b_strategy": "0"} if codec == "mpeg4" else {}
