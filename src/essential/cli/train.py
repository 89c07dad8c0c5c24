"""`essential train`: learn every task of a protocol."""

from pathlib import Path
from typing import Annotated, Any

from essential.cli.completion import config_names
from essential.cli.options import Method, Overrides, RunOut, Seed, option
from essential.cli.terminal import say


def train(
    out: RunOut,
    config: Annotated[
        str | None,
        option(
            "--config",
            "NAME",
            "A shipped config or a YAML file; default: for your own data.",
            autocompletion=config_names,
        ),
    ] = None,
    method: Method = None,
    seed: Seed = None,
    resume: Annotated[bool, option("--resume", None, "Continue the run in --out, if there is one.")] = False,
    watch: Annotated[bool, option("--watch", None, "Keep RUN/report.html up to date: a page that reloads.")] = False,
    tensorboard: Annotated[Path | None, option("--tensorboard", "DIR", "Also write TensorBoard's event files.")] = None,
    wandb: Annotated[str | None, option("--wandb", "PROJECT", "Also log to Weights & Biases.")] = None,
    overrides: Overrides = None,
) -> None:
    """Train and evaluate a method, task after task.

    \b
    Examples:
      The embedded benchmark, with ESSENTIAL and with another method:
        essential train --config moving-digits/essential --out runs/first
        essential train --config moving-digits/essential --method icarl \\
          --out runs/icarl
      Your own videos (DIR/train/CLASS/*, DIR/test/CLASS/*) in 4 tasks:
        essential train --out runs/mine -s data.root=DIR -s protocol.tasks=4
      Your own features (`essential features import`):
        essential train --out runs/mine \\
          -s data.kind=features -s data.path=STORE -s protocol.tasks=4
      Two processes, the same numbers (docs/clusters.md):
        torchrun --nproc-per-node 2 -m essential train --out runs/mine \\
          -s data.root=DIR -s protocol.tasks=4
    """
    drawn = [] if seed is None else [f"seed={seed}"]
    changed = [*(overrides or []), *drawn]
    _train(config, method, changed, out, resume=resume, watch=watch, tensorboard=tensorboard, wandb=wandb)


def _train(
    config: str | None,
    method: str | None,
    overrides: list[str],
    out: Path,
    *,
    resume: bool,
    watch: bool,
    **trackers: Any,
) -> None:
    from essential.cli.progress_bar import terminal_progress
    from essential.cli.runs import print_runs, print_skipped, reported, run_name
    from essential.engine.config import load_config, own_config
    from essential.engine.ranks import open_process_group
    from essential.engine.run import train as run
    from essential.report import WatchPage, write_report
    from essential.tracking import open_sinks

    def warn(text: str) -> None:
        say(f"warning: {text}", err=True)

    with open_process_group() as group:
        settings = load_config(config or own_config(method), overrides, method=method)
        progress = terminal_progress()
        page = WatchPage(out / "report.html", progress) if watch and group.first else None
        with open_sinks(**trackers, page=page, warn=warn) as sink:
            progress = page.progress if page else progress
            record = run(settings, out, resume=resume, progress=progress, group=group, sink=sink)
        if not group.first:
            return
        write_report([reported(out, record)], out / "report.html")
        print_runs([(run_name(out), record)])
        print_skipped(record)
        say(f"record: {out / 'record.json'}\nreport: {out / 'report.html'}")
