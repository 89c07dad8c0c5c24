"""`log.jsonl`: what a run gave on its way, an event a line. Tasks and epochs count from 0."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from essential.files.untrusted import parse_json, read_bounded


@dataclass(frozen=True)
class EpochReport:
    """What an epoch gave: the mean of every weighted loss term, the last learning rate."""

    task: int
    stage: str
    epoch: int
    losses: Mapping[str, float]
    learning_rate: float


@dataclass(frozen=True)
class EvaluationReport:
    """What the test videos gave after a task.

    Attributes:
        accuracy: on all classes seen; None without a test video.
        memory_bytes: what is carried to the next task, by kind and in all.
        accuracy_by_task: on the videos of each task learned; empty in older logs.
    """

    task: int
    accuracy: float | None
    memory_bytes: Mapping[str, int]
    accuracy_by_task: tuple[float | None, ...] = ()


_EPOCH, _EVALUATION = TypeAdapter(EpochReport), TypeAdapter(EvaluationReport)


@dataclass(frozen=True)
class TrainingLog:
    """The events of a run, in the order in which they came."""

    epochs: tuple[EpochReport, ...] = ()
    evaluations: tuple[EvaluationReport, ...] = ()

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]]) -> "TrainingLog":
        """Return the log of events as they stand in its file; a `ValueError` says which is something else, and why."""
        epochs: list[EpochReport] = []
        evaluations: list[EvaluationReport] = []
        for number, event in enumerate(events, start=1):
            try:
                if event["event"] == "epoch":
                    epochs.append(_EPOCH.validate_python(event))
                elif event["event"] == "evaluation":
                    evaluations.append(_EVALUATION.validate_python(event))
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                raise ValueError(f"line {number}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
            except (KeyError, TypeError) as error:
                raise ValueError(f"line {number} is no event") from error
        return cls(tuple(epochs), tuple(evaluations))

    @classmethod
    def read(cls, file: Path) -> "TrainingLog":
        """Read the file of a run; raises as `of` does, and an `OSError` if it cannot be read."""
        return cls.of(_parsed(read_bounded(file).splitlines()))


def _parsed(lines: Iterable[bytes]) -> Iterator[Any]:
    for number, line in enumerate(lines, start=1):
        try:
            event = parse_json(line)
        except ValueError as error:
            raise ValueError(f"line {number} is no JSON: {error}") from error
        yield event
