"""The clips of one lesson, read from videos or given as arrays of features, as a task for a method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from essential.errors import DataError
from essential.features.config import FeaturesConfig
from essential.features.lookup import refuse_broken
from essential.features.pipeline import EncodedVideo, encode_each
from essential.features.provenance import Recipe
from essential.methods.contract import Batch
from essential.progress import Progress, phase
from essential.protocols.class_names import class_name
from essential.protocols.protocol import Video

# Of the SHA-256 of a clip that was taught: enough to know it again.
_HASH_LETTERS = 16

FeaturesByClass = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class LessonClips:
    """Clips of classes, with the features of one view or more.

    Attributes:
        classes: in order of arrival.
        places: each clip's class, as its place in `classes`.
        keys: what messages and the memory call each clip.
        features: of every clip; of its views the plain one comes first.
        hashes: of each clip's content.
        skipped: why each clip that is left out could not be read.
    """

    classes: tuple[str, ...]
    places: Int[np.ndarray, " clips"]
    keys: Sequence[str]
    features: Sequence[Float[np.ndarray, "views frames dim"]] | Float[np.ndarray, "clips views frames dim"]
    hashes: Sequence[str]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> tuple[int, ...]:
        """Clips of each class."""
        return tuple(np.bincount(self.places, minlength=len(self.classes)).tolist())

    def view(self, rows: Int[np.ndarray, " some"], view: int) -> Float[np.ndarray, "some frames dim"]:
        """Return one view of some of the clips."""
        return np.stack([self.features[row][view] for row in rows.tolist()])


@dataclass(frozen=True, eq=False)
class LessonTask:
    """Some rows of the clips as a method's task; see `methods.contract.TaskData`."""

    index: int
    slots: range
    clips: LessonClips
    rows: Int[np.ndarray, " rows"]

    def plain(self) -> "_View":
        """Return the plain view."""
        return _View(self, 0)

    def epoch(self, epoch: int) -> "_View":
        """Return the augmented view whose turn it is; the plain view if there is no other."""
        augmented = len(self.clips.features[0]) - 1
        return _View(self, 1 + epoch % augmented if augmented else 0)


class _View:
    """One view of a task; see `methods.contract.BatchTable`."""

    def __init__(self, task: LessonTask, view: int) -> None:
        self._task, self._view = task, view
        self.names = [task.clips.keys[row] for row in task.rows.tolist()]
        self.slots = torch.from_numpy(task.clips.places[task.rows] + task.slots.start)

    def __len__(self) -> int:
        return len(self.slots)

    def rows(self, indices: Int[Tensor, " batch"]) -> Batch:
        """Gather dense clips."""
        task = self._task
        features = torch.from_numpy(task.clips.view(task.rows[indices.numpy()], self._view)).float()
        positions = torch.arange(features.shape[1]).expand(features.shape[:2])
        return Batch(features, positions, self.slots[indices], torch.full_like(indices, task.index))


def read_clips(
    by_class: Mapping[str, Sequence[Path]],
    *,
    first_slot: int,
    recipe: Recipe,
    config: FeaturesConfig,
    progress: Progress,
) -> LessonClips:
    """Decode and encode the videos of each class.

    Args:
        by_class: files, by the name of the class.
        first_slot: the slot of the first class.
        recipe: the encoder, and the views.
        config: workers, and what a broken video means.
        progress: told how far it is.

    Raises:
        DataError: a video is broken and the config says to fail, or no clip of a class can be read.
    """
    videos = _videos(by_class, first_slot)
    request = recipe.request(tuple(range(recipe.views + 1)))
    encoded: dict[int, EncodedVideo] = {}

    def consume(place: int, one: EncodedVideo) -> None:
        encoded[place] = one
        progress.advance(len(encoded), total=len(videos))

    with phase(progress, "read clips", len(videos)):
        encode_each([(video, request) for video in videos], consume, recipe=recipe, config=config)
    skipped = {videos[place].key: one.note.broken for place, one in sorted(encoded.items()) if one.note.broken}
    refuse_broken(skipped, config.on_broken_video)
    read = [(video, encoded[place]) for place, video in enumerate(videos) if encoded[place].features is not None]
    places = np.array([int(video.label) - first_slot for video, _ in read], np.int64)
    _refuse_bare(set(range(len(by_class))) - set(places.tolist()), [*by_class], skipped)
    return LessonClips(
        classes=tuple(by_class),
        places=places,
        keys=[video.key for video, _ in read],
        features=[one.features for _, one in read if one.features is not None],
        hashes=[(one.note.sha256 or "")[:_HASH_LETTERS] for _, one in read],
        skipped=skipped,
    )


