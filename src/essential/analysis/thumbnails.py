"""Thumbnails of clips, decoded in child processes: a video that hangs or kills its process costs only its own."""

import base64
import io
from collections.abc import Sequence
from contextlib import closing
from functools import partial

from PIL import Image

from essential.errors import VideoError
from essential.features.config import FeaturesConfig
from essential.features.cores import all_to_decode
from essential.protocols.protocol import Video
from essential.records.analysis import FRAMES_SHOWN
from essential.video.decode import read_frames
from essential.video.views import segment_indices
from essential.video.worker_pool import Lost, run_tasks

_SIDE = 96
_QUALITY = 75


def thumbnails(videos: Sequence[Video], *, frames: int, config: FeaturesConfig) -> list[tuple[str, ...]]:
    """Return, for each video, some of the `frames` frames of its clip as JPEG in base64; none if it cannot be read."""
    running = run_tasks(
        partial(_thumbnails, frames),
        videos,
        workers=max(1, min(len(videos), all_to_decode(config.workers).workers)),
        start=config.worker_start,
        seconds_limit=config.video_seconds_limit,
    )
    with closing(running):
        found = dict(running)
    results = (found[place] for place in range(len(videos)))
    return [() if isinstance(result, Lost) else result for result in results]


def _thumbnails(frames: int, video: Video) -> tuple[str, ...]:
    shown = segment_indices(frames, min(FRAMES_SHOWN, frames), generator=None)

    def choose(frame_count: int) -> list[int]:
        clip = segment_indices(frame_count, frames, generator=None)
        return [clip[index] for index in shown]

    try:
        decoded = read_frames(video.path, choose, segment=video.segment)
    except (VideoError, OSError):
        return ()
    return tuple(_jpeg(Image.fromarray(frame)) for frame in decoded.frames)


def _jpeg(image: Image.Image) -> str:
    image.thumbnail((_SIDE, _SIDE))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=_QUALITY)
    return base64.b64encode(content.getvalue()).decode()
