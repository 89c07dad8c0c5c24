"""Where uploads are while they are needed: a private folder, in which nothing has a name of the client's."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from essential.atomic_files import explained_os_errors, file_lock
from essential.errors import EssentialError

_START = "essential-serve-"
_LOCKED = "service"


@contextmanager
def upload_root() -> Iterator[Path]:
    """Make a folder that this user alone can read, and remove it at the end with all that is in it.

    Folders of services that were killed are removed first.
    """
    parent = Path(tempfile.gettempdir())
    for folder in parent.glob(f"{_START}*"):
        _remove_if_left_behind(folder)
    with explained_os_errors(parent):
        root = Path(tempfile.mkdtemp(prefix=_START))
    try:
        with file_lock(root / _LOCKED):
            yield root
    finally:
        remove(root)


def new_folder(root: Path) -> Path:
    """Make a folder of a random name for the uploads of one request."""
    return Path(tempfile.mkdtemp(dir=root, prefix=""))


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def _remove_if_left_behind(folder: Path) -> None:
    try:
        # One without the lock's file is being made this moment.
        if folder.lstat().st_uid != os.getuid() or not (folder / f".{_LOCKED}.lock").exists():
            return
        with file_lock(folder / _LOCKED):
            remove(folder)
    except (EssentialError, OSError):  # it is in use, or gone
        return
