"""Frames reached through key frames are those of the full decoding, to the last bit; where unsure, all is decoded."""

import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from special_files import (
    hide_first_frames,
    hide_last_half,
    remux,
    write_blank_b_frames,
    write_moving_video,
    write_packed_video,
)

from essential.errors import VideoError
from essential.protocols.protocol import Segment
from essential.video import decode
from essential.video.container import (
    Bitstream,
    PacketNote,
    lone_b_frames,
    opened_video,
    survey_file,
    survey_packets,
)
from essential.video.decode import decode_groups, read_frames
from video_files import turn

FRAMES = 72
UNEVEN = [2 * number + 3 * (number // 5) + number % 2 for number in range(FRAMES)]
X264 = "b-adapt=0:threads=1:scenecut=0:keyint=12:min-keyint=12:bframes=3"
X265 = "log-level=none:pools=none:frame-threads=1:scenecut=0:keyint=12:min-keyint=12:bframes=3"
SVT = "keyint=12:lp=1"

# Those whose groups may be decoded alone.
SAFE: dict[str, dict[str, Any]] = {
    "pyramid.mp4": {"options": {"x264-params": X264}},
    "pyramid.mkv": {"options": {"x264-params": X264}},
    "uneven.mp4": {"options": {"x264-params": X264}, "times": UNEVEN},
    "uneven.mkv": {"options": {"x264-params": X264}, "times": UNEVEN},
    "fragments.mp4": {"options": {"x264-params": X264}, "container": {"movflags": "frag_keyframe+empty_moov"}},
    "many-slices.mp4": {"options": {"x264-params": f"{X264}:slices=4"}},
    "no-b.mp4": {"options": {"x264-params": f"{X264}:bframes=0"}},
    "field-pairs.mp4": {"options": {"x264-params": f"{X264}:tff=1"}},
    "hevc-open.mp4": {"codec": "libx265", "options": {"x265-params": f"{X265}:open-gop=1"}},
    "hevc-open.mkv": {"codec": "libx265", "options": {"x265-params": f"{X265}:open-gop=1"}, "times": UNEVEN},
    "hevc-layers.mp4": {"codec": "libx265", "options": {"x265-params": f"{X265}:temporal-layers=1"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "12", "cpu-used": "8", "deadline": "realtime"}},
    "vp9-hidden-references.webm": {
        "codec": "libvpx-vp9",
        "options": {"g": "12", "lag-in-frames": "8", "cpu-used": "5"},
    },
    "av1.mkv": {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": SVT}},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": SVT}},
}
# Those where decoding may begin at the first packet alone.
ONE_GROUP: dict[str, dict[str, Any]] = {
    "open.mp4": {"options": {"x264-params": f"{X264}:open-gop=1"}},
    "refresh.mp4": {"options": {"x264-params": f"{X264}:bframes=0:intra-refresh=1"}},
    "long.mp4": {"options": {"g": "250"}},
}
# B-frames, which may be left out where they are read; each has half of the frames or more.
MPEG4: dict[str, dict[str, str]] = {
    "one.avi": {"g": "12", "bf": "1"},
    "two.avi": {"g": "12", "bf": "2"},
    "two.mp4": {"g": "12", "bf": "2"},
    "four.mkv": {"g": "250", "bf": "4"},
    "quarter.avi": {"g": "12", "bf": "2", "flags": "+qpel+mv4+aic", "mbd": "rd"},
    "interlaced.avi": {"g": "12", "bf": "2", "flags": "+ilme+ildct", "alternate_scan": "1"},
    "closed.avi": {"g": "9", "bf": "2", "flags": "+cgop", "sc_threshold": "1000000000", "mpeg_quant": "1"},
}
# Those of which nothing may be left out.
UNSAFE: dict[str, dict[str, Any]] = {
    "pyramid.avi": {"options": {"x264-params": X264}},
    "pyramid.ts": {"options": {"x264-params": X264}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}},
    "mpeg4.mp4": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}},
    "vp8.webm": {"codec": "libvpx", "options": {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "8"}},
}


def in_full(path: Path) -> np.ndarray[Any, Any]:
    """Return all frames, decoded in order."""
    _, timing = decode._decode(path, [])
    frames, _ = decode._decode(path, range(len(timing.stamps)))
    return frames


def expect_equal(path: Path, choices: Sequence[Sequence[int]]) -> int:
    """Check frames decoded by groups against all, and return how often they could be decoded so."""
    full, notes = in_full(path), survey_file(path).notes
    used = 0
    for indices in choices:
        frames = decode_groups(path, notes, indices)
        if frames is not None:
            np.testing.assert_array_equal(frames, full[list(indices)], err_msg=str(indices))
            used += 1
    last = choices[-1]
    read = read_frames(path, lambda _: last)
    assert read.frame_count == len(full)
    np.testing.assert_array_equal(read.frames, full[list(last)])
    return used


