"""The embedded benchmarks `moving-digits` and `moving-digits-untrimmed`: handwritten digits that move, as video files.

A class is a digit with a motion, such as `2-left`. Motions come in opposite pairs that no single frame and no unordered
set of frames can separate. The files are made on the user's machine from a seed; each clip has a random stream of its
own, so that clips do not depend on one another or on the order in which they are made.
"""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from essential.configs.schema import Section
from essential.errors import DataError
from essential.files.atomic import folder_lock, sha256_of_file, sha256_of_json, write_bytes, write_json
from essential.files.untrusted import read_json
from essential.progress import QUIET, Progress
from essential.protocols.digit_frames import (
    MOTIONS,
    Frames,
    draw_frames,
    draw_progress,
    draw_scene,
    draw_trajectory,
    scans,
)
from essential.protocols.protocol import Split, Video
from essential.seeding import numpy_generator

MARKER = "moving-digits.json"
# Raise it with any change to what a config draws, so that a folder of the older kind is not taken for the new one.
_VERSION = 2
# Digits in the order in which a config takes them: the first show a turn clearly, 0 hardly does.
_DIGITS = (2, 3, 4, 7, 5, 6, 9, 1, 8, 0)
_AVI_EVERY = 4

Container = Literal["mp4", "avi"]
# The same frames give the same bytes. For H.264 this needs the encoder's lookahead switched off: on frames of 64 pixels
# it was seen to read uninitialised memory.
_X264 = "rc-lookahead=0:mbtree=0:scenecut=0:b-adapt=0:weightp=0"
# MPEG-4 part 2 in AVI, with B-frames, is what UCF101 and HMDB51 have.
_CODECS: dict[Container, tuple[Literal["libx264", "mpeg4"], dict[str, str]]] = {
    "mp4": ("libx264", {"preset": "veryfast", "crf": "22", "bf": "2", "x264-params": _X264}),
    "avi": ("mpeg4", {"bf": "2", "qmin": "3", "qmax": "3"}),
}
FRAMES_PER_SECOND = 25


class MovingDigitsConfig(Section):
    """What `make_moving_digits` draws. Each digit makes eight classes, one for each motion."""

    digits: int = Field(default=3, ge=1, le=len(_DIGITS), description="How many of the ten digits move.")
    train_clips_per_class: int = Field(default=40, ge=1, le=9999, description="Training clips of each class.")
    test_clips_per_class: int = Field(default=20, ge=1, le=9999, description="Test clips of each class.")
    frames: int = Field(default=28, ge=8, le=1000, description="Frames of each clip; twice as many if untrimmed.")
    size: int = Field(default=64, ge=32, le=512, multiple_of=2, description="Width and height of a frame in pixels.")
    untrimmed: bool = Field(
        default=False,
        description="Let the motion fill only a random part, 35% to 60%, of a clip twice as long; "
        "before and after it the digit is still and faint.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of everything that is drawn.")


class _Clip(NamedTuple):
    split: Split
    digit: int
    motion: str
    number: int

    @property
    def label(self) -> str:
        return f"{self.digit}-{self.motion}"

    @property
    def container(self) -> Container:
        return "avi" if self.number % _AVI_EVERY == _AVI_EVERY - 1 else "mp4"

    @property
    def name(self) -> str:
        """The file's path relative to the root."""
        return f"{self.split}/{self.label}/{self.number:04d}.{self.container}"


