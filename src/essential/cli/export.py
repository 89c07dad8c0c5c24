"""`essential export`: a bundle for other programs."""

from pathlib import Path
from typing import Annotated, Literal

from essential.cli.options import BundleFile, Overrides, option
from essential.cli.terminal import say

Input = Literal["frames", "features"]


def export(
    bundle: BundleFile,
    out: Annotated[Path, option("--out", "FILE", "FILE.onnx, or FILE.pt2 for torch.export.")],
    takes: Annotated[Input, option("--from", None, "Input of the export: frames, or their features.")] = "frames",
    overrides: Overrides = None,
) -> None:
    """Export a bundle to ONNX or torch.export.

    One file with the encoder and the labels, which runs without essential; a JSON file beside it says how to prepare
    clips. It is written only if it gives the bundle's own numbers.

    \b
    Examples:
      essential export actions.bundle --out actions.onnx
      essential export actions.bundle --out actions.pt2
    """
    from essential.cli.console import size
    from essential.export import export_bundle
    from essential.results.formats import counted

    made = export_bundle(bundle, out, takes=takes, overrides=overrides or ())
    say(
        f"written: {made.path} ({size(made.bytes)}, {counted(len(made.labels), 'label')}) and {made.note}; "
        f"differs from the bundle, computed in float32, by {made.worst_difference:.0e} at most"
    )
