"""A progress that keeps what it is told."""

from collections.abc import Callable

from essential.progress import Progress

Step = tuple[int, int | None]


class SeenProgress(Progress):
    """Keeps every step, (done, in all or None), and every note; `on_step` is called with a step before it is kept."""

    def __init__(self, on_step: Callable[[Step], None] = lambda _: None) -> None:
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self._on_step = on_step

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:  # noqa: ARG002
        self._on_step((done, total))
        self.steps.append((done, total))

    def say(self, note: str) -> None:
        self.notes.append(note)
