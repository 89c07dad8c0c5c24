"""Files that somebody names, looked at before they are opened: one would wait for a pipe for ever."""

from pathlib import Path
from stat import S_ISDIR, S_ISREG

from essential.errors import FileSystemError


def absence(path: Path) -> str:
    """Return why there is no file at a path where there is none."""
    return "it is a link to nothing, its content not fetched" if path.is_symlink() else "there is no such file"


def plain_file(path: Path) -> Path:
    """Return `path`, which may be opened and read to its end: it is a file, or a folder, which no `open` takes for one.

    Raises:
        FileSystemError: it is a pipe, a socket or a device.
        OSError: there is nothing, or it cannot be asked.
    """
    mode = path.stat().st_mode
    if not (S_ISREG(mode) or S_ISDIR(mode)):
        raise FileSystemError(f"{path} is not a file, but a pipe, a socket or a device; give a file")
    return path
