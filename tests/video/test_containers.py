"""Which files are opened at all, which of their tracks is read, and how it is turned."""

import errno
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from special_files import refer_to, turn_frames

from essential.errors import DataError, VideoError
from essential.features.config import FeaturesConfig
from essential.features.pipeline import reading
from essential.protocols.protocol import Video
from essential.video.check import probe
from essential.video.config import AugmentConfig, PixelFormat
from essential.video.container import survey_file
from essential.video.decode import decode_groups, read_frames
from essential.video.views import ViewRequest
from essential.video.windows import WindowedVideo
from essential.video.worker_pool import Lost
from video_files import numbered_frame, read_number, write_numbered_video

REQUEST = ViewRequest(
    frames=2,
    view_numbers=(0,),
    seed=0,
    pixel_format=PixelFormat(size=16, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bilinear"),
    augment=AugmentConfig(),
)
STRANGERS: dict[str, Callable[[Path], str]] = {
    "concat": lambda other: f"ffconcat version 1.0\nfile '{other.name}'\n",
    "itself": lambda _: "ffconcat version 1.0\nfile 'v.mp4'\n",
    "long": lambda other: "ffconcat version 1.0\n" + f"file '{other.name}'\n" * 20_000,
    "hls": lambda other: f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{other}\n#EXT-X-ENDLIST\n",
    "dash": lambda other: f'<?xml version="1.0"?>\n<MPD><Period><BaseURL>{other}</BaseURL></Period></MPD>\n',
    "session": lambda _: "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "subtitles": lambda _: "1\n00:00:00,000 --> 00:00:02,000\nwords\n\n" * 3,
    "graph": lambda other: f"movie={other}",
    "page": lambda _: "<!doctype html><script>alert(1)</script>",
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_what_points_elsewhere_is_refused_and_stops_no_other_clip(kind: str, tmp_path: Path) -> None:
    other = write_numbered_video(tmp_path / "other.mp4", 6)
    path = tmp_path / "v.mp4"
    path.write_text(STRANGERS[kind](other))
    items = [(Video(file.name, str(file), "", "test"), REQUEST) for file in (path, other)]
    read = [one for _, one in reading(items, largest=REQUEST, workers=0, config=FeaturesConfig(), identify=None)]
    assert [one.clips is None for one in read] == [True, False]
    assert read[0].note.broken is not None
    assert "not a video" in read[0].note.broken
    assert "not a video" in str(probe(path))
    with pytest.raises(VideoError, match="not a video"):
        WindowedVideo(path, frames=2, window_seconds=1, stride_seconds=1)


def test_an_mp4_whose_frames_are_in_another_file_is_refused(tmp_path: Path) -> None:
    other = write_numbered_video(tmp_path / "other.mp4", 20)
    path = refer_to(write_numbered_video(tmp_path / "v.mp4", 20), other)
    with av.open(str(path), options={"enable_drefs": "1", "use_absolute_path": "1"}) as container:
        assert sum(1 for packet in container.demux(video=0) if packet.size) == 20  # FFmpeg would go there if asked to
    with pytest.raises(VideoError, match="it holds 0 frames"):
        read_frames(path, lambda _: [0])


def test_a_pattern_names_no_frames(tmp_path: Path) -> None:
    for number in range(1, 4):
        Image.fromarray(numbered_frame(number)).save(tmp_path / f"{number}.png")
    with pytest.raises(VideoError, match="there is no such file"):
        read_frames(tmp_path / "%d.png", range)


def test_an_animated_webp_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "v.webp"
    images = [Image.fromarray(numbered_frame(number)) for number in range(4)]
    images[0].save(path, save_all=True, append_images=images[1:])
    with pytest.raises(VideoError, match="FFmpeg has no decoder for animated WebP"):
        read_frames(path, range)
    assert probe(path) == Lost("FFmpeg has no decoder for animated WebP")
    images[0].save(path)
    with pytest.raises(VideoError, match="an image, a text or a playlist"):
        read_frames(path, range)


def test_an_animated_gif_is_read(tmp_path: Path) -> None:
    images = [Image.fromarray(numbered_frame(number)) for number in range(4)]
    images[0].save(tmp_path / "v.gif", save_all=True, append_images=images[1:])
    frames = read_frames(tmp_path / "v.gif", range).frames
    assert [read_number(frame) for frame in frames] == [0, 1, 2, 3]


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
def test_want_of_file_handles_is_the_machines_fault(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_numbered_video(tmp_path / "v.mp4", 3)

    def refuse(*_: object) -> None:
        raise OSError(code, "Too many open files")

    monkeypatch.setattr(Path, "open", refuse)
    for read in (lambda: read_frames(path, range), lambda: probe(path)):
        with pytest.raises(DataError, match="a reason that is not the file's: Too many open files"):
            read()


def test_an_error_of_input_that_is_ffmpegs_own_is_the_files_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so of damaged files too, and the disk is fine; where the disk is not, the file cannot be read at all."""
    path = write_numbered_video(tmp_path / "v.mp4", 3)

    def refuse(*_: object, **__: object) -> None:
        raise av.error.OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(VideoError, match="Input/output error"):
        read_frames(path, range)
    monkeypatch.setattr("essential.video.frames._can_be_read", lambda _: False)
    with pytest.raises(DataError, match="a reason that is not the file's: Input/output error"):
        read_frames(path, range)


@pytest.mark.parametrize(("defaults", "expected"), [((1,), 1), ((0,), 0), ((), 0), ((0, 1), 0)])
def test_the_default_track_is_read(defaults: tuple[int, ...], expected: int, tmp_path: Path) -> None:
    sources = [write_numbered_video(tmp_path / f"{width}.mkv", 10, size=(width, 48)) for width in (64, 96)]
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w", options={"default_mode": "passthrough"}) as new:
        opened = [av.open(str(source)) for source in sources]
        streams = [new.add_stream_from_template(old.streams.video[0]) for old in opened]
        for place, stream in enumerate(streams):
            stream.disposition = av.stream.Disposition(int(place in defaults))
        for old, stream in zip(opened, streams, strict=True):
            for packet in old.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    new.mux(packet)
            old.close()
    width = (64, 96)[expected]
    assert read_frames(path, lambda count: [0, count - 1]).frames.shape == (2, 48, width, 3)
    assert probe(path).width == width
    size = PixelFormat(size=8, mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="bilinear")
    video = WindowedVideo(path, frames=2, window_seconds=1, stride_seconds=1)
    assert len(list(video.clips(np.array([video.windows[0].frames]), size))) == 1


@pytest.mark.parametrize("turned", [{0}, {0, 12, 24}])
def test_an_orientation_that_comes_with_the_first_frame_holds_for_all(turned: set[int], tmp_path: Path) -> None:
    plain = write_numbered_video(tmp_path / "plain.h264", 30, b_frames=0)
    path = turn_frames(plain, tmp_path / "v.h264", numbers=turned)
    expected = np.rot90(read_frames(plain, range).frames, 2, axes=(1, 2))
    np.testing.assert_array_equal(read_frames(path, range).frames, expected)
    some = read_frames(path, lambda _: [5, 20]).frames
    np.testing.assert_array_equal(some, expected[[5, 20]])


def test_an_orientation_that_comes_later_is_refused(tmp_path: Path) -> None:
    plain = write_numbered_video(tmp_path / "plain.h264", 30, b_frames=0)
    path = turn_frames(plain, tmp_path / "v.h264", numbers={12})
    with pytest.raises(VideoError, match=r"the orientation of its frames changes after 1[0-9] frames"):
        read_frames(path, lambda _: [0])


def test_an_orientation_holds_where_only_groups_of_frames_are_decoded(tmp_path: Path) -> None:
    plain = write_numbered_video(tmp_path / "plain.h264", 60, b_frames=0)
    path = turn_frames(plain, tmp_path / "v.mkv", numbers={0}, degrees=90)
    notes, whole = survey_file(path).notes, read_frames(path, range).frames
    assert whole.shape == (60, 64, 48, 3)
    some = decode_groups(path, notes, [0, 50])
    assert some is not None
    np.testing.assert_array_equal(some, whole[[0, 50]])
    later = turn_frames(plain, tmp_path / "later.mkv", numbers={49}, degrees=90)
    with pytest.raises(VideoError, match="the orientation of its frames changes"):
        read_frames(later, lambda _: [0, 50])
