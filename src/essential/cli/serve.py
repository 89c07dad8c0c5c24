"""`essential serve`: a bundle on a local page and a REST API."""

from pathlib import Path
from typing import Annotated

from essential.cli.options import Overrides, argument, option
from essential.cli.terminal import say

_TOKEN = "Secret of 16 characters or more for clients. Generated if needed."
_ALLOW_HOST = "Another name of this service, such as a proxy's. Repeatable."


def serve(  # noqa: PLR0913, PLR0917 - each is an option of its own
    bundle: Annotated[Path, argument("BUNDLE", "The bundle; teaching changes it.")],
    encoder: Annotated[str | None, option("--encoder", "NAME", "New bundle: auto, clip-vit-b16, or another.")] = None,
    host: Annotated[str, option("--host", "HOST", "Where to listen; all but loopback need the token.")] = "127.0.0.1",
    port: Annotated[int, option("--port", "N", "0: any free port.", min=0, max=65535)] = 8765,
    token: Annotated[str | None, option("--token", "TEXT", _TOKEN, envvar="ESSENTIAL_TOKEN")] = None,
    allow_host: Annotated[list[str] | None, option("--allow-host", "HOST", _ALLOW_HOST)] = None,
    max_mb: Annotated[int, option("--max-mb", "N", "Largest file of a clip, in MiB.", min=1)] = 100,
    max_seconds: Annotated[float, option("--max-seconds", "N", "Longest clip, in seconds.", min=0.1)] = 600,
    max_side: Annotated[int, option("--max-side", "N", "Largest side of a frame, in pixels.", min=16)] = 3840,
    time_limit: Annotated[float, option("--time-limit", "N", "Seconds of work on a clip.", min=0.1)] = 60,
    overrides: Overrides = None,
) -> None:
    """Serve a bundle on a local page and a REST API.

    Drop a clip to label it, recognise a camera live, record and teach a class, undo. The page explains the API. Videos
    are decoded in separate processes with limits on size, length, resolution, memory and time, and deleted after use.

    \b
    Examples:
      essential serve actions.bundle
      essential serve new.bundle --encoder auto
      essential serve actions.bundle --host 0.0.0.0
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
    from essential.results.formats import counted
    from essential.serve.access import access_for
    from essential.serve.messages import Limits, Setup

    limits = Limits(clip_mb=max_mb, clip_seconds=max_seconds, side=max_side, clip_work_seconds=time_limit)
    access = access_for(host, port, token, allow_host or [])
    say(f"reading {bundle} ...", err=True)
    setup = Setup(bundle.absolute(), tuple(overrides or ()), encoder, limits)
    lost = run(setup, access, announce=lambda url: say(f"serving at {url}\nstop with Ctrl-C"))
    say("stopped; the bundle is as the last finished lesson left it" if lost else "stopped", err=True)
    if lost:
        say(f"lost: {counted(len(lost), 'unfinished lesson')}: {', '.join(lost)}", err=True)
