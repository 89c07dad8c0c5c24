"""Odd but valid video files, made from plain ones by moving packets and bytes."""

import struct
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

from video_files import write_numbered_video

_VOP = b"\0\0\1\xb6"


def write_packed_video(path: Path, frames: int) -> Path:
    """Write an XviD-like AVI with a "packed bitstream": each B-frame shares the packet of the frame before it.

    The freed place holds a packet that shows nothing new. This is how XviD and DivX put B-frames into AVI.
    """
    packets, rate = _packets(write_numbered_video(path, frames, codec="mpeg4", b_frames=1))
    assert sum(map(_is_b_frame, packets)) == (frames - 1) // 2
    header = packets[0].find(_VOP)
    packets[0] = packets[0][:header] + b"\0\0\1\xb2DivX503b1393p" + packets[0][header:]
    packed: list[bytes] = []
    for packet in packets:
        if _is_b_frame(packet):
            packed[-1:] = [packed[-1] + packet, _not_coded(packet)]
        else:
            packed.append(packet)
    return _rewrite(path, packed, rate)


def write_video_with_blanks(path: Path, frames: int, *, blanks: Iterable[int], padding: int = 0) -> Path:
    """Write an AVI in which the packets at `blanks` only say "show the last frame again", then `padding` zeros."""
    packets, rate = _packets(write_numbered_video(path, frames, codec="mpeg4", b_frames=0))
    for index in blanks:
        packets[index] = _not_coded(packets[index]) + bytes(padding)
    return _rewrite(path, packets, rate)


def write_blank_b_frames(source: Path, path: Path, *, padding: int) -> Path:
    """Copy an AVI of MPEG-4; its third B-frame says "show the last frame again", then has `padding` zeros."""
    packets, rate = _packets(source.rename(path))
    third = [number for number, packet in enumerate(packets) if _is_b_frame(packet)][2]
    blank = bytearray(_not_coded(packets[third]) + bytes(padding))
    blank[4] = blank[4] & 0b00111111 | 0b10000000
    packets[third] = bytes(blank)
    return _rewrite(path, packets, rate)


def hide_first_frames(source: Path, path: Path, *, hidden: int) -> Path:
    """Copy an MP4 so that its edit list hides the first frames, which stay in the file: a cut without encoding."""
    with av.open(str(source)) as old, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                assert packet.pts is not None
                assert packet.dts is not None
                packet.pts -= hidden * (packet.duration or 0)
                packet.dts -= hidden * (packet.duration or 0)
                packet.stream = stream
                new.mux(packet)
    return path


def hide_last_half(path: Path) -> Path:
    """Halve the duration in the edit list of an MP4; the frames stay in the file and in its header's count."""
    content = bytearray(path.read_bytes())
    place = content.index(b"elst") + 12
    (duration,) = struct.unpack_from(">I", content, place)
    struct.pack_into(">I", content, place, duration // 2)
    path.write_bytes(content)
    return path


def promise_frames(path: Path, frames: int) -> Path:
    """Write another number of frames into the two headers of an AVI."""
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"avih") + 8 + 16, frames)
    struct.pack_into("<I", content, content.index(b"strh") + 8 + 32, frames)
    path.write_bytes(content)
    return path


def write_moving_video(
    path: Path,
    frames: int,
    *,
    codec: str = "libx264",
    options: Mapping[str, str],
    times: Sequence[int] | None = None,
    container: Mapping[str, str] | None = None,
) -> Path:
    """Write a video in which a rough texture moves under fresh noise, so that every frame refers to others.

    Args:
        path: the file.
        frames: how many.
        codec: an encoder's name.
        options: the encoder's.
        times: each frame's time, in 1/25 s; one after the other by default.
        container: options of the container.
    """
    draw = np.random.default_rng(frames)
    texture = np.repeat(np.repeat(draw.integers(40, 200, (40, 40, 3)), 8, 0), 8, 1)
    with av.open(str(path), "w", options=dict(container or {})) as output:
        stream = output.add_stream(codec, rate=25, options=dict(options))
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number, time in enumerate(times or range(frames)):
            image = texture[number : number + 64, 2 * number : 2 * number + 96] + draw.integers(-20, 20, (64, 96, 1))
            frame = av.VideoFrame.from_ndarray(image.astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def remux(source: Path, path: Path, change: Callable[[int, av.Packet], None]) -> Path:
    """Copy a video packet by packet, each, with its number, changed on the way."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            packet.stream = stream
            change(number, packet)
            new.mux(packet)
    return path


def turn_frames(source: Path, path: Path, *, numbers: Container[int], degrees: int = 180) -> Path:
    """Copy a bare H.264 stream without B-frames; the frames of some numbers say how they are to be turned."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        old_stream = old.streams.video[0]
        stream = new.add_stream_from_template(old_stream)
        turn = BitStreamFilterContext(f"h264_metadata=rotate={degrees}:display_orientation=insert", old_stream)
        for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            for copy in turn.filter(packet) if number in numbers else [packet]:
                copy.stream = stream
                copy.pts = copy.dts = number
                copy.time_base, copy.duration = Fraction(1, 25), 1
                new.mux(copy)
    return path


def _packets(path: Path) -> tuple[list[bytes], Fraction]:
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
        assert rate is not None
        return [bytes(packet) for packet in container.demux(video=0) if packet.size], rate


def _rewrite(path: Path, packets: list[bytes], rate: Fraction) -> Path:
    """Replace the packets of a video, one for each time slot."""
    source = path.rename(path.with_name(f"source-{path.name}"))
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for time, content in enumerate(packets):
            packet = av.Packet(content)
            packet.pts = packet.dts = time
            packet.duration, packet.time_base, packet.stream = 1, 1 / rate, stream
            new.mux(packet)
    source.unlink()
    return path


def _is_b_frame(packet: bytes) -> bool:
    return packet[packet.index(_VOP) + 4] >> 6 == 2


def _not_coded(packet: bytes) -> bytes:
    """Return an MPEG-4 frame header with the time of `packet`'s frame and the "coded" bit off.

    After the start code: 2 bits of type, one 1 for each second gone by, 0, a marker, the time in a second (5 bits at
    25 frames per second), a marker, the "coded" bit, then 0 and 1s up to the end of the byte.
    """
    start = packet.index(_VOP) + len(_VOP)
    bits = f"{int.from_bytes(packet[start : start + 6], 'big'):048b}"
    zero = bits.index("0", 2)
    header = "01" + bits[2 : zero + 1] + "1" + bits[zero + 2 : zero + 7] + "10" + "0"
    header += "1" * (-len(header) % 8)
    return _VOP + int(header, 2).to_bytes(len(header) // 8, "big")


def refer_to(path: Path, other: Path) -> Path:
    """Have an MP4 say, by an alias of the kind that QuickTime wrote, that its frames are in another file."""
    content = bytearray(path.read_bytes())
    name = str(other).encode()
    alias = bytes(10) + b"\3" + b"vol".ljust(27, b"\0") + bytes(12) + b"\1" + b"v".ljust(63, b"\0") + bytes(36)
    alias += struct.pack(">HH", 2, len(name)) + name + bytes(len(name) % 2) + b"\xff\xff\0\0"
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    place = content.index(b"url ", content.index(b"dref")) - 4
    content[place : place + 12] = entry
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = content.index(box) - 4
        (size,) = struct.unpack_from(">I", content, start)
        struct.pack_into(">I", content, start, size + len(entry) - 12)
    path.write_bytes(content)
    return path
