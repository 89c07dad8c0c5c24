"""Tasks from arrays in memory: no video, folder or config is needed to learn them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from essential.engine.clips import ClipTable
from essential.errors import ConfigError, DataError
from essential.models.text_scores import Words
from essential.protocols.protocol import longest_names
from essential.shown import named, nearest, quoted

Features = np.ndarray | Tensor
Label = int | str

_ROWS_AT_ONCE = 256
_FLOATS = (np.float16, np.float32, np.float64)


@dataclass(frozen=True, eq=False)
class ArrayTask:
    """A task whose clips are in memory; what a method learns is `methods.contract.TaskData`.

    Attributes:
        index: number of the task, from 0.
        slots: those of its classes: their numbers in order of arrival.
        classes: its labels, in the order of the slots.
        train: the clips to learn from.
        test: the clips to score; there may be none.
        words: of its classes, if they have any.
    """

    index: int
    slots: range
    classes: tuple[Label, ...]
    train: ClipTable
    test: ClipTable
    words: Words | None = None

    def epoch(self, epoch: int) -> ClipTable:  # noqa: ARG002
        """Return the training clips, the same in every epoch."""
        return self.train

    def plain(self) -> ClipTable:
        """Return the training clips."""
        return self.train

    @property
    def longest_names(self) -> list[str]:
        """The longest name of each class's training clips; see `Method.check_room`."""
        return longest_names(zip(self.train.slots.tolist(), self.train.names, strict=True))


def tasks_from_arrays(
    X: Features,
    y: Any,
    *,
    sizes: Iterable[int],
    test: tuple[Features, Any] | None = None,
    order: Sequence[Label] | None = None,
    names: Iterable[str] | None = None,
    words: Words | None = None,
) -> list[ArrayTask]:
    """Cut arrays into tasks, each with classes of its own. The features are not copied.

    Args:
        X: features of the training clips, (clips, frames, dim), of a floating-point type; finite.
        y: the class of each, integers or texts.
        sizes: how many classes each task has; they add up to all classes.
        test: features and classes of the clips to score; None: nothing is scored.
        order: all classes in the order in which they arrive; None: sorted.
        names: what each training clip is called, without NUL and halves of surrogate pairs; memory and ledger count it.
            None: `clip-` and its row.
        words: what a text tower says of all classes, in the order in which they arrive; for `zero-shot` and `words`.

    Raises:
        DataError: an array cannot be used, or does not fit another; names the argument.
        ConfigError: `sizes` or `order` does not fit the classes.
    """
    train = _clips(X, y, "X", "y")
    classes = _classes(train[1], order)
    sizes = _sizes(sizes, classes)
    if words is not None:
        _check_words(words, len(classes), dim=X.shape[2])
    tested = (X[:0], []) if test is None else _test_clips(test, X, classes)
    stops = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    slots = [range(stop - size, stop) for size, stop in zip(sizes, stops, strict=True)]
    called = [f"clip-{row}" for row in range(len(X))] if names is None else _names(names, len(X))
    of_train = _task_clips(*train, called, classes, slots)
    of_test = _task_clips(*tested, [f"test-{row}" for row in range(len(tested[1]))], classes, slots)
    return [
        ArrayTask(index, own, tuple(classes[slot] for slot in own), *both, None if words is None else words.of(own))
        for index, (own, both) in enumerate(zip(slots, zip(of_train, of_test, strict=True), strict=True))
    ]


def _check_words(words: Any, classes: int, *, dim: int) -> None:
    if not isinstance(words, Words):
        raise DataError(f"is a {type(words).__name__}", where="words", remedy="give essential.Words, of torch tensors")
    if len(words.vectors) != classes or words.dim != dim:
        problem = f"has {len(words.vectors)} vectors, for features of {words.dim} numbers"
        raise DataError(problem, where="words", remedy=f"give one for each of {classes} classes, for {dim} numbers")
    numbers = [words.vectors, *([] if words.projection is None else [words.projection])]
    if not all(bool(each.isfinite().all()) for each in numbers) or not math.isfinite(words.scale) or words.scale <= 0:
        raise DataError("has a number that is not finite, or no positive scale", where="words", remedy="replace it")
    if not bool(words.vectors.any(dim=1).all()):
        raise DataError("has a vector of zeros, which has no direction", where="words", remedy="replace it")


