"""The sinks that a command was asked for, open while it runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from essential.engine.sinks import Sink
from essential.tracking.guarded import FallibleSink, Guarded
from essential.tracking.tensorboard import TensorBoardSink
from essential.tracking.weights_and_biases import WandbSink


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
    guarded = Guarded(sinks, warn)
    try:
        yield guarded
    finally:
        guarded.close()
