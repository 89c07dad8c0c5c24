"""What goes wrong while a video is read: what libraries raise, and what is the machine's fault and not the video's."""

import errno
from pathlib import Path

from essential.errors import DataError

# What PyAV and Pillow were seen to raise on damaged files: MemoryError for enormous pictures, LookupError for surprise
# streams.
LIBRARY_ERRORS = (OSError, EOFError, ValueError, RuntimeError, ArithmeticError, LookupError, MemoryError)
_NO_HANDLES = frozenset({errno.EMFILE, errno.ENFILE})
# FFmpeg also says so of damaged files, which can be read.
_BAD_DISK = frozenset({errno.EIO, errno.ESTALE})


def refuse_machines_fault(path: Path, error: BaseException) -> None:
    """Raise if a video could not be read for want of open files or a healthy disk: it may well be whole.

    Want of memory is not among these: damaged files that ask for enormous pictures cause it too.

    Raises:
        DataError: that is so.
    """
    if not isinstance(error, OSError):
        return
    if error.errno in _NO_HANDLES or (error.errno in _BAD_DISK and not _can_be_read(path)):
        raise DataError(
            f"{path} could not be read for a reason that is not the file's: {error.strerror}. What was finished is "
            "kept; raise the limit of open files, or look after the disk, and run again"
        ) from error


def _can_be_read(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass
    except OSError:
        return False
    return True
