"""A camera in the network for tests: an RTSP server that plays frames as H.264, over the connection itself (RFC 2326).

Each unit of the stream is one RTP packet (RFC 6184, single NAL unit mode), which the frames of a connection may be.
"""

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av

from video_files import Pixels

_CLOCK = 90_000
_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
)


@dataclass(frozen=True)
class Behaviour:
    """What the camera does: frames a second, how it answers, and when it hangs or is gone, counted in frames."""

    rate: float = 25
    status: str = "200 OK"
    ends_after: int | None = None
    hangs_after: int | None = None


@contextmanager
def rtsp_camera(images: Sequence[Pixels], behaviour: Behaviour) -> Iterator[str]:
    """Give the address of a camera that shows the images again and again."""
    units, ended = _encoded(images), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        threads: list[threading.Thread] = []

        def accept() -> None:
            while not ended.is_set():
                with suppress(TimeoutError):
                    connection, _ = listener.accept()
                    threads.append(threading.Thread(target=_serve, args=(connection, units, behaviour, ended)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield f"rtsp://127.0.0.1:{listener.getsockname()[1]}/stream"
        finally:
            ended.set()
            accepting.join()
            for thread in threads:
                thread.join()


def _encoded(images: Sequence[Pixels]) -> list[list[bytes]]:
    """Return the units of each frame."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.height, codec.width = images[0].shape[:2]
    codec.pix_fmt, codec.time_base, codec.framerate = "yuv420p", Fraction(1, 25), Fraction(25)
    codec.options = {"tune": "zerolatency", "preset": "ultrafast", "g": "5", "x264-params": "repeat-headers=1"}
    packets = []
    for number, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        packets += [bytes(packet) for packet in codec.encode(frame)]
    packets += [bytes(packet) for packet in codec.encode(None)]
    assert len(packets) == len(images)
    return [[unit for unit in re.split(rb"\x00?\x00\x00\x01", packet) if unit] for packet in packets]


def _serve(connection: socket.socket, units: list[list[bytes]], behaviour: Behaviour, ended: threading.Event) -> None:
    with connection, suppress(OSError), connection.makefile("rb") as lines:
        while (method := _answered(connection, lines, behaviour)) not in ("", "TEARDOWN"):
            if method == "PLAY":
                _play(connection, units, behaviour, ended)
                return


def _answered(connection: socket.socket, lines: Any, behaviour: Behaviour) -> str:
    """Answer one request, and return its method."""
    first = lines.readline().decode()
    headers = dict[str, str]()
    while (line := lines.readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if not first:
        return ""
    method = first.split()[0]
    more, body = "", ""
    if method == "DESCRIBE":
        body = _SDP
        more = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
    if method == "SETUP":
        more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
    status = behaviour.status if method == "DESCRIBE" else "200 OK"
    connection.sendall(f"RTSP/1.0 {status}\r\nCSeq: {headers.get('cseq', '0')}\r\n{more}\r\n{body}".encode())
    return method


def _play(connection: socket.socket, units: list[list[bytes]], behaviour: Behaviour, ended: threading.Event) -> None:
    began, sequence, number = time.monotonic(), 0, 0
    while not ended.is_set() and number != behaviour.ends_after:
        if number == behaviour.hangs_after:
            ended.wait()
            return
        of_frame = units[number % len(units)]
        for place, unit in enumerate(of_frame):
            is_last = place == len(of_frame) - 1
            stamp = int(number * _CLOCK / behaviour.rate)
            head = struct.pack(">BBHII", 0x80, is_last << 7 | 96, sequence % 65536, stamp % 2**32, 1)
            connection.sendall(struct.pack(">cBH", b"$", 0, len(head) + len(unit)) + head + unit)
            sequence += 1
        number += 1
        ended.wait(max(0.0, began + number / behaviour.rate - time.monotonic()))
