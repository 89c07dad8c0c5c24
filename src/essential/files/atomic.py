"""Atomic writes, and locks that end with their process.

A file is written under a temporary name in its folder, flushed to the disk, and renamed: a reader sees the old content
or the new, whenever the writer is killed. What a killed writer leaves is removed by the next writer of the same file,
and by whoever locks the file or cleans its folder.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from essential.errors import FileSystemError, InUseError

_NO_LOCKS = "this disk has no locks, which keep two processes apart; choose a folder on another disk"
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EROFS: "the file system is read-only; choose another folder",
    **dict.fromkeys((errno.EACCES, errno.EPERM), "permission denied; choose a folder you may write to"),
    errno.ENOENT: "there is no such folder and it cannot be made; choose another folder",
    errno.EFBIG: "the file would be larger than this process may write (ulimit -f); raise the limit",
    errno.ENAMETOOLONG: "this name is too long; choose a shorter one",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another folder",
    errno.EISDIR: "it is a folder; give the name of a file",
    errno.EEXIST: "a file of that name is in the way; choose another folder",
    **dict.fromkeys((errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP), _NO_LOCKS),
}
_UNFINISHED = ".tmp"
_OWN = re.compile(rf"\..*({re.escape(_UNFINISHED)}|lock.*)")
_PAUSE_SECONDS = 0.1
# Others may remove the lock's file while it is opened; some file systems, such as that of /proc, never make one.
_TRIES = 1000


@contextmanager
def explained_os_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` into a `FileSystemError` that names `path` and says what to do."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, str(error))
        raise FileSystemError(f"cannot write {path}: {reason}") from error


def make_folder(path: Path) -> Path:
    """Create `path` and its parents if they are missing, and return it."""
    with explained_os_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def refuse_unwritable(path: Path) -> None:
    """Raise a FileSystemError if a file could not be written, before the work for it is done. Nothing is made."""
    with explained_os_errors(path):
        if path.is_dir():
            raise FileSystemError(f"cannot write {path}: it is a folder; give the name of a file")
        tempfile.TemporaryFile(dir=next(each for each in path.absolute().parents if os.path.lexists(each))).close()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all; if the disk refuses, raise a FileSystemError and keep the old."""
    make_folder(path.parent)
    with explained_os_errors(path):
        remove_unfinished(path.parent, of=path.name)
        handle, temporary = locked_temporary(path.parent, prefix=f".{path.name}.", suffix=_UNFINISHED)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o644)
                temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def locked_temporary(folder: Path, *, prefix: str, suffix: str) -> tuple[int, Path]:
    """Make a file in a folder and lock it, so that `remove_unlocked` leaves it while the handle is open."""
    while True:
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=folder)
        with suppress(OSError):  # Without locks nobody removes it either.
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # Another writer removed it, as unfinished, before it was locked.


def remove_unfinished(folder: Path, *, of: str = "") -> None:
    """Remove the temporary files that killed writers of the file named `of`, or of any, left in `folder`."""
    # With any number of dots before it: `of` may be hidden itself, and so may its own temporary file.
    start = f"{of.lstrip('.')}." if of else ""
    with suppress(OSError):
        found = list(folder.glob(f".*{_UNFINISHED}"))
        remove_unlocked(path for path in found if path.name.lstrip(".").startswith(start))


def remove_unlocked(paths: Iterable[Path]) -> None:
    """Remove the files of `locked_temporary` whose writers have ended; one that is gone, or another user's, is left."""
    for path in paths:
        with suppress(OSError), path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def is_unused(folder: Path) -> bool:
    """Return whether `folder` is missing, or empty but for our locks and unfinished files."""
    with explained_os_errors(folder):
        return not folder.is_dir() or all(_OWN.fullmatch(path.name) for path in folder.iterdir())


