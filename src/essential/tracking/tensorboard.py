"""TensorBoard: a run's figures as event files, written by PyTorch's own writer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from essential.errors import ConfigError
from essential.tracking.scalars import scalars_of


class TensorBoardSink:
    """Writes event files.

    Args:
        folder: for the files of this run alone.

    Raises:
        ConfigError: TensorBoard is not installed, or the folder is a file.
    """

    name = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"--tensorboard {folder} is a file; give a folder, which is made if it is missing")
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                f"--tensorboard {folder} needs the library tensorboard, which cannot be imported ({error}); install "
                "it: pip install 'essential-video[tensorboard]', or leave the option out"
            ) from error
        self._folder = folder
        self._make = SummaryWriter
        self._writer: Any = None

    def start(self, folder: Path, config: Mapping[str, Any], *, first_step: int) -> None:  # noqa: ARG002
        """Begin an event file. What older files in the folder have from `first_step` on is no longer shown."""
        self._writer = self._make(str(self._folder), purge_step=first_step)

    def write(self, step: int, event: Mapping[str, Any]) -> None:
        """Write the event's figures, through to the disk: a run may be killed at any moment."""
        for name, value in scalars_of(event).items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()
