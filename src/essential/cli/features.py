"""`essential features`: bring features along that something else has extracted."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Bring frame features along that something else has extracted.

    \b
    Example:
      essential features import FEATURES.npy LABELS.csv --out STORE
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
    typer.echo(f"{len(videos)} videos of {classes} classes: {splits['train']} to train, {splits['test']} to test")
    typer.echo(f"store: {out}")
