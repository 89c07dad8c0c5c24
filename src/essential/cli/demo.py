"""`essential demo`: the main job on the embedded benchmark."""

from pathlib import Path
from typing import Annotated

import typer

from essential.cli.options import path_setting
from essential.cli.terminal import say

_ARMS = ("essential", "joint", "finetune", "replay-dense", "replay-sparse")


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for videos, features, runs and report.")] = Path(
        "essential-demo"
    ),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the runs.")] = 0,
    compare: Annotated[
        bool, typer.Option("--compare", help="Also run joint, finetune, and replay with dense and sparse features.")
    ] = False,
) -> None:
    """Learn moving digits, from their videos to a report, in minutes.

    Makes 1,440 short videos and learns their 24 classes in 6 tasks, on two CPU cores. Run again, it goes on where it
    was.

    \b
    Example:
      essential demo --compare
    """
    from essential.cli.analysis import analysis_of
    from essential.cli.progress_bar import terminal_progress
    from essential.cli.tables import print_runs
    from essential.engine.config import load_config
    from essential.engine.run import train
    from essential.report import ReportedRun, write_report

    places = [path_setting("data.root", out / "data"), path_setting("features.store", out / "features")]
    runs = []
    for arm in _ARMS if compare else _ARMS[:1]:
        say(f"== {arm}", err=True)
        config = load_config(f"moving-digits/{arm}", [*places, f"seed={seed}"])
        record = train(config, out / arm, resume=True, progress=terminal_progress())
        runs.append(ReportedRun(arm, record, analysis_of(out / arm)))
        write_report(runs[-1:], out / arm / "report.html")
    write_report(runs, out / "report.html")
    print_runs([(run.label, run.record) for run in runs])
    say(f"report: {out / 'report.html'}\nvideos: {out / 'data'}")
