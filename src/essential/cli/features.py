"""`essential features`: bring features along from elsewhere: another program's, or parts of a store."""

from pathlib import Path
from typing import Annotated

import typer

from essential.cli.terminal import say

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Bring frame features along that were extracted elsewhere.

    \b
    Examples:
      essential features import FEATURES.npy LABELS.csv --out STORE
      essential features merge --into STORE PART-0 PART-1
    """


@app.command("import")
def import_(
    array: Annotated[Path, typer.Argument(help="NumPy array (videos, frames, dim).", metavar="FEATURES.npy")],
    labels: Annotated[
        Path,
        typer.Argument(help="Columns index,label,split (train or test), and video if you like.", metavar="LABELS.csv"),
    ],
    out: Annotated[Path, typer.Option("--out", help="The store to make.", metavar="STORE")],
) -> None:
    """Make a store of frame features that every method can train on.

    A video's clip is then taken from its frames as from a video: one frame of each of video.frames equal segments.

    \b
    Example:
      essential features import FEATURES.npy LABELS.csv --out STORE
      essential train --out runs/mine -s data.kind=features -s data.path=STORE -s protocol.tasks=5
    """
    from essential.cli.progress_bar import terminal_progress
    from essential.features.imported import import_features
    from essential.progress import phase

    progress = terminal_progress()
    with phase(progress, "import features", 0):
        videos = import_features(array, labels, out, progress=lambda done, total: progress.advance(done, total=total))
    splits = {split: sum(video.split == split for video in videos) for split in ("train", "test")}
    classes = len({video.label for video in videos})
    say(f"{len(videos)} videos of {classes} classes: {splits['train']} to train, {splits['test']} to test")
    say(f"store: {out}")


@app.command()
def merge(
    parts: Annotated[
        list[Path], typer.Argument(help="Stores, each made by `essential extract --shard i/n`.", metavar="PART...")
    ],
    into: Annotated[Path, typer.Option("--into", help="The store to make, or to complete.", metavar="STORE")],
) -> None:
    """Make one store of those that several machines have extracted, each its --shard i/n into a folder of its own.

    All parts must come from the same videos and settings, and together have every shard. Every shard is checked; on
    one disk it is linked, not copied. A stopped merge goes on when it is run again.

    \b
    Example:
      essential extract --config CONFIG --store PART-0 --shard 0/2     # on one machine
      essential extract --config CONFIG --store PART-1 --shard 1/2     # on another
      essential features merge --into STORE PART-0 PART-1
    """
    from essential.cli.progress_bar import terminal_progress
    from essential.features.merge import merge as run
    from essential.progress import phase

    progress = terminal_progress()
    with phase(progress, "merge shards", 0):
        shards = run(into, parts, progress=lambda done, total: progress.advance(done, total=total))
    say(f"{shards} shards, all checked")
    say(f"store: {into}")
