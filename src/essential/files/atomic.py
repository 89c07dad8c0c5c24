"""Files that appear whole or not at all, and a lock that dies with its process.

Write to a temporary name in the same folder, flush to the disk, rename. A reader sees the old content or
the new one, never a part, whatever moment the writer is killed at. What a killed writer leaves is removed by the next
one of the same file, and by whoever locks the file or cleans its folder.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from essential.errors import FileSystemError, InUseError

_NO_LOCKS = "this disk has no locks, which keep two processes apart; choose a folder on another disk"
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EACCES: "permission denied; choose a folder you may write to",
    errno.EPERM: "permission denied; choose a folder you may write to",
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
# To open a file that others may take away meanwhile; some file systems, such as that of /proc, never make one.
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
    """Refuse a file that could not be written, before the work is done that it is to hold. Nothing is made.

    Raises:
        FileSystemError: it is a folder, or the disk refuses.
    """
    with explained_os_errors(path):
        if path.is_dir():
            raise FileSystemError(f"cannot write {path}: it is a folder; give the name of a file")
        tempfile.TemporaryFile(dir=next(each for each in path.absolute().parents if os.path.lexists(each))).close()


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that the file appears whole or not at all.

    Raises:
        FileSystemError: if the disk refuses; the old file, if any, is untouched.
    """
    make_folder(path.parent)
    with explained_os_errors(path):
        remove_unfinished(path.parent, of=path.name)
        handle, temporary = _open_temporary(path)
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


def _open_temporary(path: Path) -> tuple[int, Path]:
    """Make a file beside `path` and lock it: as long as it is open, `remove_unfinished` leaves it alone."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_UNFINISHED, dir=path.parent)
        with suppress(OSError):  # Without locks nobody removes it either.
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # It was taken for one that was left, before it was locked.


def remove_unfinished(folder: Path, *, of: str = "") -> None:
    """Remove what killed writers of the file named `of`, or of any, have left in `folder`; living ones are let be."""
    # With any number of dots before it: `of` may be hidden itself, and so may be what is made on the way to it.
    start = f"{of.lstrip('.')}." if of else ""
    with suppress(OSError):
        for path in list(folder.glob(f".*{_UNFINISHED}")):
            if path.name.lstrip(".").startswith(start):
                # One that is gone by now, is being written, or is another user's, stays as it is.
                with suppress(OSError), path.open("r+b") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()


def is_unused(folder: Path) -> bool:
    """Return whether there is nothing in `folder`, or no such folder; our locks and unfinished files are nothing."""
    with explained_os_errors(folder):
        return not folder.is_dir() or all(_OWN.fullmatch(path.name) for path in folder.iterdir())


def move_over(source: Path, target: Path) -> None:
    """Let the file `source`, in the same folder, take the place of `target`, also if the power fails right after.

    Raises:
        FileSystemError: the disk refuses; both files are as they were.
    """
    with explained_os_errors(target):
        source.replace(target)
        _sync_folder(target.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """Give the file `source` a second name on the same disk, or copy it to another, so that it appears whole or not.

    Use it for files that are never written to again: both names may be one file.

    Raises:
        FileSystemError: the disk refuses, or `target` is there already.
    """
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


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON with a final newline; refuses NaN and infinities. See `write_bytes`."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


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


# What this process has locked: the system's locks keep processes apart, not the threads of one.
_held: dict[tuple[int, Path], object] = {}


@contextmanager
def folder_lock(folder: Path, *, name: str = ".lock", wait: bool = False) -> Iterator[None]:
    """Hold `folder` for this process. The system drops the lock when the process ends, however it ends.

    The lock's file is removed at the end, and the folder too if it was made here and holds nothing; what a killed
    process leaves of both holds nobody up.

    Args:
        folder: made if it is missing.
        name: the lock's file; locks of different names do not exclude each other.
        wait: wait for the holder to end instead of raising.

    Raises:
        InUseError: another process holds it, or another thread.
        FileSystemError: the disk refuses, or has no locks.
    """
    path = Path(os.path.realpath(folder)) / name
    with _lock(path, held=folder, kind="folder", wait=wait):
        yield


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the file `path` for this process while it is read, changed and written again; see `folder_lock`.

    The file may be missing, as its folder may.
    """
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
            # A process that was forked meanwhile has no part in the lock, nor has this one in the lock of a folder that
            # took the place of what it held.
            if os.getpid() == process and os.path.samestat(os.fstat(handle), path.stat()):
                path.unlink()
                for folder in made:
                    folder.rmdir()
        os.close(handle)
        del _held[process, path]


def _try_to_lock(path: Path) -> int | str:
    """Return the handle of the lock's file, locked for this process; or the number of the process that holds it."""
    key, mine = (os.getpid(), path), object()
    if _held.setdefault(key, mine) is not mine:
        return str(os.getpid())
    with ExitStack() as undo:
        undo.callback(_held.pop, key)
        tries_left = _TRIES
        while True:
            tries_left -= 1
            make_folder(path.parent)
            # The last holder takes the file away, and its folder, maybe while it is being opened: another try.
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
    """Lock an open file for this process; where another process has it, return that one's number instead."""
    try:
        # Not flock: a worker that is forked would hold that lock too, and go on after its parent was killed.
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        holder = os.pread(handle, 20, 0).decode(errors="replace")
        return holder if holder.isdecimal() else "unknown"
    with suppress(OSError):  # The number is a note for others; a full disk has no room for it.
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
    return None


def _sync_folder(folder: Path) -> None:
    # The file is there, whole, whether or not the disk can promise that its name outlasts a power cut.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