def make_moving_digits(
    root: Path,
    config: MovingDigitsConfig,
    *,
    workers: int,
    progress: Progress = QUIET,
) -> None:
    """Write the clips of `config` to `root/train/<class>/*` and `root/test/<class>/*`.

    Each file appears whole or not at all: call again to complete a killed call. A folder that already holds the clips
    of the same config is checked against its checksum and left as it is.

    Args:
        root: the folder; made if it is missing.
        config: what to draw; the same config gives the same bytes under the same library versions.
        workers: threads; the result does not depend on their number.
        progress: shows how many clips are there.

    Raises:
        DataError: the folder holds something else, the clips of another config, or damaged clips.
        InUseError: another process is writing there.
    """
    _refuse_other_files(root)
    # A lock of its own name: a run in the same folder holds the usual one.
    with folder_lock(root, name=".lock-videos"):
        recorded_checksum = _claim(root, config)
        clips = _clips(config)
        missing = [clip for clip in clips if not (root / clip.name).exists()]
        there = len(clips) - len(missing)
        progress.advance(there, total=len(clips))

        def write(clip: _Clip) -> None:
            write_bytes(root / clip.name, encode(_draw_clip(clip, config), clip.container))

        # Threads are enough: drawing and encoding release the interpreter's lock.
        executor = ThreadPoolExecutor(max(1, workers))
        try:
            for done, _ in enumerate(executor.map(write, missing), there + 1):
                progress.advance(done, total=len(clips))
        finally:
            executor.shutdown(cancel_futures=True)
        checksum = sha256_of_json({clip.name: sha256_of_file(root / clip.name) for clip in clips})
        if recorded_checksum not in (None, checksum):
            raise DataError(
                f"{root} is damaged: its clips do not match the checksum; delete the folder and make it again"
            )
        if recorded_checksum is None:
            _mark(root, config, checksum)


def videos_to_make(config: MovingDigitsConfig) -> list[Video]:
    """Return the clips of `config` by their names, whether they are there or not."""
    return [Video(clip.name, clip.name, clip.label, clip.split) for clip in _clips(config)]


def _refuse_other_files(root: Path) -> None:
    """Refuse a folder without the marker that is not empty, hidden files apart."""
    if (root / MARKER).exists() or not root.is_dir():
        return
    others = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    if others:
        raise DataError(
            f"{root} already holds {others[0]!r}, so moving-digits cannot be made there; choose an empty folder. "
            "To learn from the videos in it, add -s data.kind=folder"
        )


def _claim(root: Path, config: MovingDigitsConfig) -> str | None:
    """Mark the folder with `config`, or check that it is so marked; return the checksum if it was complete."""
    path = root / MARKER
    if not path.exists():
        _mark(root, config, None)
        return None
    try:
        found = read_json(path)
        holds, checksum = {"version": found["version"], **found["config"]}, found["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as cause:
        remedy = f"delete the folder {root} and make it again"
        raise DataError(f"{path} cannot be read ({cause!r})", remedy=remedy) from cause
    for key, value in {"version": _VERSION, **config.model_dump()}.items():
        if holds.get(key) != value:
            raise DataError(
                f"{root} holds moving-digits with {key}={holds.get(key)}, not {key}={value}; "
                "choose another folder, or delete this one"
            )
    return None if checksum is None else str(checksum)


def _mark(root: Path, config: MovingDigitsConfig, checksum: str | None) -> None:
    write_json(root / MARKER, {"version": _VERSION, "config": config.model_dump(), "sha256": checksum})


def _clips(config: MovingDigitsConfig) -> list[_Clip]:
    counts: dict[Split, int] = {"train": config.train_clips_per_class, "test": config.test_clips_per_class}
    return [
        _Clip(split, digit, motion, number)
        for split, count in counts.items()
        for digit, motion, number in product(_DIGITS[: config.digits], MOTIONS, range(count))
    ]


def _draw_clip(clip: _Clip, config: MovingDigitsConfig) -> Frames:
    generator = numpy_generator("moving-digits", config.seed, clip.split, clip.label, clip.number)
    progress = draw_progress(generator, config.frames * (1 + config.untrimmed), untrimmed=config.untrimmed)
    trajectory = draw_trajectory(clip.motion, generator, progress=progress)
    choices = scans(clip.digit, clip.split)
    scan = choices[generator.integers(len(choices))]
    return draw_frames(np.asarray(scan), trajectory, draw_scene(generator, config.size), generator)


def encode(frames: Frames, container: Container) -> bytes:
    """Return a video file; the height and width of the frames are even."""
    import av

    target = BytesIO()
    codec, options = _CODECS[container]
    with av.open(target, "w", format=container, options={"fflags": "+bitexact"}) as file:
        stream = file.add_stream(codec, rate=FRAMES_PER_SECOND, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        if codec == "mpeg4":
            stream.codec_context.codec_tag = "XVID"
        stream.thread_count = 1  # the bytes must not depend on the machine's cores
        for image in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    return target.getvalue()
