"""Whether a camera of 320x240 at 30 frames a second is kept up with: answers given of those due, latency, and work.

A clip (MP4, H.264) is played at its own rate through the thread that reads a camera, and recognised as `essential
predict --camera` does: windows of 2 seconds, an answer every half second. Decoding is part of the work. Latency is from
the arrival of a window's newest frame to the answer; it is compared with the time between two answers. Work is the
processor time of the whole process for a second of the camera, compared with a second of one core: on two cores, 1
leaves one of them free.
"""

import math
import statistics
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import av
import numpy as np
from decoding import write_moving_texture
from measuring import Result, main

from essential import VideoLearner
from essential.engine.allocator import keep_freed_memory
from essential.learner.live import WINDOW_SECONDS, LiveRecogniser
from essential.video.camera import Arrival, Camera

_ENCODERS = ("tiny", "efficientnet-lite0")
_SIZE, _RATE, _SECONDS, _EVERY = (320, 240), 30, 20.0, 0.5
_FRAMES = 8


def measure() -> Sequence[Result]:
    """Measure both encoders."""
    keep_freed_memory()  # as the command line does
    with tempfile.TemporaryDirectory() as folder:
        clip = write_moving_texture(Path(folder) / "v.mp4", 4 * _RATE, size=_SIZE, codec="libx264", options={})
        return [result for encoder in _ENCODERS for result in _measured(encoder, clip)]


def _played(clip: Path) -> Generator[Arrival, None, None]:
    """Play a clip again and again, each frame when it is due."""
    began, number = time.monotonic(), 0
    while True:
        with av.open(str(clip)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            for frame in container.decode(video=0):
                time.sleep(max(0.0, began + number / _RATE - time.monotonic()))
                yield Arrival(time.monotonic(), frame)
                number += 1


def _recogniser(encoder: str) -> LiveRecogniser:
    learner = VideoLearner(encoder=encoder, method="slda", overrides=[f"video.frames={_FRAMES}"])
    draw, dim = np.random.default_rng(0), learner.encoder.dim
    learner.learn_features({name: draw.random((10, _FRAMES, dim), np.float32) for name in ("a", "b", "c")})
    recogniser = learner.live(window_seconds=WINDOW_SECONDS, every_seconds=_EVERY)
    # What is used first takes longer.
    for number in range(2 * _FRAMES):
        recogniser.push(np.zeros((*_SIZE[::-1], 3), np.uint8), -1000 + number * recogniser.frame_seconds)
    return recogniser


def _measured(encoder: str, clip: Path) -> list[Result]:
    recogniser = _recogniser(encoder)
    latencies = []
    used_before, repeated_before = recogniser.used, recogniser.repeated
    with closing(Camera("a clip", _played(clip))) as camera:
        began, work = time.monotonic(), time.process_time()
        for pixels, seconds in camera.frames(every_seconds=recogniser.frame_seconds, most=_FRAMES):
            recogniser.add(pixels, seconds)
            if recogniser.answers_due > camera.is_waiting:
                answer = recogniser.answer()
                assert answer is not None, "it is due"
                latencies.append(time.monotonic() - answer.seconds)
            if seconds > began + _SECONDS:
                break
        work = time.process_time() - work
    due = math.floor((_SECONDS - WINDOW_SECONDS) / _EVERY)
    latencies.sort()
    high = latencies[math.ceil(0.95 * len(latencies)) - 1]
    detail: dict[str, float | str] = {
        "answers": len(latencies),
        "seconds from a window's newest frame to the answer, median": statistics.median(latencies),
        "frames received": camera.received,
        "frames used": recogniser.used - used_before,
        "frames needed and dropped": camera.dropped,
        "frames repeated": recogniser.repeated - repeated_before,
    }
    name = f"a camera of 320x240 at 30 a second, {encoder}"
    return [
        Result(f"{name}: answers given, over those due", len(latencies) / due, ">=", 0.95, detail=detail),
        Result(f"{name}: 95th percentile of latency, over the time between answers", high / _EVERY, "<=", 1.0),
        Result(f"{name}: work on a second of it, over a second of one core", work / _SECONDS, "<=", 1.0),
    ]


if __name__ == "__main__":
    main(measure, __doc__)
