"""`essential extract`: fill a feature store, alone or as one of several jobs."""

import re
from typing import Annotated

from essential.cli.options import (
    Address,
    Config,
    Engine,
    Overrides,
    Workers,
    option,
    path_setting,
    ray_cluster,
    refuse_given,
)
from essential.cli.terminal import say
from essential.errors import ConfigError


def extract(
    config: Config,
    store: Annotated[
        str | None,
        option("--store", "STORE", "A folder, s3:// or gs://; default: the store that `train` uses."),
    ] = None,
    shard: Annotated[str | None, option("--shard", "i/n", "Part i (from 0) of n, for n jobs side by side.")] = None,
    engine: Engine = None,
    address: Address = None,
    workers: Workers = None,
    overrides: Overrides = None,
) -> None:
    """Extract frame features into a store.

    Every video is encoded once; training then reads features: -s features.store=STORE. Run again, the command
    continues where it was stopped. Several machines share the work by --shard, as ranks of torchrun, or by Ray.

    \b
    Examples:
      essential extract --config moving-digits/essential --store STORE \\
        --shard 0/2
      essential extract --config moving-digits/essential --store STORE \\
        --engine ray --workers 2
    """
    from essential.cli.progress_bar import terminal_progress
    from essential.engine.config import load_config
    from essential.engine.ranks import open_process_group
    from essential.engine.run import extract as run

    with open_process_group() as group:
        cluster = ray_cluster(engine, address, workers)
        if cluster:
            refuse_given({"--shard": shard}, "with --engine ray", "leave it out: Ray's workers share all shards")
        part = parse_shard("0/1" if shard is None else shard)
        place = [] if store is None else [path_setting("features.store", store)]
        settings = load_config(config, [*(overrides or []), *place])
        folder, broken = run(settings, part=part, progress=terminal_progress(), group=group, cluster=cluster)
        if not group.first:
            return
    for key, reason in sorted(broken.items()):
        say(f"skipped: {key}: {reason}")
    say(f"store: {folder}")


def parse_shard(text: str) -> tuple[int, int]:
    """Return (i, n) of `i/n`, with i from 0 to n - 1; raise a ConfigError for any other text."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not int(match[1]) < int(match[2]):
        raise ConfigError(f"--shard {text!r} is not allowed; use i/n with i from 0 to n - 1, such as 0/4 to 3/4")
    return int(match[1]), int(match[2])
