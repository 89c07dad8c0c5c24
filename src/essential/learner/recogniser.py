"""What a learner is asked: what clips, features, long videos and cameras show, and how good its answers are."""

import os
from abc import ABC
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from essential.api.arrays import Features
from essential.encoders.base import Encoder
from essential.engine.settings import RunConfig
from essential.errors import ConfigError, DataError
from essential.features.provenance import Recipe, build_recipe
from essential.learner.bundle import Bundle, Lesson, damage_explained
from essential.learner.clip_results import ClipResults
from essential.learner.clips import Expanded, Given, PathLike, clips_by_class
from essential.learner.labelled_predictor import LabelledPredictor
from essential.learner.lesson import checked_features
from essential.learner.live import WINDOW_SECONDS, LiveRecogniser
from essential.learner.model import Model
from essential.learner.prediction import Prediction, Span
from essential.learner.reading import ClipReader
from essential.learner.span_results import SpanResults, compare_spans
from essential.learner.testing import Thumbnails, count_answers, labelled_paths
from essential.learner.threads import in_turn
from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import LedgerEntry
from essential.progress import Progress, phase
from essential.protocols.class_names import alike, known_as
from essential.spans.labelled_span import LabelledSpan
from essential.video.windows import WindowedVideo

_TOP = 5
_SEED_OF_VIEWS = 0


