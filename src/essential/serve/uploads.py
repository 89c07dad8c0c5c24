"""Clips that clients send as multipart/form-data: written to a private folder as they come, refused once too large.

Files have neutral names; those that clients give are not read.
"""

import asyncio
import logging
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from essential.errors import EssentialError
from essential.files.atomic import explained_os_errors, file_lock
from essential.serve.messages import Limits, Refusal, cannot_write

# What is wrong with a form is for its sender, not for the service's log.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
_LONGEST_TEXT_BYTES = 2000
# Of boundaries, headers and texts, beside the files.
_MORE_BYTES = 64 * 1024
_MORE_BYTES_PER_FILE = 8 * 1024
_START, _LOCK = ".essential-serve-", ".lock"
_SOCKETS = "pymp-"


@contextmanager
def upload_root() -> Iterator[Path]:
    """Make a folder that this user alone can read, and remove it at the end with all that is in it.

    Folders of services that were killed are removed first, with the folders of their workers' sockets.
    """
    parent = Path(tempfile.gettempdir())
    for lock in parent.glob(f"{_START}*{_LOCK}"):
        _remove_if_left_behind(lock)
    root = parent / f"{_START[1:]}{secrets.token_hex(4)}"
    # Its lock is there before it and after it, so that it is found whenever the service is killed.
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


@dataclass(frozen=True)
class FormShape:
    """The parts that a form may have: `most_files` named `file`, of `most_bytes` together, and one for each text."""

    file: str
    most_files: int
    most_bytes: int
    texts: tuple[str, ...] = ()

    def refuse_size(self, body_bytes: int) -> None:
        """Raise a `Refusal` of a body of so many bytes if its files must be too large."""
        if body_bytes > self.most_bytes + _MORE_BYTES + self.most_files * _MORE_BYTES_PER_FILE:
            raise _too_large("what was sent", self.most_bytes)


async def read_form(
    content_type: str, chunks: AsyncIterator[bytes], folder: Path, *, shape: FormShape, limits: Limits
) -> "Form":
    """Read a form from the `chunks` of a body, and write its files to `folder`, as `clip-1`, `clip-2`, ...

    Raises:
        Refusal: it is no form, cut short, too large, too slow, or has a part that is not allowed.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        problem = f"the body is {content_type or 'of no type'!r}"
        raise Refusal(400, "bad_form", f"{problem}; send multipart/form-data with a boundary")
    deadline = time.monotonic() + limits.upload_seconds
    received = 0
    with closing(Form(folder, shape, limits)) as form:
        try:
            parser = form.parser(options[b"boundary"])
            while (chunk := await _next_chunk(chunks, deadline, limits)) is not None:
                received += len(chunk)
                shape.refuse_size(received)
                parser.write(chunk)
        except FormParserError as error:
            raise Refusal(400, "bad_form", f"the form is damaged ({error}); send it again") from error
        except OSError as error:
            raise cannot_write("the upload cannot be kept", error) from error
    if not form.is_complete:
        raise Refusal(400, "bad_form", "the form is cut short; send it again")
    if not form.clips:
        raise Refusal(422, "missing_part", f"there is no clip in it; send one as the part {shape.file!r}")
    return form


async def _next_chunk(chunks: AsyncIterator[bytes], deadline: float, limits: Limits) -> bytes | None:
    """Return the next bytes; None at the end."""
    seconds = min(limits.silence_seconds, deadline - time.monotonic())
    try:
        return await asyncio.wait_for(anext(chunks, None), max(seconds, 0))
    except (TimeoutError, asyncio.TimeoutError) as error:
        raise Refusal(408, "upload_too_slow", "the upload came too slowly; send it again") from error


class Form:
    """A form as the parser gives its parts.

    Attributes:
        clips: the files.
        texts: the other parts, by their names.
        is_complete: whether its end came.
    """

    def __init__(self, folder: Path, shape: FormShape, limits: Limits) -> None:
        self.clips: list[Path] = []
        self.texts: dict[str, str] = {}
        self.is_complete = False
        self._folder, self._shape, self._limits = folder, shape, limits
        # Of the header and the part that are being read.
        self._header = self._value = self._disposition = b""
        self._name = ""
        self._content: BinaryIO = BytesIO()

    def parser(self, boundary: bytes) -> MultipartParser:
        """Return what the bytes of the body are to be written to."""
        events = "header_field", "header_value", "header_end", "headers_finished", "part_data", "part_end", "end"
        callbacks: Any = {f"on_{event}": partial(self._take, event) for event in events}
        return MultipartParser(boundary, callbacks)

    def close(self) -> None:
        """Close the file that is being written."""
        self._content.close()

    def _take(self, event: str, data: bytes = b"", start: int = 0, end: int = 0) -> None:
        match event:
            case "header_field":
                self._header += data[start:end]
            case "header_value":
                self._value += data[start:end]
            case "header_end":
                if self._header.lower() == b"content-disposition":
                    self._disposition = self._value
                self._header = self._value = b""
            case "headers_finished":
                self._begin_part()
            case "part_data":
                self._add_to_part(data[start:end])
            case "part_end":
                self._end_part()
            case "end":
                self.is_complete = True

    def _begin_part(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._disposition = b""
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name == self._shape.file:
            self._content = self._new_file()
        elif self._name in self.texts:
            raise Refusal(422, "unknown_part", f"the form has the part {self._name!r} twice; send it once")
        elif self._name not in self._shape.texts:
            allowed = ", ".join((self._shape.file, *self._shape.texts))
            raise Refusal(422, "unknown_part", f"the form has a part {self._name[:40]!r}; allowed are: {allowed}")
        else:
            self._content = BytesIO()

    def _new_file(self) -> BinaryIO:
        most = self._shape.most_files
        if len(self.clips) == most:
            raise Refusal(422, "too_many_clips", f"there are more than {most} clips in it, which are allowed")
        self.clips.append(self._folder / f"clip-{len(self.clips) + 1}")
        return self.clips[-1].open("xb")

    def _add_to_part(self, data: bytes) -> None:
        is_file = self._name == self._shape.file
        most = self._limits.clip_bytes if is_file else _LONGEST_TEXT_BYTES
        if self._content.tell() + len(data) > most:
            raise _too_large(f"clip {len(self.clips)}" if is_file else f"the part {self._name!r}", most)
        self._content.write(data)

    def _end_part(self) -> None:
        if isinstance(self._content, BytesIO):
            try:
                self.texts[self._name] = self._content.getvalue().decode()
            except UnicodeDecodeError as error:
                raise Refusal(422, "bad_text", f"the part {self._name!r} is no UTF-8; send text") from error
        self._content.close()


def _too_large(what: str, most_bytes: int) -> Refusal:
    return Refusal(413, "too_large", f"{what} has more than {most_bytes:,} bytes, which are allowed; send less")
