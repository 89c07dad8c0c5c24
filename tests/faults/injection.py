"""A fault at the n-th call that changes the disk: the process is killed there, or the call is refused.

Python announces most such calls to audit hooks, whoever makes them; those that it does not announce are replaced. All
of it lasts as long as the process: inject into one that was forked for it.
"""

import builtins
import errno
import io
import os
import signal
import sys
from pathlib import Path
from typing import Any

KINDS = ("kill", "ENOSPC", "EIO", "EDQUOT")
_EVENTS = {
    *("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"),
    *("fcntl.flock", "fcntl.lockf"),
}
_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Injector:
    """Counts the calls that change what is in a folder, and lets one of them fail.

    Args:
        folder: absolute, without links.
        number: of the call, from 1; 0: none fails.
        kind: one of `KINDS`.
    """

    def __init__(self, folder: Path, number: int, kind: str) -> None:
        self.calls: list[str] = []
        self._folder, self._number, self._kind = folder, number, kind

    def install(self) -> None:
        """Watch this process from here to its end."""
        injector = self
        fsync, pwrite, opened = os.fsync, os.pwrite, io.open

        def checked_fsync(handle: int) -> None:
            injector.call("fsync", handle)
            fsync(handle)

        def checked_pwrite(handle: int, content: bytes, place: int) -> int:
            injector.call("pwrite", handle)
            return pwrite(handle, content, place)

        class CheckedFile(io.FileIO):
            def write(self, content: Any) -> int:
                view = memoryview(content).cast("B")
                if injector.is_next(self.fileno()):
                    super().write(view[: len(view) // 2])
                injector.call("write", self.fileno())
                return super().write(view)

            def truncate(self, size: int | None = None) -> int:
                injector.call("truncate", self.fileno())
                return super().truncate(size)

        def checked_open(file: Any, mode: str = "r", *args: Any, **settings: Any) -> Any:
            stream = opened(file, mode, *args, **settings)
            if not isinstance(raw := getattr(getattr(stream, "buffer", stream), "raw", stream), io.FileIO):
                return stream
            if not raw.writable():
                return stream
            # The same file once more, through a class that is asked about every write.
            checked = CheckedFile(os.dup(raw.fileno()), raw.mode.replace("x", "w"))
            buffered: Any = (io.BufferedRandom if "+" in raw.mode else io.BufferedWriter)(checked)
            text = isinstance(stream, io.TextIOBase)
            encoding, newline = (stream.encoding, settings.get("newline")) if text else ("", None)
            stream.close()
            return io.TextIOWrapper(buffered, encoding=encoding, newline=newline) if text else buffered

        os.fsync, os.pwrite = checked_fsync, checked_pwrite
        io.open = builtins.open = checked_open  # type: ignore[assignment]
        sys.addaudithook(self._heard)

    def call(self, name: str, place: Any) -> None:
        """Count a call if it is about the folder, and fail if it is the one that is to.

        Raises:
            OSError: of the kind that was asked for.
        """
        if not self._concerns(place):
            return
        self.calls.append(name)
        if len(self.calls) != self._number:
            return
        if self._kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        number = getattr(errno, self._kind)
        raise OSError(number, os.strerror(number))

    def is_next(self, place: Any) -> bool:
        """Return whether the next call about `place` is to fail."""
        return self._concerns(place) and len(self.calls) + 1 == self._number

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            # A file that is open already is opened by its number, which changes nothing.
            if isinstance(path, (str, bytes)) and flags & _CHANGES:
                self.call("open", path)
        elif event in _EVENTS:
            self.call(event, arguments[0])

    def _concerns(self, place: Any) -> bool:
        if isinstance(place, int):
            place = Path(f"/proc/self/fd/{place}").readlink()
        path = Path(os.fsdecode(place))
        # A relative path is one below the folder that the command is run in.
        return not path.is_absolute() or path.is_relative_to(self._folder)
