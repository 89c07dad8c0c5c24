"""Options that several commands share, declared once."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from essential.errors import ConfigError

Config = Annotated[
    str, typer.Option("--config", help="A shipped config by name (see `essential configs`), or a YAML file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", metavar="KEY=VALUE", help="Change a setting: -s training.epochs=5. Repeatable."),
]
Method = Annotated[
    str | None,
    typer.Option("--method", help="A shipped method instead of the config's (see `essential configs`), such as icarl."),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the run; without it the config's.")]
Run = Annotated[Path, typer.Argument(help="A run folder, as `essential train --out` makes it.", metavar="DIR")]
Unverified = Annotated[
    bool,
    typer.Option("--unverified", help="Take records that were changed after they were written too, and mark them."),
]
BundleFile = Annotated[Path, typer.Argument(help="A bundle, as `essential learn --into` makes it.", metavar="BUNDLE")]


def parse_shard(text: str | None) -> tuple[int, int]:
    """Return (i, n) of `i/n`; the whole, (0, 1), if nothing is given.

    Raises:
        ConfigError: it is not of that form, or i is not one of 0 to n - 1.
    """
    if text is None:
        return 0, 1
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not int(match[1]) < int(match[2]):
        raise ConfigError(f"--shard {text!r} is not allowed; use i/n with i from 0 to n - 1, such as 0/4 to 3/4")
    return int(match[1]), int(match[2])


def parse_methods(text: str) -> tuple[str, ...]:
    """Return the names of a list such as `a,b,c`.

    Raises:
        ConfigError: one is empty.
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ConfigError(f"--methods {text!r} is not a list of names; write them as a,b,c")
    return names


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds of a list such as `0,1,2`.

    Raises:
        ConfigError: one is no whole number from 0.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ConfigError(f"--seeds {text!r} is not a list of whole numbers from 0; write them as 0,1,2")
    return tuple(int(part) for part in parts)


def path_setting(key: str, path: Path) -> str:
    """Return the override that sets a path, as JSON, which YAML reads back as the same text whatever is in it."""
    return f"{key}={json.dumps(str(path))}"
