"""Frames of a camera come as they are needed, and no reader makes it wait; what is wrong with it is said.

The cameras are clips that play in real time, and an RTSP server; nothing here depends on how fast the machine is.
"""

import errno
import socket
import threading
import time
from collections.abc import Generator, Iterator
from itertools import count, islice
from typing import Any

import av
import numpy as np
import pytest

from essential.errors import CameraError, ConfigError
from essential.video import camera_errors
from essential.video.camera import Arrival, Camera, CameraAddress, TimedFrame, camera_address, open_camera
from rtsp_server import Behaviour, rtsp_camera
from video_files import numbered_frame, read_number


def _frame(number: int) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24")


class Source:
    """Frames that come when a test says so."""

    def __init__(self) -> None:
        self.steps = threading.Semaphore(0)
        self.closed = threading.Event()
        self.arrivals: list[Arrival] = []
        self.error: Exception | None = None
        self.done = 0

    def come(self, *arrivals: Arrival) -> None:
        self.arrivals += arrivals
        self.steps.release(len(arrivals))

    def end(self, error: Exception | None = None) -> None:
        self.error = error
        self.steps.release()

    def __call__(self) -> Generator[Arrival, None, None]:
        try:
            for place in count():
                self.done = place
                self.steps.acquire()
                if place >= len(self.arrivals):
                    if self.error is not None:
                        raise self.error
                    return
                yield self.arrivals[place]
        finally:
            self.closed.set()


@pytest.fixture
def source() -> Iterator[Source]:
    made = Source()
    yield made
    made.end()


def _numbers(frames: list[TimedFrame]) -> list[int]:
    return [read_number(frame.pixels) for frame in frames]


def _wait(condition: Any) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_only_needed_frames_come_with_their_times(source: Source) -> None:
    camera = Camera("a camera", source())
    frames = camera.frames(every_seconds=1.0, most=100)
    source.come(Arrival(0.0, _frame(4000)))
    _wait(lambda: source.done == 1)  # before anyone looks
    first = threading.Thread(target=lambda: got.extend(islice(frames, 4)))
    got: list[TimedFrame] = []
    first.start()
    _wait(lambda: camera._grid is not None)
    source.come(*(Arrival(100 + number / 10, _frame(number)) for number in range(30)))
    first.join()
    # The first one, which the grid begins with, and those in the middle of each second.
    assert _numbers(got) == [0, 5, 15, 25]
    assert [frame.seconds for frame in got] == [100.0, 100.5, 101.5, 102.5]
    camera.close()


def test_a_slow_reader_gets_the_newest_frames_and_the_others_are_counted(source: Source) -> None:
    camera = Camera("a camera", source())
    frames = camera.frames(every_seconds=1.0, most=3)
    taken = threading.Thread(target=lambda: got.append(next(frames)))
    got: list[TimedFrame] = []
    taken.start()
    _wait(lambda: camera._grid is not None)
    source.come(Arrival(0.1, _frame(1)))
    taken.join()
    source.come(*(Arrival(float(number), _frame(number)) for number in range(2, 22)), Arrival(22.0, None))
    _wait(lambda: source.done == 22)
    assert (camera.received, camera.damaged) == (21, 1)
    assert _numbers(list(islice(frames, 3))) == [19, 20, 21]
    assert camera.dropped == 17
    camera.close()


def test_frames_too_large_to_be_held_are_dropped(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("essential.video.camera._HELD_BYTES", 2 * numbered_frame(0).nbytes)
    camera = Camera("a camera", source())
    frames = camera.frames(every_seconds=1.0, most=100)
    taken = threading.Thread(target=lambda: got.append(next(frames)))
    got: list[TimedFrame] = []
    taken.start()
    _wait(lambda: camera._grid is not None)
    source.come(Arrival(0.0, _frame(0)))
    taken.join()
    source.come(*(Arrival(float(number), _frame(number)) for number in range(1, 6)))
    source.end()
    _wait(source.closed.is_set)
    assert (_numbers(list(islice(frames, 2))), camera.dropped) == ([4, 5], 3)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, "a camera: it is gone: no more frames come; check its cable or network, and run again"),
        (CameraError("it is gone: why"), "it is gone: why"),
        (RuntimeError("odd"), r"a camera: its frames cannot be read \(RuntimeError: odd\)"),
    ],
)
def test_a_camera_that_is_gone_gives_what_came_and_then_says_so(
    source: Source, error: Exception | None, said: str
) -> None:
    camera = Camera("a camera", source())
    frames = camera.frames(every_seconds=1.0, most=9)
    taken = threading.Thread(target=lambda: got.append(next(frames)))
    got: list[TimedFrame] = []
    taken.start()
    _wait(lambda: camera._grid is not None)
    source.come(Arrival(0.0, _frame(0)), Arrival(1.0, _frame(1)))
    source.end(error)
    taken.join()
    assert _numbers([*got, next(frames)]) == [0, 1]
    with pytest.raises(CameraError, match=said):
        next(frames)
    assert source.closed.is_set()


