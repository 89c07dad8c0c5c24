"""Checks of a path before it is opened: opening a pipe would wait for ever."""

from pathlib import Path
from stat import S_ISDIR, S_ISREG

from essential.errors import FileSystemError


def absence(path: Path) -> str:
    """Return why there is no file at a path."""
    return "it is a link to nothing, its content not fetched" if path.is_symlink() else "there is no such file"


def plain_file(path: Path) -> Path:
    """Return the path of a file, or of a folder, which `open` refuses; raise a FileSystemError for a pipe or device."""
    mode = path.stat().st_mode
    if not (S_ISREG(mode) or S_ISDIR(mode)):
        raise FileSystemError(f"{path} is not a file, but a pipe, a socket or a device; give a file")
    return path
