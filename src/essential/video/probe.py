"""What a video is, without decoding it all: its codec, size, rate and length, or why it cannot be read."""

from dataclasses import dataclass
from pathlib import Path

from essential.errors import VideoError
from essential.video.container import broken, explained_errors, opened_video, survey_file
from essential.video.decode import check_count
from essential.video.frame_folder import numbered_images, read_frame_folder
from essential.video.identity import size_of
from essential.video.pictures import short_reason


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found out about a video; numbers are None where the file does not say them.

    Attributes:
        problem: why it cannot be read; None if it can, as far as its packets and its first picture show.
        format: the container, or `frames` for a folder of frames.
        codec: of the pictures.
        width: in pixels, before any rotation.
        height: likewise.
        rate: pictures per second.
        pictures: how many.
        seconds: its length.
        size_bytes: of the file, or of all frames.
    """

    problem: str | None = None
    format: str | None = None
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    rate: float | None = None
    pictures: int | None = None
    seconds: float | None = None
    size_bytes: int | None = None


def probe(path: Path) -> Probe:
    """Return what the video file, or folder of frames, is; what is wrong with it is in the result.

    Every packet is read and the first picture decoded; damage inside a later picture is not seen.

    Raises:
        DataError: see `refuse_machines_fault`.
    """
    try:
        with explained_errors(path, "it cannot be opened"):
            is_folder = path.is_dir()
        return _probe_frames(path) if is_folder else _probe_file(path)
    except VideoError as error:
        return Probe(problem=short_reason(str(error), path))


def _probe_file(path: Path) -> Probe:
    survey = survey_file(path)
    check_count(path, survey, survey.pictures)
    with opened_video(path) as (container, stream), explained_errors(path, "its first picture cannot be decoded"):
        first = next(container.decode(stream), None)
        if first is None:
            raise broken(path, "it holds no picture")
        rate = float(stream.average_rate) if stream.average_rate else None
        return Probe(
            format=container.format.name,
            codec=stream.codec_context.name,
            width=first.width,
            height=first.height,
            rate=rate,
            pictures=survey.pictures,
            seconds=survey.pictures / rate if rate else None,
            size_bytes=size_of(path),
        )


def _probe_frames(path: Path) -> Probe:
    read = read_frame_folder(path, lambda _: [0])
    files = numbered_images(path)
    return Probe(
        format="frames",
        codec="png" if files[0].name.lower().endswith(".png") else "jpeg",
        width=read.frames.shape[2],
        height=read.frames.shape[1],
        pictures=read.frame_count,
        size_bytes=sum(file.size_bytes for file in files),
    )
