"""8 frames of a 10 s, 340x256 video, decoded, scaled and cropped as the extraction does, against decoding it alone.

The yardstick is PyAV that decodes every picture of the file and does nothing with them, on one thread, as our workers
have one each. Ours is `read_views` for the plain view: the packets surveyed, the pictures decoded that are wanted or
referred to, eight converted to RGB, scaled, cropped and normalised. It may be above 1: half of the MP4's pictures, and
two thirds of the AVI's, are B-pictures that no other refers to.

Found by profiling, and what each gave on the AVI file, of about 33 ms of mere decoding:

- normalising one plane after the other, in place, and not three interleaved colours: 1.8 ms, the same pixels;
- adding the packets' times up as whole numbers, not as fractions: 0.7 ms;
- no copy of a single view: 0.8 ms; copying the converted pictures once, not twice: 0.5 ms;
- a table of 256 values for each colour in place of normalising: 0.8 ms slower with NumPy, 2.8 ms with torch; left;
- decoding the packets that the survey read, not opening and reading the file again: 1.2 ms (MP4: 1.8 ms);
- no `frame.side_data` of each picture, which holds the picture that holds it until the garbage collector comes, so that
  the decoder gets no memory back: 4.3 ms;
- times as quotients of whole numbers, not of fractions: 0.4 ms;
- B-pictures that are not wanted left out: 13 ms (MP4: 4 ms for 3 seconds);
- what remains: 1.4 ms for the survey, 2 ms for the eight pictures, 2.3 ms for the view.
"""

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from measuring import Result, main, ratios_in_turns, seconds
from torch.nn.functional import interpolate

from essential.protocols.protocol import Video
from essential.video.config import AugmentConfig, PixelFormat
from essential.video.views import ViewRequest, read_views

RATE, SECONDS, SIZE = 30, 10, (340, 256)
PLAIN = ViewRequest(
    frames=8,
    view_numbers=(0,),
    seed=0,
    pixel_format=PixelFormat(224, (0.48, 0.46, 0.41), (0.27, 0.26, 0.28), "bicubic"),
    augment=AugmentConfig(),
)
CODECS: dict[str, dict[str, Any]] = {
    "MP4": {"name": "v.mp4", "codec": "libx264", "options": {"g": "250"}},
    "AVI": {"name": "v.avi", "codec": "mpeg4", "options": {"g": "12", "bf": "2", "b": "800k"}},
}


def measure() -> list[Result]:
    """Measure both kinds of file."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        return [_measure_file(kind, Path(folder), **settings) for kind, settings in CODECS.items()]


def write_moving_texture(
    path: Path, frames: int, *, size: tuple[int, int], codec: str, options: dict[str, str]
) -> Path:
    """Write a video of a texture that moves behind another one, under grain that changes."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number, planes in enumerate(_pictures(frames, *size)):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def decode_all(path: Path) -> int:
    """Decode every picture on one thread, and return how many there are."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"
        return sum(1 for _ in container.decode(stream))


def _measure_file(kind: str, folder: Path, *, name: str, codec: str, options: dict[str, str]) -> Result:
    path = write_moving_texture(folder / name, RATE * SECONDS, size=SIZE, codec=codec, options=options)
    video = Video(name, str(path), "moving", "test")
    taken: dict[str, float] = {}

    def raw() -> float:
        taken["raw"] = min(seconds(lambda: decode_all(path)) for _ in range(3))
        return taken["raw"]

    def ours() -> float:
        taken["ours"] = min(seconds(lambda: read_views(video, PLAIN)) for _ in range(3))
        return taken["ours"]

    ours()
    ratio, spread = ratios_in_turns(raw, ours, turns=9)
    return Result(
        f"decode, sample and scale over raw decode, {kind}",
        ratio,
        ">=",
        0.8,
        spread=spread,
        detail={
            "raw decode, s": taken["raw"],
            "ours, s": taken["ours"],
            "Mbit/s": path.stat().st_size * 8e-6 / SECONDS,
        },
    )


def _pictures(frames: int, width: int, height: int) -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Give the planes of each picture one below the other: brightness, then both colours at half the size."""
    draw = np.random.default_rng(0)
    back, front = _texture(draw, 2 * height, 2 * width), _texture(draw, height // 3, width // 3)
    colour = _texture(draw, height // 2, width // 2).astype(np.uint8)
    grain = draw.normal(0, 2, (height + 64, width + 64)).round().astype(np.int16)
    for number in range(frames):
        shift = number // 2
        luma = np.roll(back, (-shift, -shift), (0, 1))[:height, :width]
        top = height // 4 + int(height / 5 * np.sin(number / 17))
        left = width // 4 + int(width / 5 * np.cos(number / 23))
        luma[top : top + height // 3, left : left + width // 3] = front
        y, x = draw.integers(0, 64, 2)
        luma = (luma + grain[y : y + height, x : x + width]).clip(16, 235).astype(np.uint8)
        chroma = np.roll(colour, -shift // 2, 1).ravel()
        yield np.concatenate([luma.ravel(), chroma, chroma]).reshape(height * 3 // 2, width)


def _texture(draw: np.random.Generator, height: int, width: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Draw brightness that changes much over long distances and little over short ones, as in photographs."""
    texture = np.full((height, width), 128.0)
    for step, strength in ((128, 40), (32, 20), (8, 8), (3, 3)):
        grid = torch.from_numpy(draw.standard_normal((1, 1, height // step + 2, width // step + 2)))
        texture += strength * interpolate(grid, size=(height, width), mode="bicubic")[0, 0].numpy()
    return texture.clip(16, 235).astype(np.int16)


if __name__ == "__main__":
    main(measure, __doc__)
