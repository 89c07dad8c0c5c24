"""A run's figures in TensorBoard and Weights & Biases. They are written there; nothing is ever read from there.

PyTorch's own writer writes the event files. With `WANDB_MODE=offline` nothing leaves the machine.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from essential.engine.run import Sink
from essential.errors import ConfigError
from essential.files.atomic import write_json
from essential.files.untrusted import read_json
from essential.report import WatchPage

# Which run there is this one, so that resuming goes on with it.
_NOTE = "wandb.json"


@contextmanager
def open_sinks(
    *, tensorboard: Path | None, wandb: str | None, page: WatchPage | None = None, warn: Callable[[str], None]
) -> Iterator[Sink]:
    """Give a sink that passes on to a folder of event files, a project and a page, if asked for; close them at the end.

    One that fails costs one call of `warn`; the run goes on. A ConfigError if a library is not installed, or the folder
    is a file.
    """
    sinks: list[_Closed] = [] if tensorboard is None else [_TensorBoard(tensorboard)]
    sinks += [] if wandb is None else [_Wandb(wandb)]
    guarded = _Guarded(sinks if page is None else [*sinks, page], warn)
    try:
        yield guarded
    finally:
        guarded.close()


class _Closed(Sink, Protocol):
    """A sink with a name that is closed at the end."""

    name: str

    def close(self) -> None: ...


class _TensorBoard:
    """Writes event files to a folder, for the files of this run alone."""

    name = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"--tensorboard {folder} is a file; give a folder, which is made if it is missing")
        self._library = _library("torch.utils.tensorboard", f"--tensorboard {folder}", needs="tensorboard")
        self._folder = folder
        self._writer: Any = None

    def start(self, folder: Path, config: Mapping[str, Any], *, first_step: int) -> None:  # noqa: ARG002
        # What older files in the folder have from `first_step` on is no longer shown.
        self._writer = self._library.SummaryWriter(str(self._folder), purge_step=first_step)

    def write(self, step: int, event: Mapping[str, Any]) -> None:
        for name, value in scalars_of(event).items():
            self._writer.add_scalar(name, value, step)
        # To the disk: a run may be killed at any moment.
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _Wandb:
    """Sends figures to a project."""

    name = "Weights & Biases"

    def __init__(self, project: str) -> None:
        self._library = _library("wandb", f"--wandb {project}", needs="wandb")
        self._project = project
        self._run: Any = None

    def start(self, folder: Path, config: Mapping[str, Any], *, first_step: int) -> None:
        known: dict[str, Any] = {}
        if first_step:
            with suppress(OSError, ValueError, TypeError):  # missing or damaged
                known = dict(read_json(folder / _NOTE))
        # Nothing to go on with, or another project: a run of its own.
        if known.get("project") != self._project or "id" not in known:
            known = {"project": self._project, "id": uuid4().hex[:12]}
            write_json(folder / _NOTE, known)
        self._run = self._library.init(
            project=self._project,
            id=known["id"],
            name=folder.absolute().name,
            config=dict(config),
            dir=str(folder),
            resume="allow",
        )

    def write(self, step: int, event: Mapping[str, Any]) -> None:
        # A step that was sent before has the same figures.
        if step >= self._run.step:
            self._run.log(scalars_of(event), step=step)

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()


class _Guarded:
    """Passes on to several sinks. One that fails gets nothing more, and `warn` is called once."""

    def __init__(self, sinks: "list[_Closed]", warn: Callable[[str], None]) -> None:
        self._sinks, self._warn = sinks, warn
        self._failed: list[_Closed] = []

    def start(self, folder: Path, config: Mapping[str, Any], *, first_step: int) -> None:
        self._each(lambda sink: sink.start(folder, config, first_step=first_step))

    def write(self, step: int, event: Mapping[str, Any]) -> None:
        self._each(lambda sink: sink.write(step, event))

    def close(self) -> None:
        # Not when they fail: a library may wait long for a network that is gone.
        for sink in self._failed:
            with suppress(Exception):
                sink.close()
        self._each(lambda sink: sink.close())

    def _each(self, act: "Callable[[_Closed], None]") -> None:
        for sink in list(self._sinks):
            try:
                act(sink)
            # Whatever another's library raises: no figure on a dashboard is worth a run.
            except Exception as error:
                self._sinks.remove(sink)
                self._failed.append(sink)
                self._warn(
                    f"{sink.name} gets no more of this run's figures ({type(error).__name__}: {error}); the run goes "
                    "on, and its log.jsonl has them all"
                )


def scalars_of(event: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of an event of a run's log, by name.

    An epoch gives `loss/<stage>/<term>` for every weighted term, their sum `loss/<stage>`, and `learning_rate/<stage>`;
    an evaluation `accuracy/seen`, where there is a test video, and `memory_bytes/<kind>`. Both give `task`, from 0.
    """
    figures = {"task": event["task"]}
    if event["event"] == "epoch":
        stage, losses = event["stage"], event["losses"]
        figures |= {f"loss/{stage}": sum(losses.values()), f"learning_rate/{stage}": event["learning_rate"]}
        figures |= {f"loss/{stage}/{name}": value for name, value in losses.items()}
    else:
        figures |= {} if event["accuracy"] is None else {"accuracy/seen": event["accuracy"]}
        figures |= {f"memory_bytes/{kind}": count for kind, count in event["memory_bytes"].items()}
    return {name: float(value) for name, value in figures.items()}


def _library(module: str, option: str, *, needs: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{option} needs the library {needs}, which cannot be imported ({error}); install it: "
            f"pip install 'essential-video[{needs}]', or leave the option out"
        ) from error