def test_a_silent_camera_is_given_up(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("essential.video.camera._SILENCE_SECONDS", 0.01)
    camera = Camera("a camera", source())
    with pytest.raises(CameraError, match="a camera: no frame came for 0 s; is it still on"):
        next(camera.frames(every_seconds=0.01, most=9))


def test_a_camera_is_turned_off_by_its_own_thread(source: Source) -> None:
    camera = Camera("a camera", source())
    camera._is_closed = True
    source.come(Arrival(0.0, _frame(0)))
    assert source.closed.wait(30)
    camera.close()
    assert not camera._thread.is_alive()


@pytest.mark.parametrize(
    ("given", "location", "name"),
    [
        ("0", "/dev/video0", "camera 0"),
        ("12", "/dev/video12", "camera 12"),
        ("/dev/video3", "/dev/video3", "/dev/video3"),
        ("rtsp://host/path?a=b", "rtsp://host/path?a=b", "rtsp://host/path"),
        ("rtsp://host?secret", "rtsp://host?secret", "rtsp://host"),
        ("rtsp://host/user=me_password=secret", "rtsp://host/user=me_password=secret", "rtsp://host/user"),
        ("rtsp://me:se/cret@host/x", "rtsp://me:se/cret@host/x", "rtsp://host/x"),
        ("rtsps://host:322/x", "rtsps://host:322/x", "rtsps://host:322/x"),
        ("rtsp://me:se@cret@host/x", "rtsp://me:se@cret@host/x", "rtsp://host/x"),
    ],
)
def test_a_camera_is_named_without_its_password(given: str, location: str, name: str) -> None:
    address = camera_address(given)
    assert (address.location, address.name) == (location, name)
    assert "cret" not in repr(address)


@pytest.mark.parametrize(
    "given",
    [
        *("", " ", "-1", "0.5", "1000", "/dev/sda", "/dev/video0/../sda", "/dev/video", "clip.mp4", "file:clip.mp4"),
        *("http://host/x", "rtsp://", "rtsp:/host", "rtsp://a b/", "concat:a|b", "rtmp://host/x", "RTSP", "camera"),
        *("video0", "http://me:secret@host/x", "rtsp://me:sec ret/secret@host"),
    ],
)
def test_nothing_else_is_a_camera(given: str) -> None:
    with pytest.raises(ConfigError, match="is no camera; give its number") as caught:
        camera_address(given)
    assert "secret" not in str(caught.value)


def _opened(url: str) -> Camera:
    return open_camera(camera_address(url))


def test_a_camera_in_the_network_is_read() -> None:
    with rtsp_camera([numbered_frame(number, size=(320, 240)) for number in range(50)], Behaviour()) as url:
        camera = _opened(url)
        frames = list(islice(camera.frames(every_seconds=0.2, most=9), 6))
        camera.close()
    assert frames[0].pixels.shape == (240, 320, 3)
    numbers = np.array(_numbers(frames))
    assert ((np.diff(numbers) % 50) >= 1).all()
    assert (np.diff([frame.seconds for frame in frames]) > 0).all()
    assert camera.received >= 6
    assert not camera._thread.is_alive()


def test_a_camera_in_the_network_that_ends_is_gone() -> None:
    with rtsp_camera([numbered_frame(number) for number in range(10)], Behaviour(ends_after=40)) as url:
        camera = _opened(url)
        with pytest.raises(CameraError, match=f"{url}: it is gone: no more frames come"):
            list(camera.frames(every_seconds=0.2, most=9))


def test_a_camera_in_the_network_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("essential.video.camera._SILENCE_SECONDS", 1.0)
    images = [numbered_frame(number) for number in range(10)]
    with (
        rtsp_camera(images, Behaviour(hangs_after=60)) as url,
        pytest.raises(CameraError, match=r"it does not answer|no frame came for 1 s"),
    ):
        list(_opened(url).frames(every_seconds=0.2, most=9))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("401 Unauthorized", "it wants a user and a password, or others; give them: rtsp://USER:PASSWORD@HOST/PATH"),
        ("404 Not Found", "it has nothing at this path; look the path up"),
        ("500 Internal Server Error", "it cannot be opened: Server returned 5XX"),
    ],
)
def test_what_a_camera_in_the_network_refuses_is_said_without_the_password(status: str, said: str) -> None:
    with rtsp_camera([numbered_frame(0)], Behaviour(status=status)) as url:
        with pytest.raises(CameraError, match=said) as caught:
            _opened(url.replace("//", "//me:secret@"))
        assert url in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_camera_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        monkeypatch.setattr("essential.video.camera._SILENCE_SECONDS", 0.5)
        with pytest.raises(CameraError, match=r"it cannot be opened: .*; check the "):
            _opened(f"rtsp://127.0.0.1:{port}/x")
    with pytest.raises(CameraError, match="nothing listens there; check the host and the port"):
        _opened(f"rtsp://127.0.0.1:{port}/x")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOENT, "there is no /dev/video7; this machine has /dev/video2"),
        (errno.EACCES, "this user may not open /dev/video7; join the group"),
        (errno.EBUSY, "another program uses it; close that program"),
        (errno.ENODEV, "it was unplugged, or failed; check its cable"),
        (errno.ENOTTY, r"/dev/video7 gives no frames \(Inappropriate ioctl for device\); this machine has /dev/video2"),
    ],
)
def test_what_is_wrong_with_a_device_is_said(monkeypatch: pytest.MonkeyPatch, code: int, said: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise av.error.OSError(code, {errno.ENOTTY: "Inappropriate ioctl for device"}.get(code, "x"), "/dev/video7")

    monkeypatch.setattr(av, "open", fail)
    monkeypatch.setattr(camera_errors, "devices", lambda: ["/dev/video2"])
    with pytest.raises(CameraError, match=f"camera 7: it cannot be opened: {said}"):
        open_camera(camera_address("7"))


def test_a_device_that_is_no_camera_is_refused_by_v4l2_itself() -> None:
    with pytest.raises(
        CameraError, match=r"null: it cannot be opened: /dev/null gives no frames \(Inappropriate ioctl"
    ):
        open_camera(CameraAddress("/dev/null", "null"))


def test_where_there_is_no_v4l2_another_way_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "formats_available", {"rtsp"})
    with pytest.raises(CameraError, match="read by V4L2, which only Linux has; use one in the network"):
        open_camera(camera_address("0"))
