"""The command line: one file per command. Commands print and choose exit codes; all work is done elsewhere.

Nothing heavy is imported before a command runs, so that `essential --help` answers at once.
"""

import atexit
import gc
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any

import typer

from essential.cli.terminal import Stopped, say, show_harmless_warnings
from essential.errors import ConfigError, EssentialError
from essential.registry import broken_so_far
from essential.version import __version__

# In the order of the help. A command is the function of its name in the file of its name; a group is an `app` there.
_COMMANDS = (
    *("demo", "train", "compare", "extract", "evaluate", "import_checkpoint", "report", "site", "memory"),
    *("learn", "predict", "test", "classes", "rename", "forget", "export", "serve"),
)
_GROUPS = ("data", "features", "configs")
# They decode beside the encoder. Its threads wait for each other in a busy loop, unless they are told before torch is
# loaded: on two busy cores that takes four times the processor time.
_DECODING = frozenset({"predict", "test", "learn", "extract", "serve"})
# What typer makes of Ctrl-C, without a word.
_INTERRUPTED = 130
_AFTER_CTRL_C = {
    "train": "To continue, run the same command with --resume.",
    **dict.fromkeys(
        ("demo", "compare", "extract", "features", "data make"), "To continue, run the same command again."
    ),
}
_WITH_ADDRESSES = ("--store", "--camera", "--address", "-s", "--set", "--describe")
# The base of all errors of usage; typer exports only one of them.
_UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    help="Teach a video classifier new classes, group after group, without the old videos.\n\n"
    "Start with: essential demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _name in _COMMANDS:
    app.command(_name.replace("_", "-"))(getattr(import_module(f"essential.cli.{_name}"), _name))
for _name in _GROUPS:
    app.add_typer(import_module(f"essential.cli.{_name}").app, name=_name)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"essential {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
    ),
) -> None:
    """Declare the options of `essential` itself; the help text is the app's."""


def main() -> None:
    """Run the command line. An error a user can act on is one message and exit code 2, without a traceback.

    ESSENTIAL_DEBUG=1 in the environment shows the traceback. If the reader of the output ends, as `head` does, typer
    ends the process quietly.
    """
    from essential.engine.allocator import keep_freed_memory

    keep_freed_memory()
    # Python looks for cycles after every 700 new objects, and an import makes many: a tenth of the start.
    gc.set_threshold(20_000)
    # At its end it looks for them once more, among all that torch has made: a tenth of a prediction's time.
    atexit.register(gc.freeze)
    if sys.argv[1:2] and sys.argv[1] in _DECODING:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    show_harmless_warnings()
    try:
        _refuse_addresses(sys.argv[1:])
        code = app(standalone_mode=False, prog_name="essential")
        if code == _INTERRUPTED:
            words = " ".join(word for word in sys.argv[1:] if not word.startswith("-"))
            after = next((text for start, text in _AFTER_CTRL_C.items() if words.startswith(start)), "")
            say(f"Stopped. {after}".rstrip(), err=True)
    except Stopped as stop:
        say(f"Stopped. {stop}", err=True)
        code = _INTERRUPTED
    except _UsageError as error:
        say(_usage_message(error), err=True)
        code = error.exit_code
    except EssentialError as error:
        if os.environ.get("ESSENTIAL_DEBUG"):
            raise
        say(f"error: {error}", err=True)
        code = 2
    except typer.Abort:  # a question met the end of the input
        code = 1
    for plugin, reason in broken_so_far().items():
        say(f"note: the plug-in {plugin} is left out: {reason}", err=True)
    sys.exit(code)


def _refuse_addresses(words: Sequence[str]) -> None:
    """Raise a ConfigError for an address in the place of a path, which would make a folder of that name."""
    for before, word in pairwise(("", *words)):
        name, _, value = word.partition("=") if word.startswith("--") else (before, "", word)
        if "://" in value and name not in _WITH_ADDRESSES:
            shown = f"{value.partition('://')[0]}://..."  # the rest may hold a password
            raise ConfigError(
                f"{name if name.startswith('-') else ''} {shown} is an address, and a path is expected".strip(),
                remedy="-s data.url=URL says where a run's videos are, --store URL its features, --camera URL a camera",
            )


def _usage_message(error: Any) -> str:
    """Return what typer says of wrong usage, with the value that is wrong, which it leaves out."""
    from pydantic import ValidationError

    if isinstance(error.__cause__, ValidationError):
        first = error.__cause__.errors()[0]
        reason = str(first.get("ctx", {}).get("error", first["msg"])).rstrip(".")
        error.message = reason if repr(first["input"]) in reason else f"{first['input']!r}: {reason}"
    shown = io.StringIO()
    error.show(shown)
    return shown.getvalue().rstrip("\n")
