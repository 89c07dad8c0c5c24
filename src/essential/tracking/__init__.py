"""A run's figures in the programs that others watch runs with. They are told; nothing is ever read from them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from essential.engine.run import Sink
from essential.tracking.dashboards import TensorBoardSink, WandbSink


@runtime_checkable
class FallibleSink(Sink, Protocol):
    """A `Sink` that may raise, with a name for messages and an end."""

    name: str

    def close(self) -> None:
        """End, also if `start` was never called or has failed."""
        ...


@contextmanager
def open_sinks(*, tensorboard: Path | None, wandb: str | None, warn: Callable[[str], None]) -> Iterator[Sink]:
    """Give what tells all sinks that are asked for, and close them at the end, however that comes.

    Args:
        tensorboard: folder of event files.
        wandb: name of a project.
        warn: called with one sentence, once for each sink that fails; the run goes on.

    Raises:
        ConfigError: a library is not installed, or the folder is a file.
    """
    sinks: list[FallibleSink] = []
    if tensorboard is not None:
        sinks.append(TensorBoardSink(tensorboard))
    if wandb is not None:
        sinks.append(WandbSink(wandb))
    guarded = _Guarded(sinks, warn)
    try:
        yield guarded
    finally:
        guarded.close()


class _Guarded:
    """Tells several sinks. One that fails is told nothing more, and `warn` is called once."""

    def __init__(self, sinks: list[FallibleSink], warn: Callable[[str], None]) -> None:
        self._well = sinks
        self._failed: list[FallibleSink] = []
        self._warn = warn

    def start(self, folder: Path, config: Mapping[str, Any], *, first_step: int) -> None:
        """Say which run it is."""
        self._tell(lambda sink: sink.start(folder, config, first_step=first_step))

    def write(self, step: int, event: Mapping[str, Any]) -> None:
        """Pass an event on."""
        self._tell(lambda sink: sink.write(step, event))

    def close(self) -> None:
        """End all of them, also those that have failed."""
        for sink in self._failed:
            # It was said before that this one has failed.
            with suppress(Exception):
                sink.close()
        self._tell(lambda sink: sink.close())

    def _tell(self, how: Callable[[FallibleSink], None]) -> None:
        for sink in list(self._well):
            try:
                how(sink)
            # Whatever a library of somebody else raises: no figure on a dashboard is worth a run.
            except Exception as error:
                self._well.remove(sink)
                self._failed.append(sink)
                self._warn(
                    f"{sink.name} gets no more of this run's figures ({type(error).__name__}: {error}); the run goes "
                    "on, and its log.jsonl has them all"
                )
