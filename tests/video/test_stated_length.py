"""A file that ends well before the length that it promises is cut short, in every container; no whole one is."""

import shutil
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from special_files import write_moving_video

from essential.errors import VideoError
from essential.video.check import CheckedFile, probe
from essential.video.decode import read_frames
from essential.video.windows import WindowedVideo
from essential.video.worker_pool import Lost
from video_files import cut_short

_X264, _VP9 = "libx264", "libvpx-vp9"
_FRAGMENTED = "frag_keyframe+empty_moov+default_base_moof"
_GROUPS = {"g": "12", "threads": "1", "deadline": "realtime", "cpu-used": "8"}
# By name: the encoder, and options of the container. Each keeps, before its frames, how long it is.
PROMISING = {
    "first.mp4": (_X264, {"movflags": "faststart"}),
    "last.mp4": (_X264, {}),
    "sidx.mp4": (_X264, {"movflags": "dash+global_sidx+frag_keyframe"}),
    "v.mov": (_X264, {"movflags": "faststart"}),
    "v.3gp": (_X264, {"movflags": "faststart"}),
    "v.mkv": (_X264, {}),
    "v.webm": (_VP9, {}),
    "v.avi": ("mpeg4", {}),
    "v.flv": (_X264, {}),
    "v.wmv": ("wmv2", {}),
    "v.asf": ("msmpeg4v3", {}),
    "v.mxf": ("mpeg2video", {}),
    "v.ivf": (_VP9, {}),
    "v.rm": ("rv10", {}),
}
# These keep none.
SILENT = {
    "v.ts": (_X264, {}),
    "v.m2ts": (_X264, {}),
    "v.mpg": ("mpeg2video", {}),
    "live.mkv": (_X264, {"live": "1"}),
    "fragmented.mp4": (_X264, {"movflags": _FRAGMENTED}),
    "v.h264": (_X264, {}),
    "v.ogg": ("libvpx", {}),
}
WHOLE = {
    "even": list(range(30)),
    "uneven": [0, 1, 2, 3, 10, 11, 12, 40, 41, 42, 43, 90],
    "late": list(range(50, 80)),
    "with a long last frame": [*range(9), 200],
    "of two frames": [0, 50],
}


