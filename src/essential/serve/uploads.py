"""Clips that clients send as multipart/form-data: written to a private folder as they come, refused once too large.

Files have neutral names; those that clients give are not read.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any, BinaryIO

from anyio import fail_after
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
_HELD = "essential-serve"


@contextmanager
def upload_root() -> Iterator[Path]:
    """Make a folder that this user alone can read, and remove it at the end with all that is in it.

    It lies in that of multiprocessing, with the workers' sockets. Those of killed services are removed first.
    """
    for lock in Path(tempfile.gettempdir()).glob(f"pymp-*/.{_HELD}.lock"):
        # One that is in use, gone, or another user's stays as it is.
        with suppress(EssentialError, OSError):
            if lock.parent.lstat().st_uid == os.getuid():
                with file_lock(lock.with_name(_HELD)):
                    remove(lock.parent)
    held = Path(get_temp_dir()) / _HELD
    with file_lock(held):
        uploads = new_folder(held.parent)
        try:
            yield uploads
        finally:
            remove(uploads)


def new_folder(root: Path) -> Path:
    """Make a folder of a random name for the uploads of one request."""
    with explained_os_errors(root):
        return Path(tempfile.mkdtemp(dir=root, prefix=""))


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


class Form:
    """A form of `most_files` parts named `file` at most, of `most_bytes` together, and one part for each of `texts`.

    After `read`, `clips` are the files, named `clip-1`, `clip-2`, ... in `folder`, and `texts` the other parts.
    `is_needed` may be set to say that the files are used after the request.
    """

    def __init__(
        self, folder: Path, limits: Limits, *, file: str, most_files: int, most_bytes: int, texts: tuple[str, ...] = ()
    ) -> None:
        self.clips: list[Path] = []
        self.texts: dict[str, str] = {}
        self.folder, self.is_needed = folder, False
        self._limits = limits
        self._file, self._most_files, self._most_bytes, self._allowed_texts = file, most_files, most_bytes, texts
        self._is_complete = False
        # Of the header and the part that are being read.
        self._header = self._value = self._disposition = b""
        self._name = ""
        self._content: BinaryIO = BytesIO()

    async def read(self, content_type: str, chunks: AsyncIterator[bytes]) -> None:
        """Read a body; raise a `Refusal` if it is no form, too large or slow, or has a part that is not allowed."""
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            problem = f"the body is {content_type or 'of no type'!r}"
            raise Refusal(400, "bad_form", f"{problem}; send multipart/form-data with a boundary")
        try:
            await self._parse(options[b"boundary"], chunks)
        except FormParserError as error:
            raise Refusal(400, "bad_form", f"the form is damaged ({error}); send it again") from error
        except OSError as error:
            raise cannot_write("the upload cannot be kept", error) from error
        finally:
            self._content.close()
        if not self._is_complete:
            raise Refusal(400, "bad_form", "the form is cut short; send it again")
        if not self.clips:
            raise Refusal(422, "missing_part", f"there is no clip in it; send one as the part {self._file!r}")

    def refuse_size(self, body_bytes: int) -> None:
        """Raise a `Refusal` of a body of so many bytes if its files must be too large."""
        if body_bytes > self._most_bytes + _MORE_BYTES + self._most_files * _MORE_BYTES_PER_FILE:
            raise _too_large("what was sent", self._most_bytes)

    async def _parse(self, boundary: bytes, chunks: AsyncIterator[bytes]) -> None:
        events = "header_field", "header_value", "header_end", "headers_finished", "part_data", "part_end", "end"
        callbacks: Any = {f"on_{event}": partial(self._take, event) for event in events}
        parser = MultipartParser(boundary, callbacks)
        received = 0
        try:
            with fail_after(self._limits.upload_seconds):
                while True:
                    with fail_after(self._limits.silence_seconds):
                        chunk = await anext(chunks, None)
                    if chunk is None:
                        return
                    received += len(chunk)
                    self.refuse_size(received)
                    parser.write(chunk)
        except TimeoutError as error:
            raise Refusal(408, "upload_too_slow", "the upload came too slowly; send it again") from error

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
                self._is_complete = True

    def _begin_part(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._disposition = b""
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name == self._file:
            self._content = self._new_file()
        elif self._name in self.texts:
            raise Refusal(422, "unknown_part", f"the form has the part {self._name!r} twice; send it once")
        elif self._name not in self._allowed_texts:
            allowed = ", ".join((self._file, *self._allowed_texts))
            raise Refusal(422, "unknown_part", f"the form has a part {self._name[:40]!r}; allowed are: {allowed}")
        else:
            self._content = BytesIO()

    def _new_file(self) -> BinaryIO:
        most = self._most_files
        if len(self.clips) == most:
            raise Refusal(422, "too_many_clips", f"there are more than {most} clips in it, which are allowed")
        self.clips.append(self.folder / f"clip-{len(self.clips) + 1}")
        return self.clips[-1].open("xb")

    def _add_to_part(self, data: bytes) -> None:
        is_file = self._name == self._file
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
