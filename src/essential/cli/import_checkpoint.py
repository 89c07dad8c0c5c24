"""`essential import-checkpoint`: the authors' checkpoints as a run."""

from pathlib import Path
from typing import Annotated

from essential.cli.options import Config, Overrides, RunOut, argument, option
from essential.cli.terminal import say

_FLAG = "--temporal-embedding/--no-temporal-embedding"
_TEMPORAL_EMBEDDING = "Whether the encoder adds one (their --use_clip_temporal); default: as the checkpoint says."


def import_checkpoint(
    folder: Annotated[Path, argument("DIR", "Folder of task1_checkpoint.pth, task2_checkpoint.pth, ...")],
    out: RunOut,
    config: Config = "own/essential",
    temporal_embedding: Annotated[bool | None, option(_FLAG, None, _TEMPORAL_EMBEDDING)] = None,
    overrides: Overrides = None,
) -> None:
    """Import checkpoints of the authors' code as a run.

    Network and flags are read from the checkpoints; nothing in them is executed, and no key of theirs is ignored. Data
    and tasks come from --config and -s, here or at the first `essential evaluate`.

    \b
    Example:
      essential import-checkpoint DIR --config vclimb/ucf101-20 --out runs/theirs
      essential evaluate runs/theirs -s data.path=LIST.json -s data.root=VIDEOS
    """
    from essential.authors.import_run import import_checkpoints
    from essential.cli.progress_bar import terminal_progress

    imported = import_checkpoints(
        folder,
        out,
        config=config,
        overrides=overrides or [],
        temporal_embedding=temporal_embedding,
        progress=terminal_progress(),
    )
    encoder = imported.config.encoder
    say(f"{imported.checkpoints} checkpoints, {imported.classes} classes, {imported.modules} MR modules")
    say(
        f"encoder: {encoder.name}, {encoder.temporal_adapters} temporal adapters, temporal embedding "
        f"{'added' if encoder.adds_temporal_embedding else 'not added'}; "
        f"clips of {imported.config.video.frames} frames, {imported.layers} temporal layers"
    )
    unused = f"; not used by this network: {', '.join(imported.unused)}" if imported.unused else ""
    say(f"{imported.keys} keys in each checkpoint, all accounted for{unused}")
    data = imported.config.data
    places = "" if data.root else " -s data.root=VIDEOS"
    kind = " -s data.kind=list" if data.kind == "folder" and not data.root else ""
    if (kind or data.kind == "list") and not data.path:
        places = f" -s data.path=LIST.json{places}"
    say(f"run: {out}\nscore it: essential evaluate {out}{kind}{places}")
