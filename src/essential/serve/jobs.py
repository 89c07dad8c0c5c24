"""Lessons that wait, go on, or are over."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from essential.serve.messages import Learned, Refusal, Step, Teach

State = Literal["waiting", "running", "done", "failed"]
_REMEMBERED = 200


@dataclass
class Job:
    """A lesson.

    Attributes:
        request: what is to be done.
        folder: that holds the clips, until the lesson is over.
        id: random.
        state: how far it is.
        progress: of the step at hand; None before the first.
        result: what it gave; None until it is done.
        error: why it failed; None unless it did.
    """

    request: Teach
    folder: Path
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "waiting"
    progress: Step | None = None
    result: Learned | None = None
    error: Refusal | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ("done", "failed")


class Jobs:
    """All lessons, and the last ones that are over."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def add(self, job: Job) -> None:
        """Take a lesson in, and drop the oldest of too many that are over."""
        self._jobs[job.id] = job
        over = [each.id for each in self._jobs.values() if each.is_over]
        for old in over[:-_REMEMBERED]:
            del self._jobs[old]

    def find(self, job_id: str) -> Job:
        """Return a lesson.

        Raises:
            Refusal: there is none of that id.
        """
        if job_id not in self._jobs:
            message = f"there is no job {job_id!r}; the last {_REMEMBERED} are remembered until the service ends"
            raise Refusal(404, "no_such_job", message)
        return self._jobs[job_id]

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    @property
    def waiting(self) -> list[Job]:
        """Those whose turn is to come, the next one first."""
        return [job for job in self._jobs.values() if job.state == "waiting"]

    @property
    def under_way(self) -> bool:
        """Whether any is waiting or running."""
        return any(not job.is_over for job in self._jobs.values())
