"""The border where text leaves to a terminal: all of it goes through here, so that no name in it can steer one."""

import typer

from essential.shown import printable_lines


def say(text: str, *, err: bool = False) -> None:
    """Print a text of one or more lines."""
    typer.echo(printable_lines(text), err=err)
