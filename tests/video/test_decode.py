"""Frames asked for are the frames read, on every kind of file."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from special_files import (
    hide_first_frames,
    hide_last_half,
    promise_frames,
    write_packed_video,
    write_video_with_blanks,
)

from essential.video import container
from essential.video.decode import decoder_identity, read_frames
from video_files import cut_short, numbered_frame, read_number, turn, write_numbered_video, write_video

KINDS = {
    "h264.mp4": {"codec": "libx264"},
    "h264-index-first.mp4": {"codec": "libx264", "options": {"movflags": "faststart"}},
    "h264-fragments.mp4": {"codec": "libx264", "options": {"movflags": "frag_keyframe+empty_moov"}},
    "h264.mkv": {"codec": "libx264"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "mpeg4-no-b.avi": {"codec": "mpeg4", "b_frames": 0},
    "vp9.webm": {"codec": "libvpx-vp9", "b_frames": 0},
    # As browsers record a camera: nothing says how long it is.
    "vp8-recorded.webm": {"codec": "libvpx", "b_frames": 0, "options": {"live": "1"}},
}


def read_numbers(path: Path) -> list[int]:
    """Return the numbers of all frames, in order."""
    decoded = read_frames(path, range)
    assert decoded.frame_count == len(decoded.frames)
    return [read_number(frame) for frame in decoded.frames]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("frames", [2, 3, 41])
def test_every_frame_is_the_one_asked_for(tmp_path: Path, name: str, frames: int) -> None:
    path = write_numbered_video(tmp_path / name, frames, **KINDS[name])
    assert read_numbers(path) == list(range(frames))


def test_a_recorded_file_does_not_say_how_long_it_is(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "a.webm", 20, **KINDS["vp8-recorded.webm"])
    with av.open(str(path)) as opened:
        assert (opened.duration, opened.streams.video[0].duration) == (None, None)


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "mpeg4.avi"])
def test_the_test_files_hold_b_frames(tmp_path: Path, name: str) -> None:
    path = write_numbered_video(tmp_path / name, 41, **KINDS[name])
    with av.open(str(path)) as container:
        kinds = [av.video.frame.PictureType(frame.pict_type).name for frame in container.decode(video=0)]
    assert kinds.count("B") > 15


@pytest.mark.parametrize("name", ["h264.mp4", "mpeg4.avi", "vp9.webm"])
def test_frames_come_in_the_order_asked_for_with_repeats(tmp_path: Path, name: str) -> None:
    path = write_numbered_video(tmp_path / name, 30, **KINDS[name])
    wanted = [29, 3, 3, 0, 17, 29]
    counts = []
    decoded = read_frames(path, lambda count: counts.append(count) or wanted)
    assert [read_number(frame) for frame in decoded.frames] == wanted
    assert decoded.frames.shape == (6, 48, 64, 3)
    assert decoded.frames.dtype == np.uint8
    assert decoded.frame_count == 30
    assert set(counts) == {30}


def test_packed_b_frames_are_read_in_order(tmp_path: Path) -> None:
    assert read_numbers(write_packed_video(tmp_path / "packed.avi", 41)) == list(range(41))


@pytest.mark.parametrize("name", ["h264.mp4", "mpeg4.avi"])
def test_files_too_large_to_be_held_are_read_again(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_numbered_video(tmp_path / name, 41, **KINDS[name])
    monkeypatch.setattr(container, "_HELD_BYTES", path.stat().st_size - 1)
    assert not container.survey_file(path).packets
    assert read_numbers(path) == list(range(41))


def test_a_wrong_estimate_leaves_no_trace(tmp_path: Path) -> None:
    path = write_video_with_blanks(tmp_path / "blanks.avi", 40, blanks=[7, 8, 9, 20, 21, 30])
    with av.open(str(path)) as container:
        everything = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    counts = []

    def choose(count: int) -> list[int]:
        counts.append(count)
        return [count - 1, count // 2, 0]

    decoded = read_frames(path, choose)
    assert counts == [40, 34]
    assert decoded.frame_count == len(everything) == 34
    np.testing.assert_array_equal(decoded.frames, [everything[33], everything[17], everything[0]])


def test_frames_hidden_by_an_edit_list_do_not_exist(tmp_path: Path) -> None:
    source = write_numbered_video(tmp_path / "source.mp4", 40)
    assert read_numbers(hide_first_frames(source, tmp_path / "late.mp4", hidden=5)) == list(range(5, 40))
    assert read_numbers(hide_last_half(source)) == list(range(20))


@pytest.mark.parametrize("name", ["gaps.mp4", "gaps.mkv", "gaps.avi"])
def test_gaps_in_time_are_not_missing_frames(tmp_path: Path, name: str) -> None:
    times = [number + 3 * (number // 5) for number in range(40)]
    codec = "mpeg4" if name.endswith(".avi") else "libx264"
    path = write_numbered_video(tmp_path / name, 40, codec=codec, b_frames=0, times=times)
    assert read_numbers(path) == list(range(40))


@pytest.mark.parametrize("missing", [1, 2])
def test_a_header_may_promise_two_frames_too_many(tmp_path: Path, missing: int) -> None:
    path = write_numbered_video(tmp_path / "v.avi", 40, codec="mpeg4")
    promise_frames(path, 40 + missing)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 40 + missing
    assert read_numbers(path) == list(range(40))


def turned(image: np.ndarray[Any, Any], matrix: tuple[int, int, int, int]) -> np.ndarray[Any, Any]:
    """Move every pixel by the definition of the matrix, one by one."""
    a, b, c, d = matrix
    height, width = image.shape[:2]
    place = {(a * x + c * y, b * x + d * y): image[y, x] for y in range(height) for x in range(width)}
    left, top = min(x for x, _ in place), min(y for _, y in place)
    right, bottom = max(x for x, _ in place), max(y for _, y in place)
    return np.array([[place[x, y] for x in range(left, right + 1)] for y in range(top, bottom + 1)])


@pytest.mark.parametrize(
    ("matrix", "quarter_turns_left"),
    [
        ((1, 0, 0, 1), 0),
        ((0, 1, -1, 0), -1),  # a telephone held upright: turned right when shown
        ((-1, 0, 0, -1), 2),
        ((0, -1, 1, 0), 1),
        ((-1, 0, 0, 1), None),
        ((1, 0, 0, -1), None),
        ((0, 1, 1, 0), None),
        ((0, -1, -1, 0), None),
    ],
)
def test_rotation_and_mirroring_are_applied(
    tmp_path: Path, matrix: tuple[int, int, int, int], quarter_turns_left: int | None
) -> None:
    path = write_numbered_video(tmp_path / "v.mp4", 4)
    flat = read_frames(path, range).frames
    shown = read_frames(turn(path, matrix=matrix), range).frames
    np.testing.assert_array_equal(shown, [turned(image, matrix) for image in flat])
    if quarter_turns_left is not None:
        np.testing.assert_array_equal(shown, np.rot90(flat, quarter_turns_left, axes=(1, 2)))
        with av.open(str(path)) as container:  # FFmpeg names the same angle
            assert (next(container.decode(video=0)).rotation - 90 * quarter_turns_left) % 360 == 0


def test_colours_survive(tmp_path: Path) -> None:
    colours = [(255, 255, 255), (0, 0, 0), (200, 50, 80), (30, 180, 60), (40, 40, 220)]
    images = [np.full((32, 32, 3), colour, np.uint8) for colour in colours]
    frames = read_frames(write_video(tmp_path / "v.mp4", images, b_frames=0), range).frames
    np.testing.assert_allclose(frames.mean((1, 2)), colours, atol=4)


@pytest.mark.parametrize("pixels", ["yuv444p", "yuvj444p", "yuv444p10le"])
def test_range_and_depth_are_honoured(tmp_path: Path, pixels: str) -> None:
    """White, mid grey and black look the same in limited range, full range and 10 bits."""
    full = pixels == "yuvj444p"
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"qp": "0"})
        stream.width = stream.height = 32
        stream.pix_fmt = pixels
        for grey in (255, 128, 0) if full else (235, 126, 16):
            planes = np.full((3, 32, 32), 128, np.uint8)
            planes[0] = grey
            frame = av.VideoFrame.from_ndarray(planes, format="yuvj444p" if full else "yuv444p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == pixels
    frames = read_frames(path, range).frames
    np.testing.assert_allclose(frames.mean((1, 2, 3)), [255, 127.5, 0], atol=1.5)


@pytest.mark.parametrize("wanted", [[], [-1], [10], [0, 99]])
def test_a_choice_outside_the_video_is_a_mistake_of_the_caller(tmp_path: Path, wanted: list[int]) -> None:
    path = write_numbered_video(tmp_path / "v.mp4", 10)
    with pytest.raises(ValueError, match=r"choose\(10\) gave .*from 0 to 9"):
        read_frames(path, lambda _: wanted)


def test_an_error_of_the_caller_passes_through(tmp_path: Path) -> None:
    def choose(count: int) -> list[int]:
        raise OSError(f"mine {count}")

    with pytest.raises(OSError, match="mine 10"):
        read_frames(write_numbered_video(tmp_path / "v.mp4", 10), choose)


@pytest.mark.parametrize("name", ["a:b.mp4", "50%d.mp4", "sp ace é.mp4", "noextension"])
def test_odd_names_are_only_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_numbered_video(tmp_path / "v.mp4", 5).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert read_numbers(Path(name)) == read_numbers(tmp_path / name) == list(range(5))


def test_the_first_of_several_streams_is_read_and_sound_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000)
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 9000), np.int16), format="s16", layout="mono")
        silence.sample_rate = 8000
        container.mux(sound.encode(silence))
        for number in range(10):
            for first, stream in zip((0, 100), streams, strict=True):
                frame = av.VideoFrame.from_ndarray(numbered_frame(first + number), format="rgb24")
                container.mux(stream.encode(frame))
        for stream in (sound, *streams):
            container.mux(stream.encode(None))
    assert read_numbers(path) == list(range(10))


def test_ffmpeg_writes_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = cut_short(write_numbered_video(tmp_path / "v.avi", 40, codec="mpeg4"), 0.6)
    capfd.readouterr()
    with pytest.raises(Exception, match="damaged"):
        read_numbers(path)
    assert capfd.readouterr() == ("", "")


def test_the_decoder_names_its_versions() -> None:
    identity = decoder_identity()
    assert identity["pyav"] == av.__version__
    assert identity["libavcodec"].count(".") == 2
    assert sorted(identity) == ["libavcodec", "libavformat", "libavutil", "libswscale", "pyav"]


def test_real_files_of_many_kinds(shared_folder: Path) -> None:
    expected = {
        "av1_video.mkv": (125, 360, 640),
        "bt709_full_range.mp4": (30, 720, 1280),
        "demo.mp4": (280, 256, 340),
        "h264_10bits.mp4": (30, 200, 200),
        "h265_video.mp4": (10, 128, 128),
        "nasa_13013.mp4": (325, 180, 320),
        "test.avi": (164, 240, 320),
        "test.mp4": (300, 256, 340),
    }
    found = sorted(path for path in (shared_folder / "clips" / "codecs").iterdir())
    assert [path.name for path in found] == sorted(expected)
    for path in found:
        decoded = read_frames(path, lambda count: [count - 1, 0])
        assert (decoded.frame_count, *decoded.frames.shape[1:3]) == expected[path.name]
        assert decoded.frames.std() > 1


def test_numbers_survive_any_size() -> None:
    assert [read_number(numbered_frame(n, size=(112, 64))) for n in range(0, 4096, 37)] == list(range(0, 4096, 37))