class Recogniser(ABC):  # noqa: B024 - a learner is one, and nothing else
    """A bundle and its encoder, which answer; nothing here changes what they know.

    Args:
        known: with the model on `device`.
        encoder: None if `known` takes features alone.
    """

    def __init__(self, known: Bundle, encoder: Encoder | None, *, device: torch.device, progress: Progress) -> None:
        self._known, self._encoder, self._device, self._progress = known, encoder, device, progress
        self._process_id = os.getpid()
        # The file whose numbers, which may be a stranger's, have not been used yet.
        self._untried = known.path

    @property
    def _model(self) -> Model:
        return self._known.model

    @property
    def _clip_size(self) -> tuple[int, int]:
        """Return the frames of a clip, and the numbers per frame."""
        return self.config.video.frames, self._known.encoder.dim

    @property
    def config(self) -> RunConfig:
        """All settings."""
        return self._known.config

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels known, in order of arrival."""
        return self._model.classes

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """What every `learn` was given, and its result."""
        return self._known.lessons

    @property
    def memory(self) -> list[LedgerEntry]:
        """Every byte that is kept beside the classifier and the encoder."""
        return self._model.ledger()

    @property
    def encoder(self) -> Encoder:
        """The frozen encoder; ConfigError if the learner takes features alone."""
        if self._encoder is None:
            raise ConfigError(
                f"this learner takes features of {self._clip_size[1]} numbers, and has no encoder to read videos with",
                remedy="use learn_features and predict_features, or begin a learner with an encoder",
            )
        return self._encoder

    @property
    def held_out(self) -> EpisodicMemory:
        """The clips that were not learned from, all frames of each, in 8 bits a number."""
        return self._model.held_out

    @property
    @in_turn
    def recognised(self) -> dict[str, tuple[int, int]]:
        """Of each class with clips held out: how many of these are recognised, of how many."""
        return self.labelled_predictor.recognised(self.held_out) if self.classes else {}

    @property
    @in_turn
    def labelled_predictor(self) -> LabelledPredictor:
        """The predictor, with its labels and its calibration.

        Raises:
            DataError: nothing was taught yet.
            BundleError: the numbers of the bundle are damaged.
        """
        self._refuse_unready()
        with nullcontext() if self._untried is None else damage_explained(self._untried):
            predictor = self._model.predictor
        self._untried = None
        return predictor

    def predict(self, paths: PathLike | Iterable[PathLike], *, top_k: int = _TOP) -> list[Prediction]:
        """Label clips, files or folders of them, as `stream` does; a clip that cannot be read has the reason."""
        several = [paths] if isinstance(paths, str | os.PathLike) else paths
        return list(self.stream(several, top_k=top_k))

    def stream(
        self, paths: Iterable[PathLike] | Expanded, *, top_k: int = _TOP, with_frames: bool = False
    ) -> Iterator[Prediction]:
        """Label clips one after the other, in the order of `paths`; there may be any number.

        No answer waits for the next path: whoever sends the paths may wait for each answer.

        Args:
            paths: as `Expanded` takes them, drawn in a thread; or an `Expanded`, which counts what is passed over.
            with_frames: whether each prediction carries the frames that the encoder saw.

        Raises:
            DataError: nothing was taught yet.
        """
        self._refuse_unready(top_k)
        found = paths if isinstance(paths, Expanded) else Expanded(paths)
        return self._reader().stream(found, top_k=top_k, with_frames=with_frames)

    @in_turn
    def predict_features(self, features: Features, *, top_k: int = _TOP) -> list[Prediction]:
        """Label clips by their frame features; the `path` of a prediction is the number of its row.

        Raises:
            DataError: nothing was taught yet, or the features are not (clips, frames, dim) of the learner.
        """
        self._refuse_unready(top_k)
        checked = checked_features(features, self._clip_size)
        rows = [Path(str(row)) for row in range(len(checked))]
        return self.labelled_predictor.predictions(rows, checked, top_k=top_k)

    @in_turn
    def predict_proba(self, features: Features) -> Float[np.ndarray, "clips classes"]:
        """Return the probability of every class, in the order of `classes`; see `predict_features`."""
        self._refuse_unready()
        return self.labelled_predictor.answers(checked_features(features, self._clip_size)).probabilities

    @in_turn
    def predict_spans(
        self,
        path: PathLike,
        *,
        window_seconds: float,
        stride_seconds: float | None = None,
        shortest_seconds: float | None = None,
    ) -> list[Span]:
        """Label a long video over time: windows are read as clips, and merged; see `essential.spans.merging`.

        Args:
            path: the file, of any length; it is decoded once.
            window_seconds: about the length of the clips that were taught.
            stride_seconds: from window to window; None: half a window.
            shortest_seconds: of a span: what is shorter is flicker; None: a window.

        Raises:
            DataError: nothing was taught yet.
            VideoError: the file cannot be read.
            ConfigError: such windows are not allowed.
        """
        self._refuse_unready()
        video = WindowedVideo(
            Path(path),
            frames=self.encoder.frames_read(self.config.video.frames),
            window_seconds=window_seconds,
            stride_seconds=window_seconds / 2 if stride_seconds is None else stride_seconds,
        )
        with phase(self._progress, "read windows", len(video.windows)) as progress:
            shortest = window_seconds if shortest_seconds is None else shortest_seconds
            return self._reader().spans(video, shortest_seconds=shortest, progress=progress)

    def live(self, *, window_seconds: float = WINDOW_SECONDS, every_seconds: float | None = None) -> LiveRecogniser:
        """Return what recognises the frames of a camera, as arrays, by what the learner knows now.

        Args:
            window_seconds: about the length of the clips that were taught.
            every_seconds: see `LiveRecogniser`.

        Raises:
            DataError: nothing was taught yet.
            ConfigError: see `LiveRecogniser`.
        """
        self._refuse_unready()
        return LiveRecogniser(self._reader(), window_seconds=window_seconds, every_seconds=every_seconds)

    def test(self, clips: Given, *, thumbnail_bytes: int = 0) -> ClipResults:
        """Ask about clips whose classes are known, and count the answers; `ClipResults` says what is right.

        Args:
            clips: as for `learn`; classes that were never taught are allowed.
            thumbnail_bytes: bytes of the frames of wrong clips that the result carries, for `ClipResults.write_page`.

        Raises:
            DataError: nothing was taught yet, or see `clips_by_class`.
        """
        self._refuse_unready()
        given = clips_by_class(clips, split="test")
        labels = labelled_paths(self._named(given.videos))
        if given.passed_over.line:
            self._progress.say(given.passed_over.line)
        with phase(self._progress, "test clips", len(labels)) as progress:
            results = count_answers(
                self.stream(labels, top_k=1, with_frames=thumbnail_bytes > 0),
                labels,
                classes=self.classes,
                taught=self._known.taught,
                thumbnails=Thumbnails(thumbnail_bytes),
                progress=progress,
            )
        return replace(results, passed_over=given.passed_over.counts)

    def test_spans(
        self,
        spans: Sequence[LabelledSpan],
        *,
        window_seconds: float,
        stride_seconds: float | None = None,
        shortest_seconds: float | None = None,
        overlap: float = 0.5,
    ) -> SpanResults:
        """Label the videos of labelled spans, and compare; see `essential.spans.scoring`.

        Args:
            spans: all that the videos show of the known classes: what is not labelled is none of them.
            window_seconds: see `predict_spans`, as for the next two.
            overlap: intersection over union from which on a span is found.

        Raises:
            DataError, VideoError, ConfigError: see `predict_spans` and `compare_spans`.
        """
        self._refuse_unready()
        find = partial(
            self.predict_spans,
            window_seconds=window_seconds,
            stride_seconds=stride_seconds,
            shortest_seconds=shortest_seconds,
        )
        return compare_spans(spans, find, classes=self.classes, overlap=overlap)

    @in_turn
    def save(self, path: PathLike) -> int:
        """Write the learner to one file, whole or not at all, and return its bytes; FileSystemError if it cannot."""
        return self._known.write(Path(path))

    def _named(self, by_class: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is given by class, under the names that are known; names that look alike are told."""
        named = {known_as(name, self.classes): given for name, given in by_class.items()}
        for warning in alike(dict.fromkeys((*self.classes, *named))):
            self._progress.say(warning)
        return named

    def _recipe(self) -> Recipe:
        video, features = self.config.video, self.config.features
        if not self._model.method.is_trained:
            features = features.model_copy(update={"views": 0})
        return build_recipe(features, self.encoder, augment=video.augment, frames=video.frames, seed=_SEED_OF_VIEWS)

    def _reader(self) -> ClipReader:
        return ClipReader(self.labelled_predictor, self._recipe(), self.config.features, self.config.training.threads)

    def _refuse_unready(self, top_k: int = 1) -> None:
        if not self.classes:
            raise DataError(
                "nothing was taught yet, so nothing can be recognised",
                remedy="teach a class first, by learn(...) or essential learn",
            )
        if top_k < 1:
            raise ConfigError(f"top_k={top_k} is not allowed; ask for 1 label or more")
        self._refuse_fork()

    def _refuse_fork(self) -> None:
        if self._device.type == "cuda" and os.getpid() != self._process_id:
            raise ConfigError(
                "a learner on a GPU cannot be used in a process that was forked; start the processes by spawn, or load "
                "the bundle in each with overrides=['training.device=cpu']"
            )
