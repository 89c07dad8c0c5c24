"""The learner: it learns classes, predicts them, forgets them, and is kept in one file.

One `learn` is one task of the engine that runs use. What differs from a run: clips come from anywhere, their features
are held in memory while they are learned, and only the bundle is written.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from essential.api.arrays import Features
from essential.encoders import refuse_without_tower
from essential.encoders.base import Encoder
from essential.engine.settings import choose_device
from essential.engine.turns import turn
from essential.engine.workspace import FeatureOrigin, open_encoder
from essential.errors import BundleError, ConfigError, DataError
from essential.features.precision import refuse_precision
from essential.features.provenance import Recipe, build_recipe
from essential.learner.bundle import Bundle, Lesson, damage_explained, model_settings, new_settings
from essential.learner.class_changes import forgotten, renamed
from essential.learner.clip_results import ClipResults
from essential.learner.clips import (
    Expanded,
    Given,
    PathLike,
    clips_by_class,
    refuse_known,
    refuse_same_content,
)
from essential.learner.labelled_predictor import LabelledPredictor
from essential.learner.lesson import LessonClips, checked_features, clips_of_features, read_clips
from essential.learner.lesson_words import LessonWords, words_of_lesson
from essential.learner.live import WINDOW_SECONDS, LiveRecogniser
from essential.learner.model import Model
from essential.learner.prediction import Prediction, Span
from essential.learner.reading import ClipReader
from essential.learner.span_results import SpanResults, compare_spans
from essential.learner.testing import Thumbnails, count_answers, labelled_paths
from essential.learner.threads import in_turn
from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import LedgerEntry
from essential.progress import QUIET, Progress, phase
from essential.protocols.class_names import alike, known_as
from essential.spans.labelled_span import LabelledSpan
from essential.video.windows import WindowedVideo

_TOP = 5
_SEED_OF_VIEWS = 0

Number = TypeVar("Number")


def _plain(number: Number) -> Number | int:
    """Return an integer of numpy as Python's own, and anything else as it is."""
    return int(number) if isinstance(number, np.integer) else number