def check_features(features: Any, where: str) -> None:
    """Refuse what is no array of finite floating-point features of clips: a `DataError`; `where` names the argument."""
    if not isinstance(features, np.ndarray | Tensor):
        problem, remedy = f"is a {type(features).__name__}, not an array", "give a NumPy array or a torch tensor"
        raise DataError(problem, where=where, remedy=remedy)
    shape = tuple(features.shape)
    if features.ndim != 3 or 0 in shape[1:]:
        raise DataError(
            f"has the shape {shape}"
            + ("; (clips, frames, dim) is needed" if len(shape) != 3 else ": no frame has numbers"),
            where=where,
            remedy="for one frame a clip give X[:, None]",
        )
    if not (features.is_floating_point() if isinstance(features, Tensor) else features.dtype.type in _FLOATS):
        raise DataError(
            f"holds {features.dtype}, which is none of float16, float32, float64",
            where=where,
            remedy="convert it, such as by X.astype('float32')",
        )
    for start in range(0, len(features), _ROWS_AT_ONCE):
        part = features[start : start + _ROWS_AT_ONCE]
        finite = _as_float32(part).isfinite()
        if not finite.all():
            clip, frame, number = (~finite).nonzero()[0].tolist()
            raise DataError(
                f"the number at [{start + clip}, {frame}, {number}] is {float(part[clip, frame, number])}, no finite "
                "float32",
                where=where,
                remedy="take the clip out, or replace the number",
            )


def check_labels(labels: Any, where: str, *, clips: int, of: str) -> list[Label]:
    """Return one label a clip, integers or texts as Python has them.

    Raises:
        DataError: they are something else, or not as many as clips; `where` names the argument.
    """
    given = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else labels
    # As objects, so that of a list of integers and texts none is converted.
    found = given if isinstance(given, np.ndarray) else np.asarray(given, dtype=object)
    if found.ndim != 1:
        raise DataError(f"has the shape {found.shape}; one label a clip is needed", where=where, remedy="flatten it")
    if len(found) != clips:
        problem = f"has {len(found)} labels, but {of} has {clips} clips"
        raise DataError(problem, where=where, remedy="give one label for each clip")
    values: list[Label] = [value.item() if isinstance(value, np.generic) else value for value in found.tolist()]
    other = [value for value in values if type(value) is not type(values[0]) or type(value) not in (int, str)]
    if other:
        raise DataError(
            f"holds {named([values[0], *(value for value in other[:1] if value is not values[0])])}",
            where=where,
            remedy="give integers alone, or texts alone, as labels",
        )
    return values


def _as_float32(features: Features) -> Tensor:
    if isinstance(features, Tensor):
        return features.detach().cpu().float()
    with np.errstate(over="ignore"):
        return torch.from_numpy(features.astype(np.float32))


def _clips(features: Features, labels: Any, of: str, where: str) -> tuple[Features, list[Label]]:
    check_features(features, of)
    return features, check_labels(labels, where, clips=len(features), of=of)


def _test_clips(test: Any, train: Features, classes: Sequence[Label]) -> tuple[Features, list[Label]]:
    if not isinstance(test, tuple | list) or len(test) != 2:
        raise DataError(f"is {quoted(test)}", where="test", remedy="give features and labels: test=(Xt, yt)")
    features, labels = _clips(test[0], test[1], "test[0]", "test[1]")
    if features.shape[1:] != train.shape[1:]:
        raise DataError(
            f"has clips of {tuple(features.shape[1:])} (frames, dim), X of {tuple(train.shape[1:])}",
            where="test[0]",
            remedy="take the features of both from one encoder, and as many frames",
        )
    if unknown := _without(labels, classes):
        raise DataError(
            f"has classes that X has no clip of: {named(unknown)}{nearest(unknown[0], map(str, classes))}",
            where="test[1]",
            remedy="leave their clips out, or give training clips",
        )
    return features, labels