def move_over(source: Path, target: Path) -> None:
    """Rename the file `source` to `target`, in the same folder, and flush the folder to the disk."""
    with explained_os_errors(target):
        source.replace(target)
        _sync_folder(target.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link `source` to `target`, or copy it atomically to another disk. For files that are never changed again."""
    make_folder(target.parent)
    with explained_os_errors(target):
        try:
            target.hardlink_to(source)
        except FileExistsError:
            raise
        except OSError:  # Another disk, or one without links.
            write_bytes(target, source.read_bytes())
        _sync_folder(target.parent)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text; see `write_bytes`."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any, *, indent: int | None = 2) -> None:
    """Write JSON; see `json_text` and `write_bytes`."""
    write_text(path, json_text(content, indent=indent))


def json_text(content: Any, *, indent: int | None = 2) -> str:
    """Return JSON, without spaces if `indent` is None; refuses NaN and infinities."""
    separators = (",", ":") if indent is None else None
    return json.dumps(content, indent=indent, separators=separators, ensure_ascii=False, allow_nan=False) + "\n"


def sha256_of_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_json(content: Any) -> str:
    """Return the hexadecimal SHA-256 of the canonical JSON of `content` (sorted keys, no spaces)."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def canonical_json(content: Any) -> str:
    """Return JSON of which there is one form: sorted keys, no spaces."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


# The locks of this process: the system's locks exclude other processes, not other threads.
_held: dict[tuple[int, Path], object] = {}


@contextmanager
def folder_lock(folder: Path, *, name: str = ".lock", wait: bool = False) -> Iterator[None]:
    """Lock `folder` for this process. The system releases the lock when the process ends, however it ends.

    The lock's file is removed at the end, and the folder too if it was made here and is empty; if a killed process
    leaves them, they lock nothing.

    Args:
        folder: made if it is missing.
        name: of the lock's file; locks of different names do not exclude each other.
        wait: wait for the holder instead of raising.

    Raises:
        InUseError: another process holds it, or another thread.
        FileSystemError: the disk refuses, or has no locks.
    """
    path = Path(os.path.realpath(folder)) / name
    with _lock(path, held=folder, kind="folder", wait=wait):
        yield


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Lock the file `path`, which may be missing, while it is read, changed and written again; see `folder_lock`."""
    # A link and the file that it leads to are one.
    path = Path(os.path.realpath(path))
    lock = path.with_name(f".{path.name}.lock")
    with _lock(lock, held=path, kind="file", wait=False):
        remove_unfinished(path.parent, of=path.name)
        yield


@contextmanager
def _lock(path: Path, *, held: Path, kind: str, wait: bool) -> Iterator[None]:
    with explained_os_errors(held):
        made = [folder for folder in path.parents if not folder.exists()]
    process = os.getpid()
    while isinstance(handle := _try_to_lock(path), str):
        if not wait:
            raise InUseError(f"{held} is in use by process {handle}; wait for it to end, or choose another {kind}")
        time.sleep(_PAUSE_SECONDS)
    try:
        yield
    finally:
        with suppress(OSError):
            # Not in a process that was forked meanwhile, and not the lock of another folder of this name.
            if os.getpid() == process and os.path.samestat(os.fstat(handle), path.stat()):
                path.unlink()
                for folder in made:
                    folder.rmdir()
        os.close(handle)
        del _held[process, path]


def _try_to_lock(path: Path) -> int | str:
    """Return the handle of the lock's file, locked for this process; or the number of the process that has it."""
    key, mine = (os.getpid(), path), object()
    if _held.setdefault(key, mine) is not mine:
        return str(os.getpid())
    with ExitStack() as undo:
        undo.callback(_held.pop, key)
        tries_left = _TRIES
        while True:
            tries_left -= 1
            make_folder(path.parent)
            # The last holder may remove the file, and its folder, while it is opened here: try again.
            gone = suppress(*[FileNotFoundError] * (tries_left > 0))
            with explained_os_errors(path), gone, ExitStack() as opened:
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
                opened.callback(os.close, handle)
                holder = _holder_or_lock(handle)
                if holder is not None:
                    return holder
                if os.path.samestat(os.fstat(handle), path.stat()):
                    opened.pop_all()
                    undo.pop_all()
                    return handle


def _holder_or_lock(handle: int) -> str | None:
    """Lock an open file for this process; if another process has it, return that one's number instead."""
    try:
        # Not flock: a forked worker would hold that lock too, after its parent was killed.
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        holder = os.pread(handle, 20, 0).decode(errors="replace")
        return holder if holder.isdecimal() else "unknown"
    with suppress(OSError):  # The number is for messages only; a full disk has no room for it.
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
    return None


def _sync_folder(folder: Path) -> None:
    # The file is whole, even if the disk cannot promise that its name survives a power cut.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