class VideoLearner:
    """A video classifier that learns class after class.

    Args:
        encoder: the frozen encoder: `clip-vit-b16`, `efficientnet-lite0`, or another; None: the config's, which is
            `auto` in `own/*`: the first where its weights are on this machine, else the second.
        method: how it learns, such as `icarl`; None: the config's.
        memory_budget_bytes: cap on all that is kept of old clips, exemplars and the clips held out, MR modules apart;
            None: as many exemplars per class as the config says.
        config: a shipped config or a YAML file, for all other settings; None: `own/spectral`, or with a method
            `own/essential`. Its data and tasks have no meaning here.
        overrides: such as `training.epochs=60`.
        held_out_per_class: clips of a class, of five or more, that are not learned from but kept, to calibrate
            probabilities and the threshold of the out-of-distribution score; 0: neither is calibrated.
        feature_dim: numbers per frame of features that you have: the learner then needs no encoder, and reads no video.
        bundle: what it continues from, instead of new settings; see `load`.

    Raises:
        ConfigError: no such encoder, method, config or setting, or a budget for a method that keeps nothing.
        BundleError: the bundle is damaged, was taught with another encoder, or in a precision that this machine cannot
            compute.
        CheckpointError: the encoder's weights are missing or damaged.
    """

    def __init__(
        self,
        *,
        encoder: str | None = None,
        method: str | None = None,
        memory_budget_bytes: int | None = None,
        config: str | None = None,
        overrides: Sequence[str] = (),
        held_out_per_class: int = 4,
        feature_dim: int | None = None,
        progress: Progress | None = None,
        bundle: Bundle | None = None,
    ) -> None:
        feature_dim, memory_budget_bytes = _plain(feature_dim), _plain(memory_budget_bytes)
        held_out_per_class = _plain(held_out_per_class)
        if encoder is not None and feature_dim is not None:
            raise ConfigError("a learner has an encoder, or takes features alone", remedy="give encoder or feature_dim")
        if bundle is not None and (encoder or method or memory_budget_bytes or feature_dim or overrides):
            raise ConfigError("a bundle's settings are fixed", remedy="give the bundle alone, or new settings alone")
        if bundle is None:
            asked = {"encoder": encoder, "method": method, "config": config}
            settings = new_settings(**asked, overrides=overrides, budget_bytes=memory_budget_bytes)
            own = model_settings(settings, held_out_per_class)  # refused before an encoder is loaded
            if settings.needs_words:
                refuse_without_tower(settings.encoder)
        else:
            settings = bundle.config
        self.config = settings.with_absolute_paths()
        self._progress = progress or QUIET
        self._device = choose_device(settings.training.device)
        self._process_id = os.getpid()
        with turn(settings.training.threads):
            origin, self._encoder = self._open_encoder(bundle, feature_dim)
            model = Model.new(own, origin.dim) if bundle is None else bundle.model
            model.method.network.to(self._device)
        self._known = replace(bundle or Bundle(self.config, origin, model), config=self.config, encoder=origin)
        self._clip_size = (settings.video.frames, origin.dim)
        # The file whose numbers, which may be a stranger's, have not been used yet.
        self._untried = None if bundle is None else bundle.path

    def _open_encoder(self, bundle: Bundle | None, feature_dim: int | None) -> tuple[FeatureOrigin, Encoder | None]:
        if feature_dim is not None:
            try:
                return FeatureOrigin("features", "", feature_dim), None
            except ValueError:
                problem = f"feature_dim={feature_dim!r} is not allowed"
                raise ConfigError(problem, remedy="give the numbers per frame") from None
        if bundle is not None and not bundle.encoder.fingerprint:  # features were given as arrays
            return bundle.encoder, None
        encoder = open_encoder(self.config, self._device, self._progress)
        origin = FeatureOrigin.of(encoder)
        if bundle is not None and bundle.encoder.fingerprint != origin.fingerprint:
            taught = bundle.encoder
            raise BundleError(
                f"{bundle.path} was taught with features of {taught.name!r} (fingerprint {taught.fingerprint[:12]}), "
                f"and this is {origin.name!r} ({origin.fingerprint[:12]})",
                remedy="give the weights that it was taught with: -s encoder.weights=FILE",
            )
        try:
            refuse_precision(self.config.features.precision, encoder)
        except ConfigError as error:
            if bundle is None:
                raise
            raise BundleError(error.problem, where=bundle.path, remedy=error.remedy) from error
        return origin, encoder

    @classmethod
    def load(cls, path: PathLike, *, overrides: Sequence[str] = (), progress: Progress | None = None) -> "VideoLearner":
        """Read a learner from the file that `save` wrote.

        Args:
            path: the file.
            overrides: see `Bundle.read`.

        Raises:
            BundleError: it is missing, damaged, of a newer version, or was taught with another encoder.
            ConfigError, CheckpointError: an override cannot be used.
        """
        return cls(bundle=Bundle.read(Path(path), overrides), progress=progress)

    @in_turn
    def save(self, path: PathLike) -> int:
        """Write the learner to one file, whole or not at all, and return its bytes; FileSystemError if it cannot."""
        return self._known.write(Path(path))

    @property
    def _model(self) -> Model:
        return self._known.model

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

    @in_turn
    def learn(
        self,
        clips: Given | Sequence[LabelledSpan],
        *,
        more_of_known: bool = False,
        describe: Mapping[str, str] | None = None,
    ) -> Lesson:
        """Learn classes from their clips; the clips are not needed again.

        It is done wholly or not at all: after an error the learner is as it was.

        Args:
            clips: {"class": [paths]}, or a folder laid out as DIR/<class>/*.mp4; or labelled spans, each of which is a
                clip, see `read_spans` and `cut_spans`; or what `clips_by_class` gave.
            more_of_known: allow further clips of known classes.
            describe: for a method with words, texts in the place of the names of some of the classes; they are kept.

        Raises:
            DataError: see `clips_by_class` and `read_clips`; a class is known, or two clips have the same content.
            ConfigError: the memory budget cannot hold one exemplar of every class, or see `words_of_lesson`.
            BundleError, CheckpointError: see `words_of_lesson`.
            TrainingError: a loss is not finite.
        """
        self._refuse_fork()
        recipe = self._recipe()
        given = clips_by_class(clips)
        if given.line:
            self._progress.say(given.line)
        by_class = self._allowed(given.videos, more_of_known=more_of_known)
        spoken = words_of_lesson(self._known, [*by_class], describe or {})
        first_slot, config = len(self._model.labels), self.config.features
        read = read_clips(by_class, first_slot=first_slot, recipe=recipe, config=config, progress=self._progress)
        return self._learn(read, spoken, passed_over=given.passed_over.counts)

    @in_turn
    def learn_features(
        self,
        features: Features | Mapping[str, Features],
        labels: Sequence[str] | None = None,
        *,
        more_of_known: bool = False,
    ) -> Lesson:
        """Learn classes from frame features, as `learn` does from videos; the features are not needed again.

        Args:
            features: {"class": (clips, frames, dim)}; or (clips, frames, dim) of all, with `labels`. Floating-point
                numbers: of the learner's encoder, or of any other where the learner has none.
            labels: the class of every clip.
            more_of_known: allow further clips of known classes.

        Raises:
            DataError: see `clips_of_features`; a class is known, or two clips have the same content.
            ConfigError, TrainingError: see `learn`.
        """
        self._refuse_fork()
        clips = clips_of_features(features, labels, self._clip_size)
        classes = tuple(self._allowed(dict.fromkeys(clips.classes), more_of_known=more_of_known))
        return self._learn(replace(clips, classes=classes), words_of_lesson(self._known, classes, {}))

    @in_turn
    def forget(self, name: str) -> None:
        """Forget a class: its exemplars, its held-out clips and its name are deleted; it is never predicted again.

        What the weights have learned from its clips is not undone, nor the statistics that some methods keep of
        classes; a learner that never saw them is a new one.

        Raises:
            DataError: no class has that name.
        """
        self._known = forgotten(self._known, name)
        self.config = self._known.config

    @in_turn
    def rename(self, name: str, to: str, *, merge: bool = False) -> None:
        """Give a class another name; no number that answers changes but the calibration of two that become one.

        Exemplars keep the names of their files, and the text vectors of a method with words are those of the name that
        was taught.

        Args:
            name: a known class.
            to: its new name.
            merge: `to` is another known class, and the two become one: its probability is the sum of theirs.

        Raises:
            DataError: no class has that name; the new name is none, is known without `merge`, or is not with it.
            ConfigError: a method with words would be told the same of two classes.
        """
        self._known = renamed(self._known, name, to, merge=merge)
        self.config = self._known.config
        for warning in alike(self.classes):
            self._progress.say(warning)

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
        labels = labelled_paths(self._allowed(given.videos, more_of_known=True))
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

    def _allowed(self, by_class: Mapping[str, Any], *, more_of_known: bool) -> dict[str, Any]:
        """Return what is given by class, under the names that are known; refuse these unless `more_of_known`."""
        named = {known_as(name, self.classes): given for name, given in by_class.items()}
        for warning in alike(dict.fromkeys((*self.classes, *named))):
            self._progress.say(warning)
        if not more_of_known:
            refuse_known(named, self.classes)
        return named

    def _learn(
        self, clips: LessonClips, spoken: LessonWords, *, passed_over: Mapping[str, int] | None = None
    ) -> Lesson:
        labels = {key: clips.classes[place] for key, place in zip(clips.keys, clips.places.tolist(), strict=True)}
        hashes = dict(zip(clips.keys, clips.hashes, strict=True))
        taught = self._known.taught
        refuse_same_content(hashes, labels, taught)
        # Those of which no clip can be read are refused, so the words are of the same classes.
        model, held_out = self._model.learned(clips, self._progress, spoken.words)
        right, of = np.sum([(0, 0), *model.predictor.recognised(model.held_out).values()], axis=0).tolist()
        accuracy = right / of if of else None
        lesson = Lesson(clips.classes, clips.counts, held_out, clips.skipped, accuracy, passed_over or {})
        taught = {**taught, **{content: labels[key] for key, content in hashes.items()}}
        lessons, self.config = (*self.lessons, lesson), spoken.config
        self._known = replace(
            self._known, config=spoken.config, model=model, lessons=lessons, taught=taught, text_tower=spoken.text_tower
        )
        self._untried = None
        return lesson

    def _recipe(self) -> Recipe:
        video, features = self.config.video, self.config.features
        if not self._model.method.is_trained:
            features = features.model_copy(update={"views": 0})
        return build_recipe(features, self.encoder, augment=video.augment, frames=video.frames, seed=_SEED_OF_VIEWS)

    def _reader(self) -> ClipReader:
        return ClipReader(self.labelled_predictor, self._recipe(), self.config.features, self.config.training.threads)

    def _refuse_unready(self, top_k: int = 1) -> None:
        if not self.classes:
            raise DataError("nothing was taught yet, so nothing can be recognised; teach a class first: learn(...)")
        if top_k < 1:
            raise ConfigError(f"top_k={top_k} is not allowed; ask for 1 label or more")
        self._refuse_fork()

    def _refuse_fork(self) -> None:
        if self._device.type == "cuda" and os.getpid() != self._process_id:
            raise ConfigError(
                "a learner on a GPU cannot be used in a process that was forked; start the processes by spawn, or load "
                "the bundle in each with overrides=['training.device=cpu']"
            )
