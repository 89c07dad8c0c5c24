"""`essential features`: features from another program, or parts of a store."""

from pathlib import Path
from typing import Annotated

import typer

from essential.cli.options import argument, option
from essential.cli.terminal import say

_HELP = """Import frame features extracted elsewhere.

\b
Examples:
  essential features import FEATURES.npy LABELS.csv --out STORE
  essential features merge --into STORE PART-0 PART-1
"""
app = typer.Typer(help=_HELP, no_args_is_help=True)


@app.command("import")
def import_(
    array: Annotated[Path, argument("FEATURES.npy", "NumPy array (videos, frames, dim).")],
    labels: Annotated[Path, argument("LABELS.csv", "Columns index, label, split (train or test); optionally video.")],
    out: Annotated[Path, option("--out", "STORE", "The store to make.")],
) -> None:
    """Make a store from an array of features.

    Every method can train on it. A clip has one of the video's frames for each of video.frames equal segments.

    \b
    Example:
      essential features import FEATURES.npy LABELS.csv --out STORE
      essential train --out runs/mine -s data.kind=features \\
        -s data.path=STORE -s protocol.tasks=5
    """
    from essential.cli.progress_bar import terminal_progress
    from essential.features.imported import import_features
    from essential.progress import phase

    with phase(terminal_progress(), "import features", 0) as progress:
        videos = import_features(array, labels, out, progress=progress)
    splits = {split: sum(video.split == split for video in videos) for split in ("train", "test")}
    classes = len({video.label for video in videos})
    say(f"{len(videos)} videos of {classes} classes: {splits['train']} to train, {splits['test']} to test")
    say(f"store: {out}")


@app.command()
def merge(
    parts: Annotated[list[Path], argument("PART", "Stores, each made by `essential extract --shard i/n`.")],
    into: Annotated[Path, option("--into", "STORE", "The store to make or to complete.")],
) -> None:
    """Merge the parts of a store into one.

    The parts must have the same videos and settings, and together every shard. Every shard is checked; on one disk it
    is linked, not copied. Run again, the command continues where it was stopped.

    \b
    Example:
      essential extract --config CONFIG --store PART-0 --shard 0/2  # machine 0
      essential extract --config CONFIG --store PART-1 --shard 1/2  # machine 1
      essential features merge --into STORE PART-0 PART-1
    """
    from essential.cli.progress_bar import terminal_progress
    from essential.features.merge import merge as run
    from essential.progress import phase

    with phase(terminal_progress(), "merge shards", 0) as progress:
        shards = run(into, parts, progress=progress)
    say(f"{shards} shards, all checked\nstore: {into}")