Whole = Callable[[str, Path], Path]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Return a function that puts a whole file of 60 frames into a folder; each is made once."""
    folder = tmp_path_factory.mktemp("whole")

    def copy(name: str, into: Path) -> Path:
        if not (folder / name).exists():
            _write(folder / name, (PROMISING | SILENT)[name])
        return Path(shutil.copy(folder / name, into))

    return copy


def _write(path: Path, kind: tuple[str, dict[str, str]], *, times: list[int] | None = None) -> Path:
    codec, container = kind
    times = times or list(range(60))
    return write_moving_video(path, len(times), codec=codec, options=_GROUPS, times=times, container=container)


def _cut_before(path: Path, number: int) -> Path:
    """Cut a file where a packet begins; in its middle where no packet says where it begins."""
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size and packet.pos]
    return cut_short(path, places[number] / path.stat().st_size if number < len(places) else 0.5)


def _count(path: Path) -> int:
    return read_frames(path, lambda count: [0, count - 1]).frame_count


@pytest.mark.parametrize("number", [15, 24, 48])
@pytest.mark.parametrize("name", PROMISING)
def test_a_cut_between_two_frames_is_found(name: str, number: int, tmp_path: Path, whole: Whole) -> None:
    path = _cut_before(whole(name, tmp_path), number)
    with pytest.raises(VideoError, match=r"damaged|cut short|it cannot be|it holds 1 frame") as caught:
        _count(path)
    probed = probe(path)
    assert isinstance(probed, Lost)
    assert probed.reason in str(caught.value)
    with pytest.raises(VideoError, match=r"damaged|cut short|it cannot be|it holds 1 frame"):
        WindowedVideo(path, frames=2, window_seconds=1, stride_seconds=1)


def test_the_message_names_what_is_promised_and_what_is_there(tmp_path: Path, whole: Whole) -> None:
    path = _cut_before(whole("v.flv", tmp_path), 24)
    with pytest.raises(VideoError, match=r"it promises about (58|59|60) frames and gives 24;"):
        _count(path)


@pytest.mark.parametrize("name", SILENT)
def test_what_promises_nothing_is_read_to_where_it_was_cut(name: str, tmp_path: Path, whole: Whole) -> None:
    """As the documents say; the last frame may be cut in two there, and be found."""
    path = whole(name, tmp_path)
    if name == "fragmented.mp4":
        content = path.read_bytes()
        fragments = [place for place in range(len(content)) if content[place : place + 4] == b"moof"]
        path.write_bytes(content[: fragments[2] - 4])
    else:
        _cut_before(path, 24)
    assert 2 <= _count(path) <= 48


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("name", [*PROMISING, *SILENT])
def test_no_whole_file_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    times = WHOLE[kind]
    path = _write(tmp_path / name, (PROMISING | SILENT)[name], times=times)
    # MPEG-PS and AVI repeat frames where none is due for long.
    assert _count(path) >= len(times)
    assert isinstance(probe(path), CheckedFile)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.avi", "v.flv", "sidx.mp4"])
@pytest.mark.parametrize("sound_seconds", [0.5, 4.0])
def test_sound_of_another_length_is_no_cut(name: str, sound_seconds: float, tmp_path: Path) -> None:
    path = _write_with_sound(tmp_path / name, sound_seconds=sound_seconds)
    assert _count(path) == 50
    assert isinstance(probe(path), CheckedFile)


def test_where_the_longest_stream_is_promised_the_sound_counts(tmp_path: Path) -> None:
    whole = _write_with_sound(tmp_path / "v.flv", sound_seconds=4.0)
    content = whole.read_bytes()
    # All frames are there, and half of the sound.
    whole.write_bytes(content[: int(len(content) * 0.75)])
    with pytest.raises(VideoError, match="cut short"):
        _count(whole)


def test_a_length_that_only_the_container_tells_is_believed(tmp_path: Path, whole: Whole) -> None:
    """Matroska by others than FFmpeg has no tag of a length."""
    path = whole("v.mkv", tmp_path)
    path.write_bytes(path.read_bytes().replace(b"DURATION", b"OTHERTAG"))
    assert _count(path) == 60
    with pytest.raises(VideoError, match="cut short"):
        _count(_cut_before(path, 24))


def test_the_length_of_a_fragmented_file_without_an_index_is_believed(tmp_path: Path, whole: Whole) -> None:
    path = whole("fragmented.mp4", tmp_path)
    _promise_seconds(path, 2.4)
    assert _count(path) == 60
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"moof") - 4])
    with pytest.raises(VideoError, match=r"it promises about (58|60) frames and gives 48"):
        _count(path)


def test_a_recording_that_was_never_ended_promises_nothing(tmp_path: Path, whole: Whole) -> None:
    path = whole("v.flv", tmp_path)
    path.write_bytes(path.read_bytes().replace(b"duration", b"otherkey"))
    assert _count(_cut_before(path, 24)) == 24


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_a_length_that_is_none_is_no_promise(seconds: float, tmp_path: Path, whole: Whole) -> None:
    path = whole("v.flv", tmp_path)
    content = bytearray(path.read_bytes())
    struct.pack_into(">d", content, content.index(b"duration") + 9, seconds)
    path.write_bytes(content)
    assert _count(path) == 60


def test_a_file_that_holds_all_frames_that_it_counts_is_whole(tmp_path: Path, whole: Whole) -> None:
    source = whole("v.mkv", tmp_path)
    with pytest.raises(VideoError, match="cut short"):
        _count(_write_tagged(tmp_path / "longer.mkv", source, number=90))
    assert _count(_write_tagged(tmp_path / "long.mkv", source, number=60)) == 60


def _write_tagged(path: Path, source: Path, *, number: int) -> Path:
    """Copy 60 frames with a tag of another length, and one of how many frames there are."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        stream.metadata.update({"NUMBER_OF_FRAMES": str(number)})
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    content = path.read_bytes()
    assert content.count(b"00:00:02.4") == 1
    path.write_bytes(content.replace(b"00:00:02.4", b"00:00:04.4"))
    return path


def _write_with_sound(path: Path, *, sound_seconds: float) -> Path:
    """Write two seconds of frames, and sound of another length between them and after them."""
    codec = "mp3" if path.suffix in (".avi", ".flv") else "aac"
    options = {"movflags": "dash+global_sidx+frag_keyframe"} if path.stem == "sidx" else {}
    draw = np.random.default_rng(0)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("mpeg4" if path.suffix == ".avi" else _X264, rate=25, options=_GROUPS)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        sound = container.add_stream(codec, rate=44100)
        heard = 0.0
        for number in range(max(50, int(sound_seconds * 25))):
            if number < 50:
                frame = av.VideoFrame.from_ndarray(draw.integers(0, 255, (64, 96, 3), np.uint8), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
            while heard < min(sound_seconds, (number + 1) / 25):
                size = sound.codec_context.frame_size or 1152
                part = av.AudioFrame.from_ndarray(
                    draw.random((1, size), np.float32) - 0.5, format="fltp", layout="mono"
                )
                part.sample_rate, part.pts, part.time_base = 44100, round(heard * 44100), Fraction(1, 44100)
                container.mux(sound.encode(part))
                heard += size / 44100
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))
    return path


def _promise_seconds(path: Path, seconds: float) -> None:
    """Put a box `mehd` into a fragmented MP4, which says how long all fragments together are."""
    content = bytearray(path.read_bytes())
    (units,) = struct.unpack_from(">I", content, content.index(b"mvhd") + 16)
    box = struct.pack(">I4sII", 16, b"mehd", 0, round(seconds * units))
    for name in (b"moov", b"mvex"):
        place = content.index(name) - 4
        (size,) = struct.unpack_from(">I", content, place)
        struct.pack_into(">I", content, place, size + len(box))
    inside = content.index(b"mvex") + 4
    content[inside:inside] = box
    path.write_bytes(content)