def clips_of_features(given: FeaturesByClass, *, frames: int, dim: int) -> LessonClips:
    """Return the clips that arrays of features hold, by class.

    Raises:
        DataError: see `checked_features`; a class has no name or no clip, or there is no class.
    """
    if not given:
        raise DataError("there is no class to learn", remedy="give {'class': array} or labelled clips")
    by_class: dict[str, list[Float[np.ndarray, "clips frames dim"]]] = {}
    for each, values in given.items():
        name = class_name(each, "the features given")
        clips = checked_features(values, frames=frames, dim=dim, what=f"the features of {name!r}")
        if not len(clips):
            raise DataError(f"no clip is given for the class {name!r}", remedy="give one at least")
        by_class.setdefault(name, []).append(clips)
    features = np.concatenate([*chain.from_iterable(by_class.values())])
    counts = [sum(map(len, arrays)) for arrays in by_class.values()]
    return LessonClips(
        classes=tuple(by_class),
        places=np.repeat(np.arange(len(counts)), counts),
        keys=[f"{name}/{row}" for name, count in zip(by_class, counts, strict=True) for row in range(count)],
        features=features[:, None],
        hashes=[sha256(clip.tobytes()).hexdigest()[:_HASH_LETTERS] for clip in features],
    )


def features_by_class(features: Any, labels: Sequence[str], *, frames: int, dim: int) -> FeaturesByClass:
    """Return the rows of `features` by label, in the order in which the labels first appear.

    Raises:
        DataError: see `checked_features`; or there are not as many labels as clips.
    """
    values = checked_features(features, frames=frames, dim=dim)
    if len(labels) != len(values):
        raise DataError(f"there are {len(labels)} labels for {len(values)} clips", remedy="give one for each clip")
    rows: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        rows.setdefault(label, []).append(row)
    return {label: values[chosen] for label, chosen in rows.items()}


def checked_features(
    values: Any, *, frames: int, dim: int, what: str = "the features"
) -> Float[np.ndarray, "clips frames dim"]:
    """Return features as float32.

    Args:
        values: a floating-point array (clips, frames, dim), or what numpy makes one of.
        frames: of a clip.
        dim: numbers per frame.
        what: begins messages.

    Raises:
        DataError: another type or shape, or a number that is not finite.
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} are no array ({error})", remedy="give (clips, frames, dim)") from error
    if array.dtype.kind != "f":
        raise DataError(f"{what} are of type {array.dtype}; give floating-point numbers, such as float32")
    if array.ndim != 3 or array.shape[1:] != (frames, dim):
        raise DataError(f"{what} have the shape {array.shape}; give (clips, {frames} frames, {dim} numbers)")
    with np.errstate(over="ignore"):
        checked = array.astype(np.float32)
    odd = np.flatnonzero(~np.isfinite(checked).all(axis=(1, 2)))
    if len(odd):
        raise DataError(f"{what} hold NaN or infinity in {len(odd)} of {len(checked)} clips, first in row {odd[0]}")
    return checked


def _videos(clips: Mapping[str, Sequence[Path]], first_slot: int) -> list[Video]:
    """Return the clips as videos, each class under a slot of its own.

    A key is the class and the file's name, with a number where two files of a class have one name.
    """
    videos = []
    for slot, (name, paths) in enumerate(clips.items(), start=first_slot):
        taken: set[str] = set()
        for path in paths:
            key = f"{name}/{path.name}".encode("utf-8", "replace").decode()
            if key in taken:
                key = f"{key}~{len(taken)}"
            taken.add(key)
            videos.append(Video(key, str(path), str(slot), "train"))
    return videos


def _refuse_bare(places: set[int], names: Sequence[str], skipped: Mapping[str, str]) -> None:
    if places:
        lines = "\n  ".join(f"{key}: {reason}" for key, reason in sorted(skipped.items()))
        raise DataError(
            f"no clip of {', '.join(repr(names[place]) for place in sorted(places))} can be read, so it cannot be "
            f"learned:\n  {lines}\nGive clips that can be read, or leave the class out"
        )