def _names(names: Iterable[Any], clips: int) -> list[str]:
    """Return one name a clip, each such that it can be written into a file."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise DataError(f"is {quoted(names)}", where="names", remedy="give one for each clip of X")
    called = [*map(str, names)]
    if len(called) != clips:
        raise DataError(f"has {len(called)} names for {clips} clips of X", where="names", remedy="give one for each")
    for row, name in enumerate(called):
        odd = next((one for one in name if one == "\0" or "\ud800" <= one <= "\udfff"), None)
        if odd is not None:
            raise DataError(
                f"has {quoted(name)} at [{row}], with the character U+{ord(odd):04X}, which no file can hold",
                where="names",
                remedy="leave the character out",
            )
    return called


def _classes(labels: Sequence[Label], order: Sequence[Label] | None) -> list[Label]:
    there = sorted(set(labels))
    if not there:
        raise DataError("has no clips", where="X", remedy="give at least one clip of every class")
    if order is None:
        return there
    wanted = check_labels(order, "order", clips=len(order), of="order")
    twice = sorted({str(label) for label in wanted if wanted.count(label) > 1})
    if twice:
        problem = f"names {named(twice)} twice, so a class would be in two tasks"
        raise ConfigError(problem, where="order", remedy="name each class once")
    if without := _without(wanted, there):
        raise DataError(
            f"names classes that y has no clip of: {named(without)}{nearest(without[0], map(str, there))}",
            where="order",
            remedy="leave them out, or give training clips of them",
        )
    if left_out := _without(there, wanted):
        raise ConfigError(f"lacks classes of y: {named(left_out)}", where="order", remedy="name every class once")
    return wanted


def _without(labels: Sequence[Label], known: Iterable[Label]) -> list[Label]:
    """Return the labels that are not among `known`, each once."""
    among = set(known)
    return [*dict.fromkeys(label for label in labels if label not in among)]


def _sizes(sizes: Iterable[int], classes: Sequence[Label]) -> list[int]:
    found = [*sizes] if isinstance(sizes, Iterable) and not isinstance(sizes, str) else [sizes]
    wrong = [size for size in found if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1]
    if wrong or not found:
        problem = f"holds {named(wrong) if wrong else 'nothing'}"
        raise ConfigError(problem, where="sizes", remedy="give each task 1 class or more")
    total, wanted = sum(found), len(classes)
    if total != wanted:
        rest = f"{wanted - total} are left over" if total < wanted else f"{total - wanted} are missing"
        problem = f"{found} adds up to {total}, but there are {wanted} classes: {rest}"
        raise ConfigError(problem, where="sizes", remedy=f"give sizes that add up to {wanted}")
    return [int(size) for size in found]


def _task_clips(
    features: Features, labels: Sequence[Label], names: Sequence[str], classes: Sequence[Label], slots: Sequence[range]
) -> Iterator[ClipTable]:
    """Give each task's clips."""
    slot_of = {label: slot for slot, label in enumerate(classes)}
    of_clips = torch.tensor([slot_of[label] for label in labels], dtype=torch.long)
    for index, own in enumerate(slots):
        places = ((of_clips >= own.start) & (of_clips < own.stop)).nonzero()[:, 0]
        of_task = [names[place] for place in places.tolist()]
        yield ClipTable(partial(_gather, features, places), of_task, of_clips[places], torch.full_like(places, index))


def _gather(features: Features, places: Tensor, indices: Tensor) -> Tensor:
    at = places[indices]
    if isinstance(features, Tensor):
        return _as_float32(features[at.to(features.device)])
    # The rows are a copy already, which only another type has to be copied once more.
    return torch.from_numpy(features[at.numpy()].astype(np.float32, copy=False))
