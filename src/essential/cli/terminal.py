"""How text is printed: all of it goes through here, so that no name in it can control a terminal."""

import warnings

import typer

from essential.shown import printable_lines


def say(text: str, *, err: bool = False) -> None:
    """Print a text of one or more lines."""
    typer.echo(printable_lines(text), err=err)


def show_harmless_warnings() -> None:
    """Print Python's warnings as `say` prints."""
    warnings.formatwarning = lambda message, category, filename, lineno, *_: printable_lines(
        f"{filename}:{lineno}: {category.__name__}: {message}\n"
    )
