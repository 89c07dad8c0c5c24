"""How text is printed: all of it goes through here, so that no name in it can steer a terminal."""

import warnings

import typer

from essential.shown import printable_lines


def say(text: str, *, err: bool = False) -> None:
    """Print a text of one or more lines."""
    typer.echo(printable_lines(text), err=err)


def show_harmless_warnings() -> None:
    """Let Python's warnings, too, go to the terminal as `say` prints."""
    warnings.formatwarning = _harmless_warning


def _harmless_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    del line  # the source is none of a user's business
    return printable_lines(f"{filename}:{lineno}: {category.__name__}: {message}\n")
