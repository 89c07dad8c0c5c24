"""A file that cannot be used gets one clear `VideoError`, and nothing else gets out."""

import errno
import io
import os
import socket
import struct
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from special_files import write_video_with_blanks

from essential.errors import VideoError
from essential.video.decode import read_frames
from video_files import cut_short, numbered_frame, write_numbered_video, write_sound, write_video

NO_VIDEO = "not a video that is complete in one file: FFmpeg takes it for an image, a text or a playlist;"


def cut_at_packet(path: Path, index: int, *, keep_bytes: int) -> None:
    """Keep what comes before packet `index`, and some bytes of that one."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    position = packets[index].pos
    assert position is not None
    path.write_bytes(path.read_bytes()[: position + keep_bytes])


def expect_error(path: Path, reason: str) -> None:
    """Check that reading `path` fails, naming the file, the reason and what is allowed."""
    with pytest.raises(VideoError, match=reason) as caught:
        read_frames(path, range)
    message = str(caught.value)
    assert message.startswith(f"{path}: {caught.value.problem}; ")
    assert "expected a complete video (MP4, AVI, MKV, WebM, ...) of 2 frames or more" in message


def test_missing(tmp_path: Path) -> None:
    expect_error(tmp_path / "none.mp4", "there is no such file")


def test_neither_file_nor_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    expect_error(tmp_path / "pipe.mp4", "it is not a file")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    path = write_numbered_video(tmp_path / "v.mp4", 3)
    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, who may read everything
    expect_error(path, r"it cannot be opened \(Permission denied\)")


def test_a_folder_above_that_may_not_be_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)
    expect_error(tmp_path / "v.mp4", r"it cannot be opened \(Permission denied\)")


def test_zero_bytes(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    expect_error(path, r"it is empty \(0 bytes\)")


@pytest.mark.parametrize("name", ["noise.mp4", "noise.avi", "noise.mkv"])
def test_noise(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    expect_error(path, "not a video, or damaged;")


@pytest.mark.parametrize("name", ["words.mp4", "words.txt", "words.avi"])
def test_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("not a video\n" * 200)
    expect_error(path, "not a video")


def test_a_playlist_reaches_no_network(tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n")
        expect_error(path, NO_VIDEO)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("name", ["sound.avi", "sound.mkv", "sound.wav"])
def test_sound_only(tmp_path: Path, name: str) -> None:
    expect_error(write_sound(tmp_path / name), "it holds no video stream, only audio")


def test_sound_with_a_cover_frame(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 8000
        image = av.VideoFrame.from_ndarray(numbered_frame(1), format="rgb24")
        container.mux([*sound.encode(silence), *cover.encode(image), *sound.encode(None), *cover.encode(None)])
    expect_error(path, "it holds no video stream, only audio, cover image;")


def test_sound_written_by_others(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(4000))
    (tmp_path / "v.mp4").write_bytes(buffer.getvalue())
    expect_error(tmp_path / "v.mp4", "it holds no video stream, only audio")


@pytest.mark.parametrize(("name", "codec"), [("v.mp4", "libx264"), ("v.mkv", "libx264"), ("v.avi", "mpeg4")])
def test_one_frame(tmp_path: Path, name: str, codec: str) -> None:
    expect_error(write_numbered_video(tmp_path / name, 1, codec=codec), "it holds 1 frame;")


def test_a_photograph(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered_frame(5), format="rgb24")))
        container.mux(stream.encode(None))
    expect_error(path, NO_VIDEO)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("index-last.mp4", {}),
        ("index-first.mp4", {"options": {"movflags": "faststart"}}),
        ("v.avi", {"codec": "mpeg4"}),
        ("v.mkv", {}),
        ("v.webm", {"codec": "libvpx-vp9", "b_frames": 0}),
    ],
)
def test_cut_short(tmp_path: Path, name: str, settings: dict[str, object], share: float) -> None:
    draw = np.random.default_rng(0)
    images = [draw.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(60)]
    path = cut_short(write_video(tmp_path / name, images, **settings), share)
    expect_error(path, "damaged|cut short|it cannot be decoded")


@pytest.mark.parametrize(
    ("name", "settings"),
    [("v.mp4", {"options": {"movflags": "faststart"}}), ("v.avi", {"codec": "mpeg4"}), ("v.mkv", {})],
)
def test_a_cut_between_two_frames_is_counted(tmp_path: Path, name: str, settings: dict[str, object]) -> None:
    """Nothing in the file is damaged; only what the header promises gives it away."""
    path = write_numbered_video(tmp_path / name, 40, **settings)
    cut_at_packet(path, 30, keep_bytes=0)
    expect_error(path, r"it promises about (39|40) frames and gives (29|30);")


def test_a_cut_inside_the_last_frame_is_seen(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "v.avi", 40, codec="mpeg4", b_frames=0)
    cut_at_packet(path, 39, keep_bytes=10)
    expect_error(path, "it is cut short inside frame 40;")


def test_frames_that_the_decoder_drops_in_silence_are_counted(tmp_path: Path) -> None:
    path = write_video_with_blanks(tmp_path / "v.avi", 40, blanks=range(1, 7), padding=20)
    expect_error(path, "it promises about 40 frames and gives 34;")


def test_zeros_in_the_middle(tmp_path: Path) -> None:
    """What an interrupted download leaves: the right size, and holes."""
    path = write_numbered_video(tmp_path / "v.mp4", 60, options={"movflags": "faststart"}, size=(128, 96))
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2
    content[start:] = bytes(len(content) - start)
    path.write_bytes(content)
    expect_error(path, "it cannot be decoded|it promises about 60 frames")


def test_frames_that_change_size(tmp_path: Path) -> None:
    first = write_numbered_video(tmp_path / "a.ts", 5, size=(64, 48))
    second = write_numbered_video(tmp_path / "b.ts", 5, size=(96, 64))
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    expect_error(path, "the size of its frames changes from 64x48 to 96x64 after 5 frames")


def _flip_bytes(content: bytearray, draw: np.random.Generator) -> bytearray:
    for place in draw.integers(0, len(content), 20):
        content[place] = draw.integers(256)
    return content


def _zero_a_part(content: bytearray, draw: np.random.Generator) -> bytearray:
    start = int(draw.integers(len(content)))
    length = min(200, len(content) - start)
    content[start : start + length] = bytes(length)
    return content


def _damage_the_header(content: bytearray, draw: np.random.Generator) -> bytearray:
    for place in draw.integers(0, min(600, len(content)), 6):
        content[place] = draw.integers(256)
    return content


@pytest.mark.parametrize("damage", [_flip_bytes, _zero_a_part, _damage_the_header])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("v.mp4", {"options": {"movflags": "faststart"}}),
        ("v.mkv", {}),
        ("v.avi", {"codec": "mpeg4"}),
        ("v.webm", {"codec": "libvpx-vp9", "b_frames": 0}),
        ("v.ts", {}),
    ],
)
def test_damage_gives_frames_or_a_video_error(
    tmp_path: Path,
    name: str,
    settings: dict[str, object],
    damage: Callable[[bytearray, np.random.Generator], bytearray],
) -> None:
    path = write_numbered_video(tmp_path / name, 20, **settings)
    whole = path.read_bytes()
    outcomes = []
    for seed in range(15):
        path.write_bytes(damage(bytearray(whole), np.random.default_rng(seed)))
        try:
            outcomes.append(read_frames(path, lambda count: [0, count - 1]).frames.shape[0] == 2)
        except VideoError as error:
            outcomes.append(str(path) in str(error))
    assert outcomes == [True] * 15


def test_frames_larger_than_any_camera_makes_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = _write_grey(tmp_path / "bomb.mp4", side=6016)
    assert path.stat().st_size < 1_000_000
    expect_error(path, "its frames have 6016 x 6016 pixels, and 36,000,000 are allowed")
    # The size changes, and the first frames alone are wanted: FFmpeg itself stops at the large ones.
    small, large = (_write_grey(tmp_path / f"{side}.h264", side=side).read_bytes() for side in (64, 6016))
    both = tmp_path / "both.h264"
    both.write_bytes(small + large + small)
    with pytest.raises(VideoError, match=r"both\.h264: (it cannot be decoded|its frames have no size, or one above)"):
        read_frames(both, lambda _: [0])


def test_a_size_that_ffmpeg_refuses_while_it_looks_into_the_file_is_explained(tmp_path: Path) -> None:
    image = io.BytesIO()
    Image.fromarray(numbered_frame(5)).save(image, "JPEG")
    size = struct.pack(">HH", 48, 64)
    assert image.getvalue().count(size) == 1
    path = tmp_path / "vast.mjpeg"
    path.write_bytes(image.getvalue().replace(size, struct.pack(">HH", 16_000, 16_000)) * 3)
    expect_error(path, "its frames have no size, or one above the 36,000,000 pixels that are allowed")


def _write_grey(path: Path, *, side: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "51"})
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame(side, side, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        for number in range(2):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
