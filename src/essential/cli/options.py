"""How an option or argument is declared; those that several commands share are declared here."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from essential.cli.completion import config_names, method_names

if TYPE_CHECKING:
    from essential.engine.ray_pool import RayCluster


def option(name: str, value: str | None, text: str, *, also: str | None = None, **more: Any) -> Any:
    """Return the declaration of an option: its name, what its value is called in the help, the help, another name."""
    return typer.Option(*filter(None, (name, also)), metavar=value, help=text, **more)


def argument(value: str, text: str, **more: Any) -> Any:
    """Return the declaration of an argument: what it is called in the help, and the help text."""
    return typer.Argument(metavar=value, help=text, **more)


Config = Annotated[
    str,
    option(
        "--config", "NAME", "A shipped config (see `essential configs`) or a YAML file.", autocompletion=config_names
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", metavar="KEY=VALUE", help="Change a setting: -s training.epochs=5 (repeatable)."),
]
Method = Annotated[
    str | None,
    option("--method", "NAME", "Another method than the config's, such as icarl.", autocompletion=method_names),
]
Seed = Annotated[int | None, option("--seed", "N", "Random seed; default: the config's.", min=0)]
Engine = Annotated[str | None, option("--engine", "ray", "Share the work among the machines of a Ray cluster.")]
Address = Annotated[
    str | None,
    option("--address", "HOST:PORT", "The cluster's head; default: $RAY_ADDRESS, else this machine alone."),
]
Workers = Annotated[
    int | None,
    option("--workers", "N", "Workers on the cluster; default: one on every GPU, else on every machine.", min=1),
]
RunOut = Annotated[Path, option("--out", "DIR", "Folder of the run.")]
Run = Annotated[Path, argument("RUN", "Folder of a run, made by `essential train`.")]
Unverified = Annotated[bool, option("--unverified", None, "Include records that were changed, and mark them.")]
FrameRate = Annotated[
    float | None,
    option("--frame-rate", "N", "Frames a second, where FILE counts frames; default: the video's.", min=0.01),
]
BundleFile = Annotated[Path, argument("BUNDLE", "A bundle, made by `essential learn`.")]


def refuse_given(options: Mapping[str, object], why: str, remedy: str) -> None:
    """Raise a ConfigError for the first of the options, by their names, that is given: whose value is not None."""
    from essential.errors import ConfigError

    for name, value in options.items():
        if value is not None:
            raise ConfigError(f"{name} has no meaning {why}", remedy=remedy)


def ray_cluster(engine: str | None, address: str | None, workers: int | None) -> "RayCluster | None":
    """Return the cluster that the options name, which is there; None if this machine alone is to be used."""
    from essential.engine.ray_pool import RayCluster, reachable_address
    from essential.errors import ConfigError

    if engine == "ray":
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ConfigError("--engine ray shares the work by itself", remedy="start it without torchrun")
        return RayCluster(reachable_address(address), workers)
    if engine is not None:
        raise ConfigError(f"--engine {engine!r} is not allowed", remedy="use --engine ray, or leave it out")
    refuse_given({"--address": address, "--workers": workers}, "without --engine ray", "add it")
    return None


def path_setting(key: str, path: Path | str) -> str:
    """Return the override that sets a path or an address: JSON, which YAML reads as the same text whatever is in it."""
    return f"{key}={json.dumps(str(path))}"
