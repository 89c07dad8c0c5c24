"""The command line: one file per command. Commands print and choose exit codes; all work is done elsewhere.

Nothing heavy is imported before a command runs, so that `essential --help` answers at once.
"""

import io
import os
import sys
from typing import Any

import typer

from essential import __version__
from essential.cli import (
    classes,
    compare,
    configs,
    data,
    demo,
    evaluate,
    export,
    extract,
    features,
    forget,
    import_checkpoint,
    learn,
    memory,
    predict,
    report,
    serve,
    site,
    train,
)
from essential.cli.terminal import say, show_harmless_warnings
from essential.errors import EssentialError
from essential.registry import broken_so_far

_INTERRUPTED = 130
# What all wrong usage is an instance of, which shows itself; typer names but one of its kinds.
_WrongUsage: Any = typer.BadParameter.__base__

app = typer.Typer(
    help="Teach a video classifier new action classes, group after group, without keeping the old videos.\n\n"
    "Start with: essential demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("compare")(compare.compare)
app.command("extract")(extract.extract)
app.command("evaluate")(evaluate.evaluate)
app.command("import-checkpoint")(import_checkpoint.import_checkpoint)
app.command("report")(report.report)
app.command("site")(site.site)
app.command("memory")(memory.memory)
app.command("learn")(learn.learn)
app.command("predict")(predict.predict)
app.command("classes")(classes.classes)
app.command("forget")(forget.forget)
app.command("export")(export.export)
app.command("serve")(serve.serve)
app.add_typer(data.app, name="data")
app.add_typer(features.app, name="features")
app.add_typer(configs.app, name="configs")


def _print_version(wanted: bool) -> bool:
    if wanted:
        say(f"essential {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
    ),
) -> None:
    """Declare the options of `essential` itself; the help text is the app's."""


def main() -> None:
    """Run the command line. An error a user can act on is one message and exit code 2, without a traceback.

    ESSENTIAL_DEBUG=1 in the environment shows the traceback. A reader of our output that went away, as `head` does,
    is typer's business: it ends the process quietly.
    """
    from essential.engine.allocator import keep_freed_memory

    keep_freed_memory()
    show_harmless_warnings()
    try:
        code = app(standalone_mode=False)
    except _WrongUsage as error:
        shown = io.StringIO()
        error.show(shown)
        say(shown.getvalue().rstrip("\n"), err=True)
        sys.exit(error.exit_code)
    except EssentialError as error:
        if os.environ.get("ESSENTIAL_DEBUG"):
            raise
        say(f"error: {error}", err=True)
        sys.exit(2)
    except typer.Abort:  # a question met the end of the input
        sys.exit(1)
    finally:
        for plugin, reason in broken_so_far().items():
            say(f"note: the plug-in {plugin} is left out: {reason}", err=True)
    # typer turns Ctrl-C into this exit code before it gets here, and says nothing.
    if code == _INTERRUPTED:
        say(
            "stopped; what is finished is kept, and nothing is half-written: run the same command again "
            "(train: with --resume)",
            err=True,
        )
    sys.exit(code)
