"""The learner: it learns classes, predicts them, forgets them, and is kept in one file.

One `learn` is one task of the engine that runs use. What differs from a run: clips come from anywhere, their features
are held in memory while they are learned, and only the bundle is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from essential.api.arrays import Features
from essential.encoders import refuse_without_tower
from essential.encoders.base import Encoder
from essential.engine.settings import RunConfig, choose_device
from essential.engine.turns import turn
from essential.engine.workspace import FeatureOrigin, open_encoder
from essential.errors import BundleError, ConfigError
from essential.features.precision import refuse_precision
from essential.learner.bundle import Bundle, Lesson, model_settings, new_settings
from essential.learner.class_changes import forgotten, renamed
from essential.learner.clips import Given, PathLike, clips_by_class, refuse_known, refuse_same_content
from essential.learner.lesson import LessonClips, clips_of_features, read_clips
from essential.learner.lesson_words import LessonWords, words_of_lesson
from essential.learner.model import Model
from essential.learner.recogniser import Recogniser
from essential.learner.threads import in_turn
from essential.progress import QUIET, Progress
from essential.protocols.class_names import alike
from essential.spans.labelled_span import LabelledSpan

Number = TypeVar("Number")


def _plain(number: Number) -> Number | int:
    """Return an integer of numpy as Python's own, and anything else as it is."""
    return int(number) if isinstance(number, np.integer) else number


class VideoLearner(Recogniser):
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
        settings, progress = settings.with_absolute_paths(), progress or QUIET
        device = choose_device(settings.training.device)
        with turn(settings.training.threads):
            origin, opened = _origin(settings, bundle, feature_dim, device=device, progress=progress)
            model = Model.new(own, origin.dim) if bundle is None else bundle.model
            model.method.network.to(device)
        known = replace(bundle or Bundle(settings, origin, model), config=settings, encoder=origin)
        super().__init__(known, opened, device=device, progress=progress)

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
        for warning in alike(self.classes):
            self._progress.say(warning)

    def _allowed(self, by_class: Mapping[str, Any], *, more_of_known: bool) -> dict[str, Any]:
        """Return what is given by class, under the names that are known; refuse these unless `more_of_known`."""
        named = self._named(by_class)
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
        lessons = (*self.lessons, lesson)
        self._known = replace(
            self._known, config=spoken.config, model=model, lessons=lessons, taught=taught, text_tower=spoken.text_tower
        )
        self._untried = None
        return lesson


def _origin(
    config: RunConfig, bundle: Bundle | None, feature_dim: int | None, *, device: torch.device, progress: Progress
) -> tuple[FeatureOrigin, Encoder | None]:
    if feature_dim is not None:
        try:
            return FeatureOrigin("features", "", feature_dim), None
        except ValueError:
            problem = f"feature_dim={feature_dim!r} is not allowed"
            raise ConfigError(problem, remedy="give the numbers per frame") from None
    if bundle is not None and not bundle.encoder.fingerprint:  # features were given as arrays
        return bundle.encoder, None
    encoder = open_encoder(config, device, progress)
    origin = FeatureOrigin.of(encoder)
    if bundle is not None and bundle.encoder.fingerprint != origin.fingerprint:
        taught = bundle.encoder
        raise BundleError(
            f"{bundle.path} was taught with features of {taught.name!r} (fingerprint {taught.fingerprint[:12]}), "
            f"and this is {origin.name!r} ({origin.fingerprint[:12]})",
            remedy="give the weights that it was taught with: -s encoder.weights=FILE",
        )
    try:
        refuse_precision(config.features.precision, encoder)
    except ConfigError as error:
        if bundle is None:
            raise
        raise BundleError(error.problem, where=bundle.path, remedy=error.remedy) from error
    return origin, encoder
