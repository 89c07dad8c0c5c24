"""`essential extract`: fill a feature store, alone or as one of several jobs."""

from pathlib import Path
from typing import Annotated

import typer

from essential.cli.options import Config, Overrides, parse_shard, path_setting
from essential.cli.terminal import say


def extract(
    config: Config,
    store: Annotated[
        Path | None, typer.Option("--store", help="The store's folder; without it the one that `train` would use.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="i/n", help="Only part i (from 0) of n, for n jobs side by side.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Encode every video once, so that training reads features.

    A stopped extraction goes on when it is run again. Several machines can share the work, each with its own i of
    --shard i/n, or as ranks that torchrun starts. Train from the store with -s features.store=STORE.

    \b
    Example:
      essential extract --config moving-digits/essential --store STORE --shard 0/2
    """
    from essential.cli.progress_bar import terminal_progress
    from essential.engine.config import load_config
    from essential.engine.ranks import open_process_group
    from essential.engine.run import extract as run

    with open_process_group() as group:
        part = parse_shard(shard)
        place = [] if store is None else [path_setting("features.store", store)]
        settings = load_config(config, [*(overrides or []), *place])
        folder, broken = run(settings, part=part, progress=terminal_progress(), group=group)
        if not group.first:
            return
    for key, reason in sorted(broken.items()):
        say(f"skipped: {key}: {reason}")
    say(f"store: {folder}")
