"""How text is printed: all of it goes through here, so that no name in it can control a terminal."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from essential.shown import printable_json, printable_lines


def say(text: str, *, err: bool = False) -> None:
    """Print a text of one or more lines."""
    typer.echo(printable_lines(text), err=err)


def say_json(content: Mapping[str, Any]) -> None:
    """Print plain JSON values as a line."""
    say(printable_json(json.dumps(content, ensure_ascii=False)))


class Stopped(Exception):
    """Ctrl-C ended a command; the message says what it had done by then."""


@contextmanager
def bundle_told_on_ctrl_c(path: Path) -> Iterator[None]:
    """Turn Ctrl-C into a `Stopped` that says whether the file at `path` was replaced before it."""
    before = _file_at(path)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        is_same = _file_at(path) == before
        raise Stopped("The bundle is unchanged." if is_same else "The bundle has the change.") from interrupt


def _file_at(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from the one that replaces it; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def show_harmless_warnings() -> None:
    """Print Python's warnings as `say` prints."""
    warnings.formatwarning = lambda message, category, filename, lineno, *_: printable_lines(
        f"{filename}:{lineno}: {category.__name__}: {message}\n"
    )
