"""Clips that come in as multipart/form-data: written to neutral names as they come, refused once they are too much.

The name that a client gives to a file is not read.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from essential.serve.limits import Limits
from essential.serve.messages import Refusal

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

# What is wrong with a form is told to who sent it, not to the service's log.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
_LONGEST_TEXT_BYTES = 2000
# Boundaries, headers and texts, beside the files.
_MORE_BYTES = 64 * 1024
_MORE_BYTES_PER_FILE = 8 * 1024


@dataclass(frozen=True)
class FormShape:
    """What a form may hold.

    Attributes:
        file: the name of the parts that are files.
        most_files: how many.
        most_bytes: of all files.
        texts: the names of the other parts.
    """

    file: str
    most_files: int
    most_bytes: int
    texts: tuple[str, ...] = ()

    @property
    def most_body_bytes(self) -> int:
        """How many with all that stands around the files."""
        return self.most_bytes + _MORE_BYTES + self.most_files * _MORE_BYTES_PER_FILE


async def read_form(
    content_type: str, chunks: AsyncIterator[bytes], folder: Path, *, shape: FormShape, limits: Limits
) -> "Form":
    """Read a form, and write its files to `folder`.

    Args:
        content_type: the request's header.
        chunks: its body.
        folder: where the files go, as `clip-1`, `clip-2`, ...
        shape: what may be in it.
        limits: of a clip, and of the time.

    Raises:
        Refusal: it is no form, cut short, too large, too slow, or holds what it may not.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Refusal(
            400, "bad_form", f"the body is {content_type or 'of no type'!r}; send multipart/form-data with a boundary"
        )
    deadline = time.monotonic() + limits.upload_seconds
    with closing(Form(folder, shape, limits)) as form:
        try:
            parser = MultipartParser(options[b"boundary"], form.callbacks())
            while (chunk := await _next_chunk(chunks, deadline, limits)) is not None:
                form.count(len(chunk))
                parser.write(chunk)
        except FormParserError as error:
            raise Refusal(400, "bad_form", f"the form is damaged ({error}); send it again") from error
        except OSError as error:
            raise Refusal(507, "cannot_write", f"the upload cannot be kept: {os.strerror(error.errno or 0)}") from error
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
    """What came in, as the parser gives its parts.

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
        self._bytes = 0
        self._header = self._value = self._disposition = b""
        # Of the part at hand.
        self._name = ""
        self._content: BinaryIO = BytesIO()

    def callbacks(self) -> "MultipartCallbacks":
        """Return what the parser calls."""
        return {
            "on_header_field": self._take_header,
            "on_header_value": self._take_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_content,
            "on_part_data": self._take_content,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def count(self, more: int) -> None:
        """Count the bytes of the body, whatever they are.

        Raises:
            Refusal: they are too many.
        """
        self._bytes += more
        if self._bytes > self._shape.most_body_bytes:
            raise too_large("what was sent", self._shape.most_bytes)

    def close(self) -> None:
        """Close the file at hand."""
        self._content.close()

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _begin_content(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._disposition = b""
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name == self._shape.file:
            self._begin_file()
        elif self._name in self.texts:
            raise Refusal(422, "unknown_part", f"the form has the part {self._name!r} twice; send it once")
        elif self._name not in self._shape.texts:
            allowed = ", ".join((self._shape.file, *self._shape.texts))
            raise Refusal(422, "unknown_part", f"the form has a part {self._name[:40]!r}; allowed are: {allowed}")
        else:
            self._content = BytesIO()

    def _begin_file(self) -> None:
        number = len(self.clips) + 1
        if number > self._shape.most_files:
            raise Refusal(
                422, "too_many_clips", f"there are more than {self._shape.most_files} clips in it, which are allowed"
            )
        path = self._folder / f"clip-{number}"
        self._content = path.open("xb")
        self.clips.append(path)

    def _take_content(self, data: bytes, start: int, end: int) -> None:
        is_file = self._name == self._shape.file
        most = self._limits.clip_bytes if is_file else _LONGEST_TEXT_BYTES
        if self._content.tell() + end - start > most:
            raise too_large(f"clip {len(self.clips)}" if is_file else f"the part {self._name!r}", most)
        self._content.write(data[start:end])

    def _end_part(self) -> None:
        if isinstance(self._content, BytesIO):
            try:
                self.texts[self._name] = self._content.getvalue().decode()
            except UnicodeDecodeError as error:
                raise Refusal(422, "bad_text", f"the part {self._name!r} is no UTF-8; send text") from error
        self._content.close()

    def _end(self) -> None:
        self.is_complete = True


def too_large(what: str, most_bytes: int) -> Refusal:
    """Return the refusal of something of more than `most_bytes`."""
    return Refusal(413, "too_large", f"{what} has more than {most_bytes:,} bytes, which are allowed; send less")
