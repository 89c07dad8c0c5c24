"""Recognising what a camera shows now: frames in, one by one, and answers of the last seconds out.

Nothing is read or timed here: whoever gives a frame says when it came, so the same frames give the same answers. A
window has the same frames as one of `predict_spans` where these come at the moments of its grid (see `FrameGrid`).

Each frame is computed once, when it comes: its features, where the encoder takes single frames; its pixels at the
encoder's size, where it takes a clip, which is then encoded for each answer.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from essential.engine.turns import turn
from essential.errors import ConfigError, DataError
from essential.features.cores import cpu_cores, device_of, encoding_seconds, torch_threads
from essential.features.pipeline import ClipEncoder
from essential.features.provenance import Recipe
from essential.learner.prediction import Prediction, ShortClip
from essential.learner.reading import ClipReader
from essential.video.frame_grid import FrameGrid
from essential.video.views import plain_view

WINDOW_SECONDS, EVERY_SECONDS = 2.0, 0.5
TOP = 5
_PATH = Path("live")
_ROUNDING_SECONDS = 1e-6

Frame = UInt8[np.ndarray, "height width 3"]
Features = Float[np.ndarray, "clips frames dim"]


@dataclass(frozen=True, eq=False)
class LiveAnswer:
    """What the last seconds show.

    Attributes:
        seconds: when the newest frame of the window came, by the clock of whoever gave it.
        prediction: of the window; its `short_clip` says if frames stand in for others that did not come.
    """

    seconds: float
    prediction: Prediction


class _Seen(NamedTuple):
    """A frame in the window: when it came, and its features or its pixels."""

    seconds: float
    content: Tensor


class LiveRecogniser:
    """Answers what the last seconds of a camera show; `VideoLearner.live` makes one, and says what it knows.

    After a pause longer than a window it begins anew. `received`, `used` and `repeated` count frames: those given,
    those that came into a window, and how often one of these stood in for one that did not come.

    Args:
        reader: of the learner's clips.
        window_seconds: what one answer is of.
        every_seconds: from answer to answer; None: `EVERY_SECONDS`, or as often as frames are needed.

    Raises:
        ConfigError: a number is not above 0, or answers would come more often than frames are needed.
    """

    def __init__(self, reader: ClipReader, *, window_seconds: float, every_seconds: float | None = None) -> None:
        recipe = reader.recipe
        if not 0 < window_seconds < math.inf:
            raise ConfigError(f"a window of {window_seconds} s is not allowed; give a number of seconds above 0")
        self.window_seconds, self.frames = window_seconds, recipe.frames_read
        self.frame_seconds = window_seconds / self.frames
        self.every_seconds = max(EVERY_SECONDS, self.frame_seconds) if every_seconds is None else every_seconds
        if not self.frame_seconds <= self.every_seconds < math.inf:
            raise ConfigError(
                f"an answer every {every_seconds} s is not allowed: a window of {window_seconds:g} s has {self.frames} "
                f"frames, one every {self.frame_seconds:.3g} s",
                remedy="give that many seconds or more, or a shorter window",
            )
        self.received = self.used = self.repeated = 0
        self._predictor, self._pixel_format = reader.predictor, recipe.encoder.pixel_format
        clip_seconds = window_seconds if recipe.encoder.per_frame else self.every_seconds
        self._threads = _threads(recipe, reader.threads, clip_seconds=clip_seconds)
        self._content, self._features = _computing(recipe)
        self._grid = FrameGrid(self.frame_seconds)
        self._window: deque[_Seen] = deque(maxlen=self.frames)
        # Since the last answer; the first one waits for the window alone.
        self._waited_seconds = self.every_seconds
        self._last = -math.inf

    def push(self, frame: Frame, seconds: float, *, top_k: int = TOP) -> LiveAnswer | None:
        """Take the next frame, and return an answer if one is due; none is before the first window is full.

        Args:
            frame: RGB. Those of OpenCV are BGR: give `frame[..., ::-1]`.
            seconds: when it came, by any clock that does not go back, such as `time.monotonic`.
            top_k: how many labels the answer has at most.

        Raises:
            DataError: the time is not after that of the frame before, or the frame has another shape or type.
        """
        self.add(frame, seconds)
        return self.answer(top_k=top_k) if self.answers_due else None

    @property
    def answers_due(self) -> int:
        """How many answers might have been given since the last one; whoever is behind gives one for all."""
        is_full = len(self._window) == self.frames
        return int((self._waited_seconds + _ROUNDING_SECONDS) / self.every_seconds) if is_full else 0

    def needs(self, seconds: float) -> bool:
        """Return whether a frame of that time would be used; others may be given to `pass_over`, undecoded."""
        return self._grid.needs(seconds)

    def pass_over(self, seconds: float) -> None:
        """Take the time of a frame that is not needed; DataError as of `push`."""
        self._arrive(seconds)

    def add(self, frame: Frame, seconds: float) -> None:
        """Take the next frame; arguments and errors as of `push`."""
        is_image = isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3
        if not (is_image and frame.shape[2] == 3 and frame.size):
            found = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise DataError(f"a frame is {found}; give an array of uint8 (height, width, 3), RGB")
        moments = self._arrive(seconds)
        if not moments:
            return
        if moments > self.frames:
            self._window.clear()
            moments = 1
        with turn(self._threads):
            with torch_threads(1):  # a frame is too small to share
                pixels = plain_view(frame[None], self._pixel_format)
            self._window.extend([_Seen(seconds, self._content(pixels))] * moments)
        self.used += 1
        self.repeated += moments - 1
        self._waited_seconds += moments * self.frame_seconds

    def answer(self, *, top_k: int = TOP) -> LiveAnswer | None:
        """Return what the window shows now, due or not; None while it is not full."""
        if len(self._window) < self.frames:
            return None
        with turn(self._threads):
            features = self._features(torch.stack([seen.content for seen in self._window]))
            (prediction,) = self._predictor.predictions([_PATH], features, top_k=top_k)
        # So that answers keep their rate; but what is missed is not made up for.
        self._waited_seconds = max(0.0, self._waited_seconds - self.every_seconds) % self.frame_seconds
        different = len({seen.seconds for seen in self._window})
        short_clip = ShortClip(different, self.frames) if different < self.frames else None
        return LiveAnswer(self._window[-1].seconds, replace(prediction, short_clip=short_clip))

    def _arrive(self, seconds: float) -> int:
        """Count a frame, and return for how many moments it stands."""
        if not self._last < seconds < math.inf:
            raise DataError(f"a frame of {seconds} s came after one of {self._last} s; give times that grow")
        self._last = seconds
        self.received += 1
        return self._grid.pass_moments(seconds)


def _threads(recipe: Recipe, most: int | None, *, clip_seconds: float) -> int | None:
    """Return how many threads encode a clip every so many seconds, and are idle for half of the time.

    More of them would wait for each other beside the thread that decodes: of two cores that others use too, a small
    network was seen to take ten times as long with two threads as with one.
    """
    if device_of(recipe.encoder).type != "cpu":
        return most
    return min(most or cpu_cores(), max(1, math.ceil(2 * encoding_seconds(recipe) / clip_seconds)))


def _computing(recipe: Recipe) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Features]]:
    """Return what is kept of a frame's pixels (1, 3, size, size), and the features of a window of that."""
    is_single = recipe.encoder.per_frame
    frames = 1 if is_single else recipe.frames
    encoder = ClipEncoder(recipe.encoder, frames=frames, batch_clips=1, precision=recipe.precision)

    def encoded(clip: Tensor) -> Features:
        ((_, features),) = chain(encoder.add(0, clip[None]), encoder.finish())
        return features

    if is_single:
        return lambda pixels: torch.from_numpy(encoded(pixels)[0, 0]), lambda window: window[None].numpy()
    return lambda pixels: pixels[0], encoded
