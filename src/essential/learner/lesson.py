"""The clips of one lesson, read from videos or given as arrays of features, as a task for a method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from essential.api.arrays import Features, check_features, check_labels
from essential.engine.clips import ClipTable
from essential.errors import DataError
from essential.features.config import FeaturesConfig
from essential.features.index import refuse_broken
from essential.features.provenance import Recipe
from essential.features.short_clips import ShortClips
from essential.features.source import encode_all
from essential.features.store import VideoNote
from essential.files.atomic import sha256_of_json
from essential.learner.clips import Clip
from essential.models.text_scores import Words
from essential.progress import Progress, phase
from essential.protocols.class_names import class_name
from essential.protocols.protocol import Video
from essential.shown import encodable
from essential.spans.labelled_span import LabelledSpan
from essential.video.frame_folder import identity_of

# Of the SHA-256 of a clip that was taught: enough to know it again.
_HASH_LETTERS = 16
_GIVEN = "the features given"

# Frames of a clip, and numbers per frame.
ClipSize = tuple[int, int]


@dataclass(frozen=True, eq=False)
class LessonClips:
    """Clips of classes, with the features of one view or more.

    Attributes:
        places: each clip's class, as its place in `classes`.
        keys: what messages and the memory call each clip.
        features: of every clip; of its views the plain one comes first.
        hashes: of each clip's content.
        skipped: why each clip that is left out could not be read.
    """

    classes: tuple[str, ...]
    places: Int[np.ndarray, " clips"]
    keys: Sequence[str]
    features: Sequence[Float[np.ndarray, "views frames dim"]]
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
    """Some rows of the clips as a method's task, its epochs as `config` says; see `methods.contract.TaskData`."""

    index: int
    slots: range
    clips: LessonClips
    rows: Int[np.ndarray, " rows"]
    config: FeaturesConfig
    words: Words | None = None

    def plain(self) -> ClipTable:
        """Return the plain view."""
        return self._view(0)

    def epoch(self, epoch: int) -> ClipTable:
        """Return the clips in the view of this epoch."""
        return self._view(self.config.training_view(epoch, len(self.clips.features[0]) - 1))

    def _view(self, view: int) -> ClipTable:
        clips, rows = self.clips, self.rows

        def read(indices: Int[Tensor, " batch"]) -> Float[Tensor, "batch frames dim"]:
            return torch.from_numpy(clips.view(rows[indices.numpy()], view)).float()

        names = [clips.keys[row] for row in rows.tolist()]
        slots = torch.from_numpy(clips.places[rows] + self.slots.start)
        return ClipTable(read, names, slots, torch.full_like(slots, self.index))


def read_clips(
    by_class: Mapping[str, Sequence[Clip]],
    *,
    first_slot: int,
    recipe: Recipe,
    config: FeaturesConfig,
    progress: Progress,
) -> LessonClips:
    """Decode and encode the videos of each class.

    Raises:
        DataError: a video is broken and the config says to fail, or no clip of a class can be read.
    """
    videos = _videos(by_class, first_slot)
    request = recipe.request(tuple(range(recipe.views + 1)))
    with phase(progress, "read clips", len(videos)):
        # The segments of a file one after the other: what is found out of it is kept from one to the next.
        order = sorted(range(len(videos)), key=lambda place: (videos[place].file, videos[place].segment or ()))
        in_order = encode_all([videos[at] for at in order], request, recipe=recipe, config=config, progress=progress)
    encoded = [one for _, one in sorted(zip(order, in_order, strict=True), key=itemgetter(0))]
    short = ShortClips(recipe.frames_read)
    for one in encoded:
        short.add(one.frame_count)
    short.tell(progress)
    skipped = {one.note.key: one.note.broken for one in encoded if one.note.broken is not None}
    refuse_broken(skipped, config.on_broken_video)
    read = [
        (video, one.features, _content(video, one.note))
        for video, one in zip(videos, encoded, strict=True)
        if one.features is not None
    ]
    places = np.array([int(video.label) - first_slot for video, *_ in read], np.int64)
    bare = [name for place, name in enumerate(by_class) if place not in places]
    if bare:
        lines = "\n  ".join(f"{key}: {reason}" for key, reason in sorted(skipped.items()))
        raise DataError(
            f"no clip of {', '.join(map(repr, bare))} can be read, so it cannot be learned:\n  {lines}\n"
            "Give clips that can be read, or leave the class out"
        )
    return LessonClips(
        classes=tuple(by_class),
        places=places,
        keys=[video.key for video, *_ in read],
        features=[features for _, features, _ in read],
        hashes=[content for *_, content in read],
        skipped=skipped,
    )


