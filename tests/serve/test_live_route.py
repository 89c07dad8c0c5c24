"""A camera's frames are sent to the service as images, and answered; sessions are bounded and forgotten."""

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from running_service import TAUGHT, Answer, Part, RunningService, resident_bytes, running_service

from essential.learner import VideoLearner
from essential.serve.live import LiveSessions
from essential.serve.messages import Limits, LiveFrames, Refusal
from essential.video.decode import read_frames

pytestmark = pytest.mark.slow

RATE = 25
# Of the clips: 28 frames.
WINDOW = 1.12
SESSION = "session1"
# Seconds by the camera's clock, as all tests of one service have one session.
LATER = count(1000, 100)


@pytest.fixture(scope="module")
def service(taught_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    bundle = Path(shutil.copy(taught_bundle, tmp_path_factory.mktemp("served") / "actions.bundle"))
    with running_service(bundle, tmp_path_factory.mktemp("service")) as running:
        yield running


def _image(pixels: Any, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=95)
    return file.getvalue()


def _clips(small_data: Path, name: str) -> list[list[bytes]]:
    paths = sorted((small_data / "test" / name).iterdir())
    return [[_image(frame) for frame in read_frames(path, range).frames] for path in paths]


def _send(service: RunningService, images: Sequence[bytes], times: object, **texts: object) -> Answer:
    given = {"session": SESSION, "times": json.dumps(times), **{name: str(text) for name, text in texts.items()}}
    parts: list[Part] = [(name, None, text.encode()) for name, text in given.items()]
    return service.send("/live", [*parts, *(("frames", "frame.jpg", image) for image in images)])


def _times(count: int, start: float = 0.0) -> list[float]:
    return [start + number / RATE for number in range(count)]


def test_what_a_camera_shows_is_answered(service: RunningService, small_data: Path) -> None:
    right = asked = 0
    for name in TAUGHT:
        for images in _clips(small_data, name):
            parts = [slice(start, start + 14) for start in range(0, 28, 14)]
            times = _times(28, start=next(LATER))
            answers = [_send(service, images[part], times[part], window_seconds=WINDOW) for part in parts]
            assert [answer.status for answer in answers] == [200, 200], answers
            filling, full = (answer.json for answer in answers)
            assert (filling["ready"], filling["label"], filling["score"], filling["top"]) == (False, None, None, [])
            asked += 1
            counts = full["frames"]
            assert counts["received"] == filling["frames"]["received"] + 14 == 28 * asked
            # A clip that begins elsewhere on the grid may have a frame at the first moment after the pause.
            assert counts["used"] - 8 * asked in range(asked)
            assert counts["dropped"] == counts["received"] - counts["used"]
            assert full["frames_wanted"] == {"every_seconds": pytest.approx(WINDOW / 8)}
            assert (full["ready"], full["window_seconds"], full["session"]) == (True, WINDOW, SESSION)
            assert full["top"][0] == {"label": full["label"], "score": full["score"]}
            assert (full["unknown"], full["unknown_score"]) == (None, None), "too few clips are kept to tell"
            assert full["latency_seconds"] > 0
            right += full["label"] == name
    assert right >= asked - 1 >= 5
    assert service.uploads() == []


def test_the_window_has_two_seconds_unless_another_is_asked_for(service: RunningService) -> None:
    image = _image(np.zeros((48, 64, 3), np.uint8))
    start = next(LATER)
    answer = _send(service, [image], [start]).json
    assert (answer["window_seconds"], answer["frames_wanted"]["every_seconds"]) == (2.0, 0.25)
    other = _send(service, [image], [start + 0.5], window_seconds=4).json
    assert (other["window_seconds"], other["frames"]["received"]) == (4.0, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_images_of_each_allowed_format_are_read(service: RunningService, kind: str) -> None:
    start = next(LATER)
    images = [_image(np.full((48, 64, 3), shade, np.uint8), kind) for shade in range(0, 160, 10)]
    answer = _send(service, images, [start + number / 4 for number in range(16)])
    assert answer.status == 200, answer
    assert answer.json["ready"]


_HOSTILE = {
    "nothing": lambda: b"",
    "text": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "another format": lambda: _blank("EPS", "RGB", 8, 8),
    "a bitmap": lambda: _blank("BMP", "RGB", 8, 8),
    "its head alone": lambda: _blank("JPEG", "RGB", 64, 48)[:20],
    "more pixels": lambda: _blank("PNG", "1", 10_000, 10_000),
    "more pixels than Pillow takes": lambda: _blank("PNG", "1", 25_000, 25_000),
    "few pixels in one row": lambda: _blank("PNG", "1", 2_000_000, 1),
    "text that unpacks": lambda: _blank("PNG", "RGB", 8, 8, pnginfo=_bomb()),
}


def _blank(kind: str, mode: str, width: int, height: int, **more: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, kind, **more)
    return file.getvalue()


def _bomb() -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_text("bomb", "x" * 2_000_000, zip=True)
    return text


@pytest.mark.parametrize("kind", _HOSTILE)
def test_hostile_images_are_refused_and_the_worker_lives(service: RunningService, kind: str) -> None:
    good, workers = _image(np.zeros((48, 64, 3), np.uint8)), service.workers()
    is_large = kind in ("more pixels", "few pixels in one row")
    start, code = next(LATER), "pictures_too_large" if is_large else "unreadable_frame"
    before = _send(service, [good], [start]).json["frames"]["received"]
    answer = _send(service, [good, _HOSTILE[kind]()], [start + 0.1, start + 0.5])
    assert (answer.status, answer.code) == (422, code), answer
    assert answer.json["error"]["message"].startswith("frame 2")
    assert _send(service, [good], [start + 0.1]).json["frames"]["received"] == before + 1, "nothing of it was taken"
    assert service.workers() == workers
    assert max(map(resident_bytes, workers)) < 1.5 * 1024**3


def test_a_damaged_image_that_begins_well_is_refused_where_it_is_needed(service: RunningService) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    image = _image(noise, "PNG")
    start = next(LATER)
    assert _send(service, [image], [start]).status == 200
    answer = _send(service, [image[: len(image) // 2]], [start + 0.5])
    assert (answer.status, answer.code) == (422, "unreadable_frame")


def test_frames_that_are_too_large_or_too_many_are_refused(service: RunningService) -> None:
    wide = _image(np.zeros((1200, 1920, 3), np.uint8))
    answer = _send(service, [wide], [0.0])
    assert (answer.status, answer.code) == (422, "pictures_too_large")
    assert "frame 1 has 1920 x 1200 pixels; 2,073,600 are allowed" in answer.json["error"]["message"]
    small = _image(np.zeros((8, 8, 3), np.uint8))
    assert _send(service, [small] * 65, _times(65)).code == "too_many_clips"
    assert _send(service, [b"x" * 9 * 1024**2] * 2, _times(2)).code == "too_large"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"session": "short"}, "session: "),
        ({"session": "a" * 65}, "session: "),
        ({"session": "../../etc"}, "session: "),
        ({"session": "grün12345"}, "session: "),
        ({"times": "[0"}, "times: "),
        ({"times": "[" * 1500}, "times: "),
        ({"times": '["0"]'}, "times: "),
        ({"times": "[NaN]"}, "times: "),
        ({"times": "[1e999]"}, "times: "),
        ({"times": "[-1]"}, "times: "),
        ({"times": "{}"}, "times: "),
        ({"times": "[]"}, "times: 0 for 1 frames"),
        ({"times": "[0, 1]"}, "times: 2 for 1 frames"),
        ({"window_seconds": "0"}, "window_seconds: "),
        ({"window_seconds": "61"}, "window_seconds: "),
        ({"window_seconds": "much"}, "window_seconds: "),
    ],
)
def test_wrong_texts_are_named(service: RunningService, texts: dict[str, str], said: str) -> None:
    image = _image(np.zeros((8, 8, 3), np.uint8))
    given = {"session": SESSION, "times": "[0]", **texts}
    parts: list[Part] = [(name, None, text.encode()) for name, text in given.items()]
    answer = service.send("/live", [*parts, ("frames", "a.jpg", image)])
    assert (answer.status, answer.code) == (422, "bad_value"), answer
    assert answer.json["error"]["message"].startswith(said)


def test_missing_parts_are_named(service: RunningService) -> None:
    image = _image(np.zeros((8, 8, 3), np.uint8))
    assert service.send("/live", [("session", None, SESSION.encode())]).code == "missing_part"
    assert service.send("/live", [("frames", "a.jpg", image)]).code == "bad_value"
    assert service.send("/live", [("clip", "a.jpg", image)]).code == "unknown_part"


def test_times_that_do_not_grow_within_a_session_are_refused(service: RunningService) -> None:
    image = _image(np.zeros((8, 8, 3), np.uint8))
    start = next(LATER)
    assert _send(service, [image] * 2, [start, start + 1]).status == 200
    for times in ([start + 1], [start + 2, start + 2], [start - 3]):
        answer = _send(service, [image] * len(times), times)
        assert (answer.status, answer.code) == (422, "bad_value"), answer
        assert "give times that grow within a session" in answer.json["error"]["message"]


def test_a_lesson_begins_sessions_anew_with_what_was_learned(service: RunningService, small_data: Path) -> None:
    name = "2-up"
    (images, *_) = _clips(small_data, TAUGHT[0])
    answer = _send(service, images, _times(28, next(LATER)), window_seconds=WINDOW).json
    assert answer["ready"]
    clips = [path.read_bytes() for path in sorted((small_data / "train" / name).iterdir())]
    assert service.lesson(name, clips)["state"] == "done"
    after = _send(service, images[:1], [2.0], window_seconds=WINDOW).json
    assert (after["ready"], after["frames"]["received"]) == (False, 1)
    right = 0
    asked = _clips(small_data, name)
    for some in asked:
        found = _send(service, some, _times(28, next(LATER)), window_seconds=WINDOW).json
        right += found["label"] == name
    assert right >= len(asked) - 1
    assert service.ask("POST", "/undo").status == 200


def _frames(session: str, folder: Path, times: Sequence[float]) -> LiveFrames:
    paths = []
    for number in range(len(times)):
        paths.append(folder / f"clip-{number}")
        Image.new("RGB", (8, 8)).save(paths[-1], "PNG")
    return LiveFrames(session, tuple(paths), tuple(times), 2.0)


def test_sessions_are_few_and_forgotten_after_a_minute_of_silence(taught_bundle: Path, tmp_path: Path) -> None:
    now = 0.0
    limits = Limits(live_sessions=2)
    sessions = LiveSessions(VideoLearner.load(taught_bundle), limits, clock=lambda: now)
    for name in "ab":
        sessions.answer(_frames(name, tmp_path, [0.0, 0.5]))
    now = 4.0
    with pytest.raises(Refusal, match="2 cameras are being recognised") as caught:
        sessions.answer(_frames("c", tmp_path, [0.0]))
    assert (caught.value.status, caught.value.code) == (503, "busy")
    assert sessions.answer(_frames("b", tmp_path, [1.0])).frames.received == 3
    now = 8.0
    assert sessions.answer(_frames("c", tmp_path, [0.0])).frames.received == 1, "a was closed"
    assert sessions.answer(_frames("b", tmp_path, [1.5])).frames.received == 4
    now = 67.0
    assert sessions.answer(_frames("b", tmp_path, [2.0])).frames.received == 5
    now = 128.0
    assert sessions.answer(_frames("b", tmp_path, [2.5])).frames.received == 1


def test_frames_that_left_the_window_within_a_request_are_not_encoded(taught_bundle: Path, tmp_path: Path) -> None:
    sessions = LiveSessions(VideoLearner.load(taught_bundle), Limits())
    answer = sessions.answer(_frames("a", tmp_path, [number / 4 for number in range(64)]))
    assert answer.ready
    assert 8 <= answer.frames.used <= 10


def test_without_a_class_nothing_is_recognised(tmp_path: Path) -> None:
    sessions = LiveSessions(VideoLearner(encoder="tiny", method="slda-temporal"), Limits())
    with pytest.raises(Refusal, match="nothing was taught yet") as caught:
        sessions.answer(_frames("a", tmp_path, [0.0]))
    assert (caught.value.status, caught.value.code) == (409, "nothing_taught")
