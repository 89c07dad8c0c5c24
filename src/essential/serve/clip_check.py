"""What a clip from a stranger must be before anything of it is decoded."""

from pathlib import Path

from essential.serve.limits import Limits
from essential.serve.refusal import Refusal
from essential.video.container import opened_video, survey_packets


def check_clip(path: Path, limits: Limits) -> None:
    """Refuse a clip that is too long, or whose pictures are too large.

    Raises:
        Refusal: it is.
        VideoError: it cannot be read.
    """
    with opened_video(path) as (container, stream):
        width, height = stream.codec_context.width, stream.codec_context.height
        if max(width, height) > limits.side:
            raise Refusal(
                422,
                "pictures_too_large",
                f"its pictures have {width} x {height} pixels, and a side of {limits.side} is allowed; scale it down",
            )
        seconds = survey_packets(path, container, stream).timing.end_seconds
    if seconds and seconds > limits.clip_seconds:
        raise Refusal(
            422,
            "clip_too_long",
            f"it is {seconds:.1f} seconds long, and {limits.clip_seconds:g} are allowed; cut it, or send a part of it",
        )
