"""Where uploads are while they are needed: a private folder, in which nothing has a name of the client's."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.util import get_temp_dir
from pathlib import Path

from essential.errors import EssentialError
from essential.files.atomic import explained_os_errors, file_lock

_START, _LOCK = ".essential-serve-", ".lock"
_SOCKETS = "pymp-"


@contextmanager
def upload_root() -> Iterator[Path]:
    """Make a folder that this user alone can read, and remove it at the end with all that is in it.

    Folders of services that were killed are removed first, and those in which they had the sockets of their workers.
    """
    parent = Path(tempfile.gettempdir())
    for lock in parent.glob(f"{_START}*{_LOCK}"):
        _remove_if_left_behind(lock)
    root = parent / f"{_START[1:]}{secrets.token_hex(4)}"
    # Its lock is there before it and after it, so it is found whenever the service is killed.
    with file_lock(root):
        try:
            with explained_os_errors(root):
                root.mkdir(0o700)
                (root / Path(get_temp_dir()).name).touch()
            yield root
        finally:
            remove(root)


def new_folder(root: Path) -> Path:
    """Make a folder of a random name for the uploads of one request."""
    return Path(tempfile.mkdtemp(dir=root, prefix=""))


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def _remove_if_left_behind(lock: Path) -> None:
    folder = lock.with_name(lock.name[1:].removesuffix(_LOCK))
    # One that is in use, gone, or another user's stays as it is.
    with suppress(EssentialError, OSError):
        if lock.lstat().st_uid == os.getuid():
            with file_lock(folder):
                if folder.lstat().st_uid != os.getuid():
                    return
                for sockets in folder.glob(f"{_SOCKETS}*"):
                    remove(folder.with_name(sockets.name))
                remove(folder)
