"""What a worker keeps of the cameras of its clients: for each session a recogniser, until it is silent for too long."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from essential.errors import ConfigError, DataError, VideoError
from essential.learner import VideoLearner
from essential.learner.live import LiveRecogniser
from essential.serve.answers import FrameCounts, FramesWanted, LiveAnswer
from essential.serve.messages import Limits, LiveFrames, Refusal
from essential.video.frame_folder import image_size, read_image

# Of a camera that is being recognised, between two requests.
_PAUSE_SECONDS = 5
_FORMATS = ("JPEG", "PNG", "WEBP")


class LiveSessions:
    """The sessions of one learner, which a lesson replaces: they then begin anew.

    Args:
        clock: gives seconds, to tell how long a session is silent.
    """

    def __init__(self, learner: VideoLearner, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._learner, self._limits, self._clock = learner, limits, clock
        # With when each was last heard of.
        self._sessions: dict[str, tuple[float, LiveRecogniser]] = {}

    def answer(self, given: LiveFrames) -> LiveAnswer:
        """Take the next frames of a session, and return what its last seconds show, or raise a `Refusal`.

        All frames are looked at before the first is taken; only those that are needed are decoded.
        """
        for number, frame in enumerate(given.frames, 1):
            self._check_frame(number, frame)
        recogniser = self._recogniser(given)
        # What is older has left the window by the last frame.
        oldest = given.times[-1] - recogniser.window_seconds - recogniser.frame_seconds
        for number, (frame, seconds) in enumerate(zip(given.frames, given.times, strict=True), 1):
            is_needed = recogniser.needs(seconds) and seconds > oldest
            with _refused(number):
                take = partial(recogniser.add, read_image(frame, _FORMATS)) if is_needed else recogniser.pass_over
            try:
                take(seconds)
            except DataError as error:
                raise Refusal(422, "bad_value", f"times: {error.problem} within a session") from error
        return _answer(given, recogniser)

    def _check_frame(self, number: int, frame: Path) -> None:
        with _refused(number):
            width, height = image_size(frame, _FORMATS)
        most, side = self._limits.live_pixels, self._limits.side
        # A side too: as its short side is scaled to the encoder's size, a long row of pixels becomes a huge frame.
        if width * height > most or max(width, height) > side:
            allowed = f"{most:,} are allowed, and a side of {side}"
            message = f"frame {number} has {width} x {height} pixels; {allowed}; scale it down"
            raise Refusal(422, "pictures_too_large", message)

    def _recogniser(self, given: LiveFrames) -> LiveRecogniser:
        """Return the session's recogniser: a new one for a new session, and for another window."""
        now = self._clock()
        self._forget_silent(now, self._limits.live_silence_seconds)
        if given.session not in self._sessions:
            self._make_room(now)
        _, found = self._sessions.get(given.session, (now, None))
        if found is None or found.window_seconds != given.window_seconds:
            found = self._new(given.window_seconds)
        self._sessions[given.session] = now, found
        return found

    def _make_room(self, now: float) -> None:
        if len(self._sessions) >= self._limits.live_sessions:
            # A page that was closed says nothing.
            self._forget_silent(now, _PAUSE_SECONDS)
        if len(self._sessions) >= self._limits.live_sessions:
            message = f"{len(self._sessions)} cameras are being recognised; end one, and send it again in some seconds"
            raise Refusal(503, "busy", message)

    def _forget_silent(self, now: float, seconds: float) -> None:
        self._sessions = {name: each for name, each in self._sessions.items() if now - each[0] <= seconds}

    def _new(self, window_seconds: float) -> LiveRecogniser:
        if not self._learner.classes:
            raise Refusal(409, "nothing_taught", "nothing was taught yet, so nothing can be recognised; teach a class")
        try:
            return self._learner.live(window_seconds=window_seconds)
        except ConfigError as error:
            raise Refusal(422, "bad_value", f"window_seconds: {error.problem}") from error


@contextmanager
def _refused(number: int) -> Iterator[None]:
    try:
        yield
    except VideoError as error:
        raise Refusal(422, "unreadable_frame", f"frame {number}: {error.problem}") from error


def _answer(given: LiveFrames, recogniser: LiveRecogniser) -> LiveAnswer:
    answer = recogniser.answer()
    shown = {} if answer is None else {"ready": True, **answer.prediction.as_json()}
    received, used = recogniser.received, recogniser.used
    return LiveAnswer.model_validate(
        {
            **shown,
            "session": given.session,
            "window_seconds": recogniser.window_seconds,
            "frames_wanted": FramesWanted(every_seconds=recogniser.frame_seconds),
            "frames": FrameCounts(received=received, used=used, dropped=received - used),
        }
    )
