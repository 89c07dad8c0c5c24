"""Frames to the bytes of a video file, in the two kinds of file that action data sets are made of.

The same frames give the same bytes. For H.264 this needs the encoder's lookahead switched off: on frames of 64 pixels
it was seen to read memory that nobody had written.
"""

from io import BytesIO
from typing import Literal

import av
import numpy as np
from jaxtyping import UInt8

Images = UInt8[np.ndarray, "frames height width 3"]

FRAMES_PER_SECOND = 25
_H264 = {
    "preset": "veryfast",
    "crf": "22",
    "bf": "2",
    "x264-params": "rc-lookahead=0:mbtree=0:scenecut=0:b-adapt=0:weightp=0",
}
_MPEG4 = {"bf": "2", "qmin": "3", "qmax": "3"}


def h264_mp4(frames: Images) -> bytes:
    """Return an MP4 file with H.264 video, RGB frames of even height and width."""
    return _encode(frames, container="mp4", codec="libx264", options=_H264)


def mpeg4_avi(frames: Images) -> bytes:
    """Return an AVI file with MPEG-4 part 2 video with B-frames, of the family of UCF101 and HMDB51."""
    return _encode(frames, container="avi", codec="mpeg4", options=_MPEG4)


def _encode(frames: Images, *, container: str, codec: Literal["libx264", "mpeg4"], options: dict[str, str]) -> bytes:
    target = BytesIO()
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
