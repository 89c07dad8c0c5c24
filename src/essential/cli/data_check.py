"""`essential data check`: whether a benchmark's videos are on disk and can be used."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from essential.cli.options import Overrides, path_setting
from essential.cli.terminal import say
from essential.errors import ConfigError

if TYPE_CHECKING:
    from essential.engine.settings import RunConfig

# Of a list in JSON only the sections `data` and `protocol` are used, and any config has the others.
_ANY_CONFIG = "moving-digits/finetune"


def check(
    protocol: Annotated[
        str, typer.Option("--protocol", help="A shipped config by name, a YAML file, or an annotation list FILE.json.")
    ],
    root: Annotated[Path, typer.Option("--root", help="The folder of the videos.")],
    annotations: Annotated[
        Path | None, typer.Option("--annotations", help="The folder of the official split files; without it --root.")
    ] = None,
    list_file: Annotated[
        Path | None, typer.Option("--list", metavar="FILE.json", help="The annotation list of a config with kind list.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the whole report there, as JSON.")] = None,
    overrides: Overrides = None,
) -> None:
    """Find and open every video of a benchmark; say what is missing, broken, too short, ambiguous or there twice.

    Videos are found with or without their extension, in one folder, in a folder per class, or nested otherwise. The
    exit code is 0 if all is well, 1 if not, 2 for an error such as a list that cannot be read.

    \b
    Example:
      essential data check --protocol tcd/ucf101-10x5 \\
        --root UCF-101 --annotations ucfTrainTestlist --out report.json
    """
    import os

    from essential.cli.check_tables import print_check
    from essential.cli.progress_bar import terminal_progress
    from essential.files.atomic import write_json
    from essential.progress import phase
    from essential.protocols.places import found_of
    from essential.protocols.source import load_listing
    from essential.video.check import check_videos

    config = _config(protocol, root=root, annotations=annotations, list_file=list_file, overrides=overrides or [])
    listing = load_listing(config.data, clear=False)
    built = config.protocol.cut(listing, config.data.kind)
    progress = terminal_progress()
    for note in listing.notes:
        progress.say(note)
    with phase(progress, "open videos", 0):
        report = check_videos(
            built,
            found_of(listing),
            root=root,
            frames=config.video.frames,
            workers=os.cpu_count() or 1,
            seconds_limit=config.features.video_seconds_limit,
            progress=lambda done, total: progress.advance(done, total=total),
        )
    print_check(report)
    if out is not None:
        write_json(out, report.model_dump(mode="json"))
        say(f"report: {out}")
    if not report.clean:
        raise typer.Exit(1)


def _config(
    protocol: str, *, root: Path, annotations: Path | None, list_file: Path | None, overrides: list[str]
) -> "RunConfig":
    from essential.engine.config import load_config

    if protocol.endswith(".json"):
        if list_file is not None:
            raise ConfigError(f"--list {list_file} and --protocol {protocol} both name a list; give one of them")
        name, list_file = _ANY_CONFIG, Path(protocol)
        settings = ["data.kind=list", "protocol.tasks=null"]
    else:
        name, settings = protocol, []
    paths = {"data.root": root, "data.annotations": annotations, "data.path": list_file}
    settings += [path_setting(key, path) for key, path in paths.items() if path is not None]
    config = load_config(name, [*settings, *overrides])
    if config.data.kind == "features":
        raise ConfigError(
            "data.kind=features brings no videos along, so there is nothing to check; choose another config"
        )
    return config