def draws(count: int) -> list[list[int]]:
    """Draw 12 sets of 1 to 5 indices, in any order, some repeated."""
    draw = np.random.default_rng(count)
    return [draw.integers(0, count, draw.integers(1, 6)).tolist() for _ in range(12)]


@pytest.fixture(autouse=True)
def harmless_encoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep SVT-AV1 quiet, and undo what it does as root: this thread, and all that it starts, in real time."""
    monkeypatch.setenv("SVT_LOG", "0")
    yield
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.mark.parametrize("name", SAFE)
def test_groups_give_the_frames_of_the_full_decoding(tmp_path: Path, name: str) -> None:
    path = write_moving_video(tmp_path / name, FRAMES, **SAFE[name])
    # Every place in a group of 12, each in another group.
    singles = [[index] for index in range(0, FRAMES, 5)]
    assert expect_equal(path, singles) == len(singles)
    assert expect_equal(path, draws(FRAMES)) > 6


@pytest.mark.parametrize("name", UNSAFE)
def test_where_it_is_unsure_all_is_decoded(tmp_path: Path, name: str) -> None:
    path = write_moving_video(tmp_path / name, FRAMES, **UNSAFE[name])
    assert expect_equal(path, [[FRAMES - 1], [60, 61], [70, 0, 66]]) == 0


@pytest.mark.parametrize("name", ONE_GROUP)
def test_one_group_is_decoded_as_far_as_wanted(tmp_path: Path, name: str) -> None:
    path = write_moving_video(tmp_path / name, FRAMES, **ONE_GROUP[name])
    assert [note.starts_anew for note in survey_file(path).notes].count(True) == 1
    assert expect_equal(path, [[0], [3, 5, 3], [40], [71], [3, 60], [70, 0]]) == 6


def test_the_groups_of_what_is_wanted() -> None:
    """Key frames at packets 0, 4 and 8; behind the last, the frames of packets 9 and 10 are shown before it."""
    times = [0, 3, 1, 2, 4, 5, 6, 7, 10, 8, 9, 11]
    notes = [PacketNote(time, starts_anew=place % 4 == 0, is_shown=True) for place, time in enumerate(times)]
    assert decode._groups(notes, {0}) == [range(1)]
    assert decode._groups(notes, {5}) == [range(1), range(4, 6)]
    assert decode._groups(notes, {2, 5}) == [range(3), range(4, 6)]
    assert decode._groups(notes, {8}) == [range(1), range(8, 9)]
    assert decode._groups(notes, {10}) == [range(1), range(4, 11)]
    assert decode._groups(notes, {8, 9, 11}) == [range(1), range(4, 12)]


@pytest.mark.parametrize("hidden", [5, 30])
def test_edit_lists(tmp_path: Path, hidden: int) -> None:
    source = write_moving_video(tmp_path / "source.mp4", FRAMES, **SAFE["pyramid.mp4"])
    late = hide_first_frames(source, tmp_path / "late.mp4", hidden=hidden)
    assert expect_equal(late, draws(FRAMES - hidden)) > 3
    assert expect_equal(hide_last_half(source), draws(FRAMES // 2)) > 3


def test_turned_frames(tmp_path: Path) -> None:
    path = turn(write_moving_video(tmp_path / "v.mp4", FRAMES, **SAFE["pyramid.mp4"]), matrix=(0, 1, -1, 0))
    assert in_full(path).shape == (FRAMES, 96, 64, 3)
    assert expect_equal(path, draws(FRAMES)) > 6


@pytest.mark.parametrize("part", [(0.0, 0.4), (1.0, 1.5), (2.5, 9.0)])
def test_a_segment_decodes_its_part_alone(tmp_path: Path, part: tuple[float, float]) -> None:
    path = write_moving_video(tmp_path / "v.mp4", FRAMES, **SAFE["pyramid.mp4"])
    full = in_full(path)
    first, end = round(part[0] * 25), min(FRAMES, math.ceil(part[1] * 25))
    # Damage far from it is not met.
    damage(path, 55 if end < 50 else 20)
    read = read_frames(path, range, segment=Segment(*part))
    assert read.frame_count == end - first
    np.testing.assert_array_equal(read.frames, full[first:end])


@pytest.mark.parametrize("name", ["pyramid.mp4", "hevc-open.mp4", "vp9.webm"])
def test_damage_in_a_group_is_left_to_the_full_decoding(tmp_path: Path, name: str) -> None:
    path = write_moving_video(tmp_path / name, FRAMES, **SAFE[name])
    damage(path, 24)
    notes = survey_file(path).notes
    assert decode_groups(path, notes, [30]) is None
    assert decode_groups(path, notes, [5]) is not None
    try:
        frames = read_frames(path, lambda _: [30]).frames
    except VideoError:
        return
    np.testing.assert_array_equal(frames, in_full(path)[[30]])


def test_a_frame_that_is_no_key_frame_but_called_one(tmp_path: Path) -> None:
    """HEVC, as FFmpeg corrects the flags of H.264 and VP9 by itself."""
    source = write_moving_video(tmp_path / "source.mp4", FRAMES, **SAFE["hevc-open.mp4"])

    def change(number: int, packet: av.Packet) -> None:
        packet.is_keyframe = packet.is_keyframe or number % 6 == 5

    path = remux(source, tmp_path / "v.mp4", change)
    with av.open(str(path)) as container:
        assert sum(packet.is_keyframe for packet in container.demux(video=0)) > 12
    assert 0 < expect_equal(path, [[index] for index in range(FRAMES)]) < FRAMES


@pytest.mark.parametrize("bframes", ["bframes=3", "bframes=3:b-pyramid=none"])
def test_times_that_are_not_those_of_the_frames(tmp_path: Path, bframes: str) -> None:
    """Some programs write packets with B-frames into MP4 as if they were shown in the order of the file."""
    source = write_moving_video(tmp_path / "source.mp4", FRAMES, options={"x264-params": f"{X264}:{bframes}"})

    def change(number: int, packet: av.Packet) -> None:
        packet.pts = packet.dts = number * (packet.duration or 0)

    path = remux(source, tmp_path / "v.mp4", change)
    frames = in_full(path)
    assert len(frames) == FRAMES
    assert expect_equal(path, [[index] for index in range(FRAMES)]) == 0


@pytest.mark.parametrize("name", MPEG4)
def test_b_frames_of_mpeg4_are_left_out_unless_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = write_moving_video(tmp_path / name, FRAMES, codec="mpeg4", options=MPEG4[name])
    full, taken = in_full(path), []
    take = decode.WantedFrames.take
    monkeypatch.setattr(
        decode.WantedFrames, "take", lambda wanted, index, frame: (taken.append(index), take(wanted, index, frame))
    )
    for indices in ([0, 1, 2, 3], [FRAMES - 1], [FRAMES - 2, 5, 5], *draws(FRAMES)):
        taken.clear()
        read = read_frames(path, lambda _, these=indices: these)
        np.testing.assert_array_equal(read.frames, full[indices], err_msg=str(indices))
        assert read.frame_count == FRAMES
        assert {*indices} <= {*taken}
        assert len(taken) < FRAMES * 3 / 4
    read = read_frames(path, range)
    np.testing.assert_array_equal(read.frames, full)


def test_of_packets_of_two_frames_or_of_none_all_are_decoded(tmp_path: Path) -> None:
    packed = write_packed_video(tmp_path / "packed.avi", 21)
    # A B-frame that only says "show the last one again", for which the decoder gives nothing.
    plain = write_moving_video(tmp_path / "plain.avi", 21, codec="mpeg4", options={"g": "12", "bf": "1"})
    blank = write_blank_b_frames(plain, tmp_path / "blank.avi", padding=40)
    for path, b_frames in ((packed, 0), (blank, 9)):
        with opened_video(path) as (container, stream):
            packets = survey_packets(path, container, stream).packets
            assert sum(lone_b_frames(packets)) == b_frames
        full = in_full(path)
        for index in range(len(full)):
            np.testing.assert_array_equal(read_frames(path, lambda _, one=index: [one]).frames, full[[index]])


def test_what_is_left_out_is_what_ffmpeg_leaves_out(tmp_path: Path) -> None:
    path = write_moving_video(tmp_path / "v.mp4", FRAMES, **SAFE["many-slices.mp4"])
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        bitstream = Bitstream(stream)
        left_out = {packet.pts for packet in container.demux(stream) if packet.size and bitstream.is_disposable(packet)}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONREF"
        given = {frame.pts for frame in container.decode(stream)}
    assert len(left_out) > FRAMES // 4
    assert len(given) + len(left_out) == FRAMES
    assert not given & left_out


def test_real_files(shared_folder: Path) -> None:
    paths = sorted((shared_folder / "clips" / "codecs").iterdir())
    assert len(paths) == 8
    used = {path.name: expect_equal(path, [[2], [3, 9], *draws(10)[:2]]) for path in paths}
    assert sum(map(bool, used.values())) >= 4, used


def damage(path: Path, number: int) -> None:
    """Overwrite most of a packet with noise."""
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
        position, size = packet.pos, packet.size
    assert position is not None
    content = bytearray(path.read_bytes())
    content[position + 8 : position + size] = np.random.default_rng(number).bytes(size - 8)
    path.write_bytes(content)