def content_key(path: Path) -> str:
    """Return what `Bundle.taught` knows the content of a clip by; OSError if it cannot be read."""
    return identity_of(path).sha256[:_HASH_LETTERS]


def clips_of_features(features: Features | Mapping[str, Features], labels: Any, size: ClipSize) -> LessonClips:
    """Return the clips of arrays by class, or of one array and its labels, the classes in the order of their arrival.

    Raises:
        DataError: see `checked_features`; a class has no name or no clip, there is no class, or a label too many.
    """
    if isinstance(features, Mapping) is (labels is not None):
        raise DataError("features without labels, or with two", remedy="give {'class': array}, or array and labels")
    by_class: dict[str, list[Float[np.ndarray, "frames dim"]]] = {}
    if isinstance(features, Mapping):
        for each, of_class in features.items():
            name = class_name(each, _GIVEN)
            by_class.setdefault(name, []).extend(checked_features(of_class, size, where=f"features of {name!r}"))
    else:
        checked = checked_features(features, size)
        labels = check_labels(labels, "labels", clips=len(checked), of="features")
        names = {label: class_name(label, _GIVEN) for label in dict.fromkeys(labels)}
        for label, clip in zip(labels, checked, strict=True):
            by_class.setdefault(names[label], []).append(clip)
    if not by_class:
        raise DataError("there is no class to learn", remedy="give {'class': array}, or an array and its labels")
    for name, clips in by_class.items():
        if not clips:
            raise DataError(f"no clip is given for the class {name!r}", remedy="give one at least")
    every = [clip for clips in by_class.values() for clip in clips]
    return LessonClips(
        classes=tuple(by_class),
        places=np.repeat(np.arange(len(by_class)), [*map(len, by_class.values())]),
        keys=[f"{name}/{row}" for name, clips in by_class.items() for row in range(len(clips))],
        features=[clip[None] for clip in every],
        hashes=[sha256(clip.tobytes()).hexdigest()[:_HASH_LETTERS] for clip in every],
    )


def checked_features(
    features: Features, size: ClipSize, *, where: str = "features"
) -> Float[np.ndarray, "clips frames dim"]:
    """Return features of clips as float32; DataError, beginning with `where`, if they are none of that size."""
    check_features(features, where)
    array = features.detach().cpu().numpy() if isinstance(features, Tensor) else features
    if array.shape[1:] != size:
        raise DataError(
            f"has clips of {array.shape[1:]} (frames, dim)", where=where, remedy=f"this learner takes {size}"
        )
    return array.astype(np.float32)


def _videos(by_class: Mapping[str, Sequence[Clip]], first_slot: int) -> list[Video]:
    """Return the clips as videos, each class under a slot of its own.

    A key is the class and the file's name, with the times of a span, and with a number where two clips of a class would
    have one key.
    """
    videos = []
    for slot, (name, clips) in enumerate(by_class.items(), start=first_slot):
        taken: set[str] = set()
        for clip in clips:
            path, segment = (clip.path, clip.segment) if isinstance(clip, LabelledSpan) else (clip, None)
            times = "" if segment is None else f" {segment.start_seconds:.3f}-{segment.end_seconds:.3f} s"
            key = encodable(f"{name}/{path.name}{times}")
            if key in taken:
                key = f"{key}~{len(taken)}"
            taken.add(key)
            videos.append(Video(key, str(path), str(slot), "train", segment))
    return videos


def _content(video: Video, note: VideoNote) -> str:
    """Return the hash of a clip's content: the file's, or for a segment of a file, of the file's and its times."""
    content = note.sha256 or ""
    if video.segment is not None:
        content = sha256_of_json([content, *(round(seconds, 3) for seconds in video.segment)])
    return content[:_HASH_LETTERS]
