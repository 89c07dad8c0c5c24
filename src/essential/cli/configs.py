"""`essential configs`: the shipped configs and methods."""

from typing import Annotated

import typer

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

    for kind, summaries in (
        ("configs, for --config", shipped_configs()),
        ("methods, for --method", method_summaries()),
    ):
        say(f"{kind}:")
        width = max(map(len, summaries))
        for name, summary in summaries.items():
            say(f"  {name:<{width}}  {summary}")


@app.command()
def show(name: Annotated[str, argument("NAME", "Of a config or method, such as icarl.")]) -> None:
    """Print a shipped config as YAML.

    Save it, change it, and pass the file to --config.

    \b
    Example:
      essential configs show moving-digits/essential > mine.yaml
    """
    from essential.methods import settings_text

    say(settings_text(name).rstrip("\n"))
