"""`essential serve`: a bundle behind a local page and a REST API."""

from pathlib import Path
from typing import Annotated

import typer

from essential.cli.options import Overrides
from essential.cli.terminal import say


def serve(  # noqa: PLR0913, PLR0917 - each is an option of its own
    bundle: Annotated[Path, typer.Argument(help="The bundle; changed by what is taught.", metavar="BUNDLE")],
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="Begin an empty bundle with it: clip-vit-b16, tiny, or another.")
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Where to listen. Any but this machine's own loop-back has a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="ESSENTIAL_TOKEN",
            help="What clients must know, 16 characters or more. Made where one is needed and not given.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="A further name of this service, such as a proxy's. Repeatable."),
    ] = None,
    max_mb: Annotated[int, typer.Option("--max-mb", min=1, help="Most megabytes of a clip's file.")] = 100,
    max_seconds: Annotated[float, typer.Option("--max-seconds", min=0.1, help="Most seconds of a clip.")] = 600,
    max_side: Annotated[int, typer.Option("--max-side", min=16, help="Most pixels of a side of its pictures.")] = 3840,
    time_limit: Annotated[
        float, typer.Option("--time-limit", min=0.1, help="Seconds until a clip that is not done is given up.")
    ] = 60,
    overrides: Overrides = None,
) -> None:
    """Serve a local page and a REST API: drop a clip and see the answer, teach a class, undo.

    The page says how to use the API. Videos are decoded in processes of their own, under limits of size, length,
    resolution, memory and time, and are kept no longer than they are needed.

    \b
    Examples:
      essential serve actions.bundle
      essential serve new.bundle --encoder tiny        begins an empty one
      essential serve actions.bundle --host 0.0.0.0    for others too, who need the token that it prints
    """
    from essential.errors import ConfigError

    try:
        from essential.serve.run import serve as run
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("essential"):
            raise
        raise ConfigError(
            f"the service needs the package {error.name}, which is not installed; install the extra: "
            "pip install 'essential-video[serve]'"
        ) from error
    from essential.serve.access import access_for
    from essential.serve.messages import Limits, Setup

    limits = Limits(clip_mb=max_mb, clip_seconds=max_seconds, side=max_side, clip_work_seconds=time_limit)
    access = access_for(host, port, token, allow_host or [])
    say(f"reading {bundle} ...", err=True)
    run(Setup(bundle.absolute(), tuple(overrides or ()), encoder, limits), access, announce=_announce)
    say("ended", err=True)


def _announce(url: str) -> None:
    say(f"serving at {url}\nend it with Ctrl-C")
