"""A sink that may fail, and never ends the run that it is told of."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from essential.engine.sinks import Sink


@runtime_checkable
class FallibleSink(Sink, Protocol):
    """A `Sink` that may raise, with a name for messages and an end."""

    name: str

    def close(self) -> None:
        """End, also if `start` was never called or has failed."""
        ...


class Guarded:
    """Tells several sinks. One that fails is told nothing more, and `warn` is called once."""

    def __init__(self, sinks: list[FallibleSink], warn: Callable[[str], None]) -> None:
        self._sinks = sinks
        self._well = list(sinks)
        self._warn = warn

    def start(self, folder: Path, config: Mapping[str, Any], *, first_step: int) -> None:
        """Say which run it is."""
        self._tell(lambda sink: sink.start(folder, config, first_step=first_step))

    def write(self, step: int, event: Mapping[str, Any]) -> None:
        """Pass an event on."""
        self._tell(lambda sink: sink.write(step, event))

    def close(self) -> None:
        """End all of them, also those that have failed."""
        failed = [sink for sink in self._sinks if sink not in self._well]
        self._tell(lambda sink: sink.close())
        for sink in failed:
            # It was said before that this one has failed.
            with suppress(Exception):
                sink.close()

    def _tell(self, how: Callable[[FallibleSink], None]) -> None:
        for sink in list(self._well):
            try:
                how(sink)
            # Whatever a library of somebody else raises: no figure on a dashboard is worth a run.
            except Exception as error:
                self._well.remove(sink)
                self._warn(
                    f"{sink.name} gets no more of this run's figures ({type(error).__name__}: {error}); the run goes "
                    "on, and its log.jsonl has them all"
                )
