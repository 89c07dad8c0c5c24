"""What a clip from a stranger must be before anything of it is decoded."""

from pathlib import Path

import av

from essential.serve.limits import Limits
from essential.serve.refusal import Refusal
from essential.video.container import broken, explained_errors, opened_video, survey_packets
from essential.video.timing import video_seconds

# FFmpeg also reads playlists and scripts, which open other files of this machine, and addresses. These never do.
_SELF_CONTAINED = "mov,mp4,avi,matroska,webm,mpegts,mpeg,mpegvideo,ogg,flv,asf,mjpeg,m4v,h264,hevc,ivf,nut,mxf,gif,rm"


def check_clip(path: Path, limits: Limits) -> None:
    """Refuse a clip that is too long, whose pictures are too large, or whose container may point elsewhere.

    Raises:
        Refusal: it is.
        VideoError: it cannot be read.
    """
    if not path.stat().st_size:
        raise broken(path, "it is empty (0 bytes)")
    with explained_errors(path, "it is no video file that is complete in itself"):
        av.open(
            f"file:{path}",
            metadata_errors="ignore",
            options={"format_whitelist": _SELF_CONTAINED, "protocol_whitelist": "file"},
        ).close()
    with opened_video(path) as (container, stream):
        width, height = stream.codec_context.width, stream.codec_context.height
        if max(width, height) > limits.side:
            raise Refusal(
                422,
                "pictures_too_large",
                f"its pictures have {width} x {height} pixels, and a side of {limits.side} is allowed; scale it down",
            )
        seconds = video_seconds(survey_packets(path, container, stream).timing)
    if seconds and seconds > limits.clip_seconds:
        raise Refusal(
            422,
            "clip_too_long",
            f"it is {seconds:.1f} seconds long, and {limits.clip_seconds:g} are allowed; cut it, or send a part of it",
        )
