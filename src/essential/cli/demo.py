"""`essential demo`: a whole run on the embedded benchmark."""

from pathlib import Path
from typing import Annotated

from essential.cli.options import option, path_setting
from essential.cli.terminal import say

_OUT = Path("essential-demo")
_ARMS = ("essential", "joint", "finetune", "replay-dense", "replay-sparse")


def demo(
    out: Annotated[Path, option("--out", "DIR", "Folder of videos, features, runs and report.")] = _OUT,
    seed: Annotated[int, option("--seed", "N", "Seed of the runs.", min=0)] = 0,
    compare: Annotated[bool, option("--compare", None, "Also run joint, finetune, and two kinds of replay.")] = False,
) -> None:
    """Learn moving digits, from videos to a report.

    Makes 1,440 short videos and learns their 24 classes in 6 tasks, in a minute or two on two CPU cores. Run again,
    the command continues where it was stopped.

    \b
    Example:
      essential demo --compare
    """
    from essential.cli.progress_bar import terminal_progress
    from essential.cli.runs import print_runs, reported
    from essential.engine.config import load_config
    from essential.engine.run import train
    from essential.report import write_report

    places = [path_setting("data.root", out / "data"), path_setting("features.store", out / "features")]
    runs = []
    for arm in _ARMS if compare else _ARMS[:1]:
        say(f"== {arm}", err=True)
        config = load_config(f"moving-digits/{arm}", [*places, f"seed={seed}"])
        record = train(config, out / arm, resume=True, progress=terminal_progress())
        runs.append(reported(out / arm, record))
        write_report(runs[-1:], out / arm / "report.html")
    write_report(runs, out / "report.html")
    print_runs([(run.label, run.record) for run in runs])
    say(f"report: {out / 'report.html'}\nvideos: {out / 'data'}")
