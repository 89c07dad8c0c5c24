"""A scikit-learn classifier of frame features that learns new classes with every `partial_fit`."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from essential.api.run_arrays import method_config
from essential.engine.config import training_config
from essential.engine.turns import turn
from essential.learner.lesson import LessonClips
from essential.learner.model import Model, ModelSettings
from essential.progress import Progress

_MOST_SEED = 2**31


class IncrementalClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A class-incremental classifier: each `partial_fit` is one task, and keeps no old clips but exemplars.

    Labels that are new in a `partial_fit` are new classes; known ones get further clips. `fit` forgets all, and learns
    every class in one task. The default method, SLDA, is computed in closed form: it needs no epochs, no exemplars and
    no random number. A method that trains wants more clips, and epochs that suit them.

    Args:
        method: a shipped method, such as `icarl`, but none that needs all old clips again.
        frames: of a clip: a row of X holds them one after the other; None: X is (clips, frames, dim).
        exemplars_per_class: None: as the method's config says.
        epochs: on the clips of a task; no effect on a method in closed form.
        held_out_per_class: clips of a class, of five or more, that are not learned from but calibrate `predict_proba`.
        settings: further settings of the method, such as `{"classifier": {"heads": 1}}`.
        training: further settings of the training, such as `{"learning_rate": 0.01}`.
        random_state: what every random choice derives from.

    Attributes:
        classes_: the labels known, sorted: the columns of `predict_proba`.
        arrived_: the labels in order of arrival.
        frames_: frames of a clip.
        model_: what was learned.
    """

    model_: Model
    classes_: np.ndarray[Any, np.dtype[Any]]
    arrived_: np.ndarray[Any, np.dtype[Any]]
    frames_: int

    def __init__(
        self,
        method: str = "slda",
        *,
        frames: int | None = 1,
        exemplars_per_class: int | None = None,
        epochs: int = 30,
        held_out_per_class: int = 0,
        settings: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.method = method
        self.frames = frames
        self.exemplars_per_class = exemplars_per_class
        self.epochs = epochs
        self.held_out_per_class = held_out_per_class
        self.settings = settings
        self.training = training
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "IncrementalClassifier":
        """Forget all, and learn every class of y in one task.

        Args:
            X: (clips, frames * dim), or (clips, frames, dim) if `frames` is None.
            y: labels.

        Raises:
            ValueError: X or y cannot be used.
            ConfigError: a setting is not allowed, or does not fit the clips.
            TrainingError: a loss is not finite.
        """
        return self._learn(X, y, begins=True)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> "IncrementalClassifier":
        """Learn one more task: new classes, and further clips of known ones.

        A known class in a later call becomes a further slot, whose probability is added to that of its earlier ones.
        Slots are never merged: model and memory grow with every call, and SLDA learns no covariance from calls of one
        clip a class. So collect small batches, and give them in one call; after many calls only `fit` on all clips has
        one slot a class again.

        Args:
            X: as for `fit`.
            y: as for `fit`.
            classes: all labels that y may hold; None: any. Labels are known only when there were clips of them.

        Raises:
            ValueError, ConfigError, TrainingError: see `fit`.
        """
        if classes is not None:
            _refuse_other_kind(np.asarray(y), np.asarray(classes), "classes holds")
            if len(unlisted := np.setdiff1d(y, classes)):
                raise ValueError(f"y holds {unlisted[0]}, which is not in classes")
        return self._learn(X, y, begins=not self.__sklearn_is_fitted__())

    def predict(self, X: Any) -> np.ndarray[Any, np.dtype[Any]]:
        """Return the most probable class of each clip."""
        probabilities = self.predict_proba(X)
        labels: np.ndarray[Any, np.dtype[Any]] = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def predict_proba(self, X: Any) -> Float[np.ndarray, "clips classes"]:
        """Return the probability of each class, in the order of `classes_`."""
        check_is_fitted(self)
        features = self._clips(X)
        with turn(self.model_.settings.training.threads):
            labels, probabilities, _ = self.model_.predictor.answers(features)
        # The model knows a class by its number in order of arrival.
        return probabilities[:, np.argsort(self.arrived_[[int(label) for label in labels]], kind="stable")]

    def __sklearn_is_fitted__(self) -> bool:
        return "model_" in vars(self)

    def _learn(self, X: Any, y: Any, *, begins: bool) -> "IncrementalClassifier":
        before = self.__dict__.copy()
        try:
            return self._learned(X, y, begins=begins)
        except BaseException:
            # What scikit-learn notes of X would belong to another model.
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _learned(self, X: Any, y: Any, *, begins: bool) -> "IncrementalClassifier":
        features, labels = self._clips(X, y, begins=begins)
        check_classification_targets(labels)
        _refuse_other_kind(labels, labels if begins else self.arrived_, "the labels so far are")
        model = self._new_model(features.shape[2]) if begins else self.model_
        known = np.array([], labels.dtype) if begins else self.arrived_
        new = np.setdiff1d(labels, known)
        arrived = np.concatenate([known, new])
        own, places = np.unique(labels, return_inverse=True)
        numbers = [str(np.flatnonzero(arrived == label)[0]) for label in own]
        order = np.argsort(places, kind="stable")
        clips = LessonClips(tuple(numbers), places[order], [*map(str, order)], [*features[order, None]], ())
        with turn(model.settings.training.threads):
            self.model_, _ = model.learned(clips, Progress())
        self.arrived_, self.classes_ = arrived, np.sort(arrived)
        return self

    def _new_model(self, dim: int) -> Model:
        own = {} if self.exemplars_per_class is None else {"exemplars_per_class": self.exemplars_per_class}
        seed = int(check_random_state(self.random_state).randint(_MOST_SEED))
        config = method_config(self.method, {**(self.settings or {}), **own}, seed=seed)
        training = training_config(self.training, {"epochs": self.epochs})
        settings = ModelSettings(
            config.method, training, config.features, self.frames_, seed, int(self.held_out_per_class)
        )
        with turn(training.threads):
            return Model.new(settings, dim)

    def _clips(self, X: Any, y: Any = "no_validation", *, begins: bool = False) -> Any:
        """Return X as (clips, frames, dim) of float32, and y where it is given."""
        frames, held_out = self.frames, self.held_out_per_class
        if frames is not None and (not _is_whole(frames) or frames < 1):
            raise ValueError(f"frames={frames!r} is not allowed; give a whole number of 1 or more, or None")
        if not _is_whole(held_out) or held_out < 0:
            raise ValueError(f"held_out_per_class={held_out!r} is not allowed; give a whole number of 0 or more")
        if frames is None:
            X = np.asarray(X)
            if X.ndim != 3:
                raise ValueError(f"frames=None takes X of the shape (clips, frames, dim); it has {X.shape}")
            frames = X.shape[1]
            X = X.reshape(len(X), -1)
        checked = validate_data(self, X, y, reset=begins, dtype=np.float32)
        rows, *labels = checked if isinstance(checked, tuple) else (checked,)
        if frames < 1 or rows.shape[1] % frames:
            raise ValueError(f"frames={frames} does not divide rows of {rows.shape[1]} numbers")
        if begins:
            self.frames_ = int(frames)
        elif frames != self.frames_:
            raise ValueError(
                f"X has clips of {frames} frames, but {type(self).__name__} was fitted with {self.frames_}"
            )
        clips = rows.reshape(len(rows), frames, -1)
        return (clips, *labels) if labels else clips


# What labels are, by numpy's letter of their type; those of one kind are told apart by their values.
_KINDS = {"b": "booleans", "i": "integers", "u": "integers", "f": "floats", "U": "text", "S": "bytes"}


def _refuse_other_kind(labels: np.ndarray[Any, Any], known: np.ndarray[Any, Any], known_are: str) -> None:
    """Refuse labels that numpy would merge with those known: 0 and "0", 1 and True."""
    kinds, of_known = _kinds(labels), _kinds(known)
    if len(kinds) > 1:
        raise ValueError(f"y holds {' and '.join(sorted(kinds))}; give labels of one kind")
    if len(known) and kinds != of_known:
        raise ValueError(
            f"y holds {' and '.join(sorted(kinds))}, but {known_are} {' and '.join(sorted(of_known))}; "
            "give labels of one kind"
        )


def _kinds(labels: np.ndarray[Any, Any]) -> set[str]:
    if labels.dtype.kind != "O":
        return {_KINDS.get(labels.dtype.kind, str(labels.dtype))}
    kinds = {np.asarray(label).dtype for label in labels.ravel()}
    return {_KINDS.get(kind.kind, str(kind)) for kind in kinds}


def _is_whole(number: object) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)
