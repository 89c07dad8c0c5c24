"""Weights & Biases: a run's figures in a project there, or in its offline files (`WANDB_MODE=offline`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from essential.atomic_files import write_json
from essential.errors import ConfigError
from essential.tracking.scalars import scalars_of
from essential.untrusted import read_json

# Which run there is this one, so that resuming goes on with it.
_NOTE = "wandb.json"


class WandbSink:
    """Sends figures to a project.

    Args:
        project: its name.

    Raises:
        ConfigError: the library is not installed.
    """

    name = "Weights & Biases"

    def __init__(self, project: str) -> None:
        self._library = _library(project)
        self._project = project
        self._run: Any = None

    def start(self, folder: Path, config: Mapping[str, Any], *, first_step: int) -> None:
        """Begin a run there, or go on with the one that this folder names."""
        note = folder / _NOTE
        known = _known(note) if first_step and note.exists() else None
        # Nothing to go on with, or another project: a run of its own.
        if known is None or known["project"] != self._project:
            known = {"project": self._project, "id": uuid4().hex[:12]}
            write_json(note, known)
        self._run = self._library.init(
            project=self._project,
            id=known["id"],
            name=folder.absolute().name,
            config=dict(config),
            dir=str(folder),
            resume="allow",
        )

    def write(self, step: int, event: Mapping[str, Any]) -> None:
        """Send the event's figures, but those of a step that was sent before: they are the same."""
        if step >= self._run.step:
            self._run.log(scalars_of(event), step=step)

    def close(self) -> None:
        """End the connection."""
        if self._run is not None:
            self._run.finish()


def _known(note: Path) -> Any:
    try:
        known = read_json(note)
        return known if {"project", "id"} <= known.keys() else None
    except (OSError, ValueError, AttributeError):  # damaged: a run of its own
        return None


def _library(project: str) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise ConfigError(
            f"--wandb {project} needs the library wandb, which cannot be imported ({error}); install it: "
            "pip install 'essential-video[wandb]', or leave the option out"
        ) from error
    return wandb
