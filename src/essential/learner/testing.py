"""Asks a learner about clips whose classes are known, one after the other; no pixels are held but thumbnails."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from PIL import Image

from essential.errors import DataError
from essential.learner.clip_results import ClipResults, UnreadClip, WrongClip
from essential.learner.clips import Clip, Expanded
from essential.learner.lesson import content_key
from essential.learner.prediction import Prediction
from essential.progress import Progress

_SIDE, _MOST_FRAMES, _IN_A_ROW, _QUALITY = 96, 8, 4, 75


def labelled_paths(by_class: Mapping[str, Sequence[Clip]]) -> dict[Path, str]:
    """Return every clip with its class; in the place of a folder of clips, each clip below it.

    DataError for spans, which are not asked about as clips.
    """
    paths = {name: [clip for clip in given if isinstance(clip, Path)] for name, given in by_class.items()}
    if any(len(paths[name]) < len(given) for name, given in by_class.items()):
        raise DataError("labelled spans are given, which are parts of videos", remedy="use test_spans(...)")
    return {path: name for name, given in paths.items() for path, _ in Expanded(given)}


def count_answers(
    predictions: Iterable[Prediction],
    labels: Mapping[Path, str],
    *,
    classes: tuple[str, ...],
    taught: Mapping[str, str],
    thumbnails: "Thumbnails",
    progress: Progress,
) -> ClipResults:
    """Return what was answered to clips.

    Args:
        predictions: of each clip of `labels`, in any order.
        labels: their classes.
        classes: that the learner knows.
        taught: by the content of a clip, see `content_key`.
        thumbnails: takes those of wrong clips.
        progress: in a phase of `len(labels)` steps.
    """
    answers = {name: Counter[str | None]() for name in labels.values()}
    wrong: list[WrongClip] = []
    unread: list[UnreadClip] = []
    right = taught_before = 0
    can_say_none = False
    for done, prediction in enumerate(predictions, start=1):
        path, label = prediction.path, labels[prediction.path]
        if prediction.error is not None:
            unread.append(UnreadClip(path, label, prediction.error))
        else:
            clip = WrongClip(path, label, prediction.top[0], bool(prediction.unknown))
            answers[label][clip.predicted] += 1
            can_say_none |= prediction.unknown is not None
            taught_before += _was_taught(path, taught)
            if clip.predicted == (label if label in classes else None):
                right += 1
            else:
                wrong.append(clip)
                thumbnails.add(prediction, clip.score or 0)
        progress.advance(done, f"{right} right")
    shown = [clip._replace(frames=thumbnails.kept.get(clip.path)) for clip in wrong]
    shown.sort(key=lambda clip: (-(clip.score or 0), clip.path))
    return ClipResults(classes, answers, tuple(shown), tuple(unread), taught_before, can_say_none)


class Thumbnails:
    """JPEGs of the frames of clips, as many as fit into a number of bytes: the least confident are dropped."""

    def __init__(self, most_bytes: int) -> None:
        self.kept: dict[Path, bytes] = {}
        self._room = most_bytes
        self._by_score: list[tuple[float, Path]] = []

    def add(self, prediction: Prediction, score: float) -> None:
        """Keep the frames that a prediction carries, if it has any, and drop others for them."""
        if prediction.frames is None:
            return
        self.kept[prediction.path] = image = _jpeg([Image.fromarray(frame) for frame in prediction.frames])
        self._room -= len(image)
        heapq.heappush(self._by_score, (score, prediction.path))
        while self._room < 0:
            _, dropped = heapq.heappop(self._by_score)
            self._room += len(self.kept.pop(dropped))


def _jpeg(frames: Sequence[Image.Image]) -> bytes:
    """Return some of the frames, spread evenly, as one image of rows."""
    count = min(len(frames), _MOST_FRAMES)
    some = [frames[place * len(frames) // count] for place in range(count)]
    wide, high = min(count, _IN_A_ROW), -(-count // _IN_A_ROW)
    rows = Image.new("RGB", (wide * _SIDE, high * _SIDE))
    for place, frame in enumerate(some):
        row, column = divmod(place, _IN_A_ROW)
        rows.paste(frame.resize((_SIDE, _SIDE)), (column * _SIDE, row * _SIDE))
    content = BytesIO()
    rows.save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()


def _was_taught(path: Path, taught: Mapping[str, str]) -> bool:
    with suppress(OSError):  # it was read a moment ago, and may be gone
        return content_key(path) in taught
    return False
