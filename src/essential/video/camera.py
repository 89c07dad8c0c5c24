"""Cameras: where one is, and its frames as they come. A thread reads them, and never waits for who takes them.

A camera is a device of this machine (V4L2), or in the network (RTSP). No file is one, nor any other address: FFmpeg
would open what a text tells it to.
"""

import re
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any, NamedTuple

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from essential.errors import CameraError, ConfigError, EssentialError
from essential.shown import described, quoted
from essential.video.camera_errors import explained
from essential.video.container import DECODER_LIMITS
from essential.video.frame_grid import FrameGrid
from essential.video.frames import Pixels

_SILENCE_SECONDS = 10.0
# Frames of a large camera that wait for a slow encoder.
_HELD_BYTES = 256 * 1024**2
# Frames are wanted when they come: none waits for others, in FFmpeg or in the decoder.
_AT_ONCE = {"fflags": "nobuffer", "flags": "low_delay"}
_RTSP = {
    "rtsp_flags": "prefer_tcp",
    "allowed_media_types": "video",
    "protocol_whitelist": "rtsp,rtsps,rtp,srtp,udp,tcp,tls",
    # To learn the rate of the frames, which is not needed, would take a second.
    "fpsprobesize": "0",
}
_V4L2 = "video4linux2,v4l2"
_END_SECONDS = 2.0


@dataclass(frozen=True)
class CameraAddress:
    """Where a camera is: the device or URL, and the name that messages have of it, without a password."""

    location: str = field(repr=False)
    name: str

    @property
    def is_device(self) -> bool:
        """Whether it is of this machine."""
        return self.location.startswith("/dev/")


class Arrival(NamedTuple):
    """When something came, by `time.monotonic`: a frame, or None for damaged data."""

    seconds: float
    frame: VideoFrame | None


class TimedFrame(NamedTuple):
    """A frame as RGB, and when it came, by `time.monotonic`."""

    pixels: Pixels
    seconds: float


def camera_address(given: str) -> CameraAddress:
    """Return where a camera is: `0` and `/dev/video0` are of this machine, `rtsp://...` is in the network.

    A ConfigError for anything else; nothing is opened.
    """
    if re.fullmatch(r"[0-9]{1,3}", given):
        return CameraAddress(f"/dev/video{int(given)}", f"camera {int(given)}")
    if re.fullmatch(r"/dev/video[0-9]{1,3}", given):
        return CameraAddress(given, given)
    # A password may hold what ends a host, and some cameras take it as a parameter.
    shown = re.sub(r"//.*@", "//", given)
    if re.fullmatch(r"rtsps?://[^\s/]+(/\S*)?", given):
        return CameraAddress(given, re.split("[?=]", shown)[0])
    raise ConfigError(
        f"--camera {quoted(shown)} is no camera",
        remedy="give its number (0), its device (/dev/video0) or its address (rtsp://HOST/PATH); label a file by: "
        "essential predict BUNDLE FILE --window SECONDS",
    )


class Camera:
    """The frames of a camera that is on.

    It counts, from when `frames` is called: frames that came (`received`); those needed that were lost, as they were
    taken too slowly (`dropped`); and packets that gave no frame (`damaged`).

    Args:
        name: for messages.
        source: what comes; it may raise, and is read, and closed, in a thread of its own.
    """

    def __init__(self, name: str, source: Generator[Arrival, None, None]) -> None:
        self.name = name
        self.received = self.dropped = self.damaged = 0
        self._grid: FrameGrid | None = None
        self._most = 1
        self._held: deque[TimedFrame] = deque()
        self._news = Condition()
        self._end: EssentialError | None = None
        self._is_closed = False
        self._thread = Thread(target=self._read, args=(source,), daemon=True)
        self._thread.start()

    def frames(self, *, every_seconds: float, most: int) -> Iterator[TimedFrame]:
        """Yield the first frame, and then those that a `FrameGrid` needs, as they come; it has no end but an error.

        Frames from before are passed over.

        Args:
            every_seconds: from needed frame to needed frame.
            most: how many of them wait to be taken; the oldest are then dropped.

        Raises:
            CameraError: it is gone, or silent.
        """
        with self._news:
            self._grid, self._most = FrameGrid(every_seconds), most
        silence = _SILENCE_SECONDS + every_seconds
        while True:
            with self._news:
                if not self._news.wait_for(lambda: self._held or self._end, silence):
                    raise CameraError(f"no frame came for {silence:.0f} s", where=self.name, remedy="is it still on?")
                if not self._held:
                    assert self._end is not None, "waited for"
                    raise self._end
                frame = self._held.popleft()
            yield frame

    @property
    def is_waiting(self) -> bool:
        """Whether another needed frame came."""
        return bool(self._held)

    def close(self) -> None:
        """Turn it off, if it answers."""
        self._is_closed = True
        self._thread.join(_END_SECONDS)

    def _read(self, source: Generator[Arrival, None, None]) -> None:
        remedy = "check its cable or network, and run again"
        end: EssentialError = CameraError("it is gone: no more frames come", where=self.name, remedy=remedy)
        try:
            convert = VideoReformatter().reformat
            with closing(source):
                for seconds, frame in source:
                    if self._is_closed:
                        break
                    if self._is_needed(seconds, frame) and frame is not None:
                        pixels: Any = convert(frame, format="rgb24", threads=1).to_ndarray()
                        self._hold(TimedFrame(pixels, seconds))
        except EssentialError as error:
            end = error
        except Exception as error:  # whatever it is, it is for who waits for frames
            end = CameraError(f"its frames cannot be read ({described(error)})", where=self.name)
        with self._news:
            self._end = end
            self._news.notify()

    def _is_needed(self, seconds: float, frame: VideoFrame | None) -> bool:
        with self._news:
            if self._grid is None:
                return False
            if frame is None:
                self.damaged += 1
                return False
            self.received += 1
            return bool(self._grid.pass_moments(seconds)) or self.received == 1

    def _hold(self, frame: TimedFrame) -> None:
        with self._news:
            while self._held and len(self._held) >= min(self._most, max(1, _HELD_BYTES // frame.pixels.nbytes)):
                self._held.popleft()
                self.dropped += 1
            self._held.append(frame)
            self._news.notify()


def open_camera(address: CameraAddress) -> Camera:
    """Turn a camera on; a CameraError says why that cannot be."""
    if address.is_device and _V4L2 not in av.formats_available:
        raise CameraError(
            "cameras of this machine are read by V4L2, which only Linux has",
            where=address.name,
            remedy="use one in the network (rtsp://HOST/PATH), or the page of `essential serve` in a browser",
        )
    options = {**DECODER_LIMITS, **_AT_ONCE, **({} if address.is_device else _RTSP)}
    with explained(address.name, address.location, "it cannot be opened"):
        container = av.open(
            address.location,
            format="v4l2" if address.is_device else "rtsp",
            options=options,
            timeout=_SILENCE_SECONDS,
        )
    if not container.streams.video:
        container.close()
        raise CameraError("it shows nothing: it has no video", where=address.name, remedy="check the address")
    return Camera(address.name, _arrivals(address, container))


def _arrivals(address: CameraAddress, container: InputContainer) -> Generator[Arrival, None, None]:
    """Yield what comes, until there is no more, and close the container."""
    with container, explained(address.name, address.location, "it is gone"):
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # more of them would hold frames back
        for packet in container.demux(stream):
            seconds = time.monotonic()
            try:
                for frame in packet.decode():
                    yield Arrival(seconds, frame)
            except av.InvalidDataError:
                yield Arrival(seconds, None)
