"""A camera for a browser of tests: it shows a video of ours, again and again."""

from collections.abc import Sequence
from pathlib import Path

import av

from video_files import Pixels

RATE = 25


def write_camera_file(path: Path, images: Sequence[Pixels]) -> Path:
    """Write RGB frames (H, W, 3) as the raw video that Chromium takes for a camera (Y4M without a tag of colours)."""
    height, width = images[0].shape[:2]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{RATE}:1\n".encode())
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            file.write(b"FRAME\n" + frame.to_ndarray().tobytes())
    return path


def camera_flags(video: Path) -> list[str]:
    """Return the flags of a browser that has this camera and lets every page use it."""
    fake = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    return [*fake, f"--use-file-for-fake-video-capture={video}"]


def frames_of(clip: Path, *, size: tuple[int, int]) -> list[Pixels]:
    """Return the frames of a clip, RGB, in a size (width, height)."""
    with av.open(str(clip)) as container:
        return [
            frame.reformat(width=size[0], height=size[1], format="rgb24").to_ndarray()
            for frame in container.decode(video=0)
        ]
