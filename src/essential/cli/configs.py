"""`essential configs`: the recipes that are shipped."""

from typing import Annotated

import typer

from essential.cli.terminal import say

app = typer.Typer(invoke_without_command=True)


@app.callback()
def list_configs(context: typer.Context) -> None:
    """List the shipped configs and methods by name, or show one of them.

    \b
    Example:
      essential configs show moving-digits/essential
    """
    if context.invoked_subcommand is not None:
        return
    from rich.table import Table

    from essential.cli.console import Terminal
    from essential.configs.shipped import shipped_configs
    from essential.methods import method_summaries

    for kind, summaries in (("config", shipped_configs()), ("method, for --method", method_summaries())):
        table = Table(kind, "what it is")
        for name, summary in summaries.items():
            table.add_row(name, summary)
        Terminal().print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="A config's name, such as moving-digits/essential.")]) -> None:
    """Print a shipped config as YAML.

    Save it, change it, and pass the file to --config.

    \b
    Example:
      essential configs show moving-digits/essential > mine.yaml
    """
    from essential.methods import settings_text

    say(settings_text(name).rstrip("\n"))
