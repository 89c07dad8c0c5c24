"""What a learner answered on clips whose classes are known: accuracy, confusion, and the clips that were wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from essential.learner.prediction import Scored
from essential.shown import encodable

CONFIDENCE = 0.95
"""Of every interval."""


class Share(NamedTuple):
    """How many of some clips were answered rightly."""

    right: int
    clips: int

    @property
    def accuracy(self) -> float | None:
        """The share, 0 to 1; None without a clip."""
        return self.right / self.clips if self.clips else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the accuracy on many such clips lies: Wilson's score interval (JASA, 1927) of 95 % confidence.

        It takes the clips as independent: where many are of one recording, the truth is wider. None without a clip.
        """
        if not self.clips:
            return None
        from scipy.stats import binomtest

        found = binomtest(self.right, self.clips).proportion_ci(CONFIDENCE, "wilson")
        return float(found.low), float(found.high)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        interval = None if self.interval is None else [*self.interval]
        return {"clips": self.clips, "right": self.right, "accuracy": self.accuracy, "interval": interval}


class WrongClip(NamedTuple):
    """A clip that was answered wrongly.

    Attributes:
        label: its class.
        closest: the most probable label.
        is_none: whether the answer was "none of these".
        frames: a JPEG of the frames that the encoder saw, if one was asked for and it is among those kept.
    """

    path: Path
    label: str
    closest: Scored
    is_none: bool
    frames: bytes | None = None

    @property
    def predicted(self) -> str | None:
        """The label that was answered; None: none of these."""
        return None if self.is_none else self.closest.label

    @property
    def score(self) -> float | None:
        """The probability of `predicted`."""
        return None if self.is_none else self.closest.score

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        answer = {"label": self.label, "predicted": self.predicted, "score": self.score}
        return {"path": encodable(str(self.path)), **answer, "closest": self.closest._asdict()}


class UnreadClip(NamedTuple):
    """A clip that could not be read, its class, and the reason."""

    path: Path
    label: str
    error: str

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**self._asdict(), "path": encodable(str(self.path))}


class Mistake(NamedTuple):
    """How many clips of a class were answered by another label; None: none of these."""

    label: str
    taken_for: str | None
    clips: int


@dataclass(frozen=True, eq=False)
class ClipResults:
    """The answers to clips whose classes are known.

    A clip of a class that the learner knows is right if that class was answered: "none of these" is wrong for it. A
    clip of another class is right if "none of these" was answered. Clips of such classes are counted apart, and no
    accuracy but `open_set` includes them. A clip that cannot be read is in no count but its own.

    Attributes:
        classes: the labels that the learner knows, in order of arrival.
        answers: of each class given, known or not, how often each label was answered; None: none of these.
        wrong: the most confident first; those answered by "none of these" come last.
        unread: the clips that could not be read.
        taught: how many of the clips have the content of one that was taught: the accuracy then says less.
        can_say_none: whether the learner ever answers "none of these"; see `Prediction.unknown_score`.
        passed_over: of the folder, how many files were passed over, by reason.
    """

    classes: tuple[str, ...]
    answers: Mapping[str, Mapping[str | None, int]]
    wrong: tuple[WrongClip, ...]
    unread: tuple[UnreadClip, ...] = ()
    taught: int = 0
    can_say_none: bool = True
    passed_over: Mapping[str, int] = field(default_factory=dict)

    @property
    def known(self) -> tuple[str, ...]:
        """The classes given that the learner knows, in its order."""
        return tuple(name for name in self.classes if name in self.answers)

    @property
    def unknown_classes(self) -> tuple[str, ...]:
        """The classes given that it does not know."""
        return tuple(name for name in self.answers if name not in self.classes)

    @property
    def untested(self) -> tuple[str, ...]:
        """The classes that it knows and of which no clip was given."""
        return tuple(name for name in self.classes if name not in self.answers)

    @cached_property
    def shares(self) -> dict[str, Share]:
        """How many are right of each class: those that are known, in the learner's order, then the others."""
        right = dict.fromkeys(self.unknown_classes) | {name: name for name in self.classes}
        return {
            name: Share(self.answers[name].get(right[name], 0), sum(self.answers[name].values()))
            for name in (*self.known, *self.unknown_classes)
        }

    @property
    def total(self) -> Share:
        """How many are right of all clips of known classes."""
        return _sum(self.shares[name] for name in self.known)

    @property
    def open_set(self) -> Share:
        """How many are right of all clips of classes that are not known."""
        return _sum(self.shares[name] for name in self.unknown_classes)

    @property
    def answered_none(self) -> int | None:
        """How many clips of known classes were answered by "none of these"; None where that is never answered."""
        return sum(self.answers[name].get(None, 0) for name in self.known) if self.can_say_none else None

    @property
    def closest_right(self) -> int:
        """How many of those have their own class as the closest one: they are wrong by the threshold alone."""
        return sum(clip.is_none and clip.closest.label == clip.label for clip in self.wrong)

    @property
    def confusion(self) -> list[list[int]]:
        """How often each class of `known`, a row, was answered by each of `classes`, and last by "none of these"."""
        return [[self.answers[row].get(column, 0) for column in (*self.classes, None)] for row in self.known]

    @property
    def mistakes(self) -> list[Mistake]:
        """What known classes were taken for, the most frequent first."""
        found = [
            Mistake(name, answer, clips)
            for name in self.known
            for answer, clips in self.answers[name].items()
            if clips and answer != name
        ]
        return sorted(found, key=lambda each: -each.clips)

    def wrong_of(self, names: Sequence[str]) -> list[WrongClip]:
        """Return the wrong clips of some classes."""
        return [clip for clip in self.wrong if clip.label in names]

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON values; `docs/test-folder.md` describes them."""
        return {
            **self.total.as_json(),
            "interval_method": "wilson",
            "confidence": CONFIDENCE,
            "unknown": self.answered_none,
            "unknown_closest_right": self.closest_right,
            "per_class": {name: {**self.shares[name].as_json(), "unknown": self._none_of(name)} for name in self.known},
            "confusion": {"rows": [*self.known], "columns": [*self.classes, None], "counts": self.confusion},
            "wrong": [clip.as_json() for clip in self.wrong_of(self.known)],
            "unknown_classes": {
                **self.open_set.as_json(),
                "per_class": {name: self.shares[name].as_json() for name in self.unknown_classes},
                "wrong": [clip.as_json() for clip in self.wrong_of(self.unknown_classes)],
            },
            "untested_classes": [*self.untested],
            "unreadable": [clip.as_json() for clip in self.unread],
            "taught_before": self.taught,
            "passed_over": dict(self.passed_over),
        }

    def write_page(self, path: Path | str, *, title: str = "Test") -> None:
        """Write it as one HTML page, which asks the network for nothing; FileSystemError if it cannot be written."""
        from essential.learner.result_page import write_result_page

        write_result_page(self, Path(path), title=title)

    def _none_of(self, name: str) -> int | None:
        return self.answers[name].get(None, 0) if self.can_say_none else None


def _sum(shares: Any) -> Share:
    right, clips = map(sum, zip(*[(0, 0), *shares], strict=True))
    return Share(right, clips)
