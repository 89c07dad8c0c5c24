"""How fast a long video is encoded in overlapping windows, against encoding each window as a clip of its own.

A real video (MP4, H.264, 340x256, 30 frames a second) in windows of 2 seconds goes through a small and a middle-sized
network with random weights. The way before decodes the video once too, in the same thread, and encodes the eight frames
of each window. Ours encodes each frame once, and a second thread decodes the next ones meanwhile. With a quarter of a
window as stride two of a window's eight frames are new, with half a window four: the encoder has a fourth or half of
the work, the decoder the same. Where the encoder costs next to nothing there is nothing to gain.

Seconds of a core for 40 seconds of 320x240 in windows of 2 seconds, stride a quarter, as (decoding and scaling) +
(encoding): `mobilenetv2_035` 0.53 + 2.24 before and 0.46 + 0.57 now, `tf_efficientnet_lite0` 0.52 + 8.28 and
0.51 + 2.25, the embedded `tiny` 0.50 + 0.26 and 0.49 + 0.07. So two free cores could give 4.8, 3.9 and 1.5, and one
that others leave free 2.7, 3.2 and 1.4.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from decoding import CODECS, RATE, SIZE, write_moving_texture
from measuring import Result, main, ratios_in_turns, seconds

from essential.encoders import EncoderConfig, build_encoder
from essential.encoders.base import Encoder
from essential.engine.allocator import keep_freed_memory
from essential.features.config import FeaturesConfig
from essential.features.cores import share_cores, torch_threads
from essential.features.pipeline import ClipEncoder
from essential.features.provenance import build_recipe
from essential.features.windows import window_features
from essential.progress import QUIET
from essential.video.config import AugmentConfig
from essential.video.windows import WindowedVideo

_ENCODERS = ("mobilenetv2_035", "tf_efficientnet_lite0")
_LENGTH, _WINDOW, _FRAMES, _TURNS = 40, 2.0, 8, 3
# What is asked of each stride, as a part of the window.
_BOUNDS = {0.25: 3.0, 0.5: 1.6}


def measure() -> Sequence[Result]:
    """Measure both networks and both strides."""
    keep_freed_memory()  # as the command line does
    with tempfile.TemporaryDirectory() as folder:
        options = CODECS["MP4"]["options"]
        path = write_moving_texture(Path(folder) / "v.mp4", RATE * _LENGTH, size=SIZE, codec="libx264", options=options)
        encoders = [build_encoder(EncoderConfig(name=name, weights="random")) for name in _ENCODERS]
        return [_measured(path, encoder, stride) for encoder in encoders for stride in _BOUNDS]


def _measured(path: Path, encoder: Encoder, stride: float) -> Result:
    video = WindowedVideo(path, frames=_FRAMES, window_seconds=_WINDOW, stride_seconds=stride * _WINDOW)
    numbers = np.array([window.frames for window in video.windows])
    recipe = build_recipe(FeaturesConfig(), encoder, augment=AugmentConfig(), frames=_FRAMES, seed=0)
    sharing = share_cores(None, recipe=recipe, views=1)
    rates: dict[str, list[float]] = {"before": [], "now": []}

    def batches() -> ClipEncoder:
        return ClipEncoder(encoder, frames=_FRAMES, batch_clips=None, precision="float32")

    def each_window() -> int:
        encoding = batches()
        clips = enumerate(video.clips(numbers, encoder.pixel_format))
        return sum(len(list(encoding.add(place, clip[None]))) for place, clip in clips) + len(list(encoding.finish()))

    def each_frame() -> int:
        features = window_features(video, batches(), recipe=recipe, workers=sharing.workers, progress=QUIET)
        return sum(map(len, features))

    def now() -> float:
        rates["now"].append(len(numbers) / seconds(each_frame))
        return rates["now"][-1]

    def before() -> float:
        rates["before"].append(len(numbers) / seconds(each_window))
        return rates["before"][-1]

    with torch_threads(sharing.threads):
        assert each_window() == each_frame() == len(numbers)
        ratio, spread = ratios_in_turns(now, before, turns=_TURNS)
    detail: dict[str, float | str] = {
        f"windows a second, {name}": sorted(found)[len(found) // 2] for name, found in rates.items()
    }
    detail |= {"frames encoded for a window": len(np.unique(numbers)) / len(numbers), "threads": sharing.threads}
    name = f"windows of {encoder.name}, stride {stride:g} of a window, over each window as a clip"
    return Result(name, ratio, ">=", _BOUNDS[stride], spread, detail)


if __name__ == "__main__":
    main(measure, __doc__)
