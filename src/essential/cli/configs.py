"""`essential configs`: the shipped configs and methods."""

import sys
from shutil import get_terminal_size
from textwrap import wrap
from typing import Annotated

import typer

from essential.cli.completion import names_to_show
from essential.cli.options import argument
from essential.cli.terminal import say

app = typer.Typer(invoke_without_command=True)


@app.callback()
def list_configs(context: typer.Context) -> None:
    """List or show the shipped configs and methods.

    \b
    Examples:
      essential configs
      essential configs show moving-digits/essential
    """
    if context.invoked_subcommand is not None:
        return
    from essential.configs.shipped import shipped_configs
    from essential.methods import method_summaries

    # In a file, a line each.
    width = get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for kind, summaries in (
        ("configs, for --config", shipped_configs()),
        ("methods, for --method", method_summaries()),
    ):
        say(f"{kind}:")
        column = max(map(len, summaries)) + 4
        for name, summary in summaries.items():
            say("\n".join(wrap(f"  {name}".ljust(column) + summary, width, subsequent_indent=" " * column)))
    say("show the settings of one: essential configs show NAME")
    say("use one: essential train --config NAME --method NAME --out DIR")


@app.command()
def show(
    name: Annotated[str, argument("NAME", "Of a config or method, such as icarl.", autocompletion=names_to_show)],
) -> None:
    """Print a shipped config as YAML.

    Save it, change it, and pass the file to --config.

    \b
    Example:
      essential configs show moving-digits/essential > mine.yaml
    """
    from essential.methods import settings_text

    say(settings_text(name).rstrip("\n"))
