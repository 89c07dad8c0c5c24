"""`essential export`: a bundle as a file that other programs run."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from essential.cli.options import BundleFile, Overrides
from essential.cli.terminal import say


def export(
    bundle: BundleFile,
    out: Annotated[
        Path,
        typer.Option("--out", help="Where to; the name says what: .onnx, or .pt2 for torch.export.", metavar="FILE"),
    ],
    takes: Annotated[
        Literal["frames", "features"],
        typer.Option("--from", help="What the export is given: frames as bytes, or features of an encoder elsewhere."),
    ] = "frames",
    overrides: Overrides = None,
) -> None:
    """Write what a bundle says of clips as one file that runs without essential.

    The encoder is in it, and the labels; FILE.json beside it says how clips are prepared. It is written only if it
    gives the bundle's own numbers.

    \b
    Examples:
      essential export actions.bundle --out actions.onnx
      essential export actions.bundle --out actions.pt2
    """
    from essential.export import export_bundle

    made = export_bundle(bundle, out, takes=takes, overrides=overrides or ())
    say(
        f"written: {made.path} ({made.bytes / 1e6:.1f} MB, {len(made.labels)} labels) and {made.note}; "
        f"it differs from the bundle, computed in float32, by {made.worst_difference:.0e} at most"
    )
