"""`essential compare`: many methods and seeds on one protocol, and what is to be said of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from essential.cli.options import Overrides, parse_methods, parse_seeds
from essential.cli.terminal import say

if TYPE_CHECKING:
    from essential.api.compare import PlannedRun


def compare(
    out: Annotated[Path, typer.Option("--out", help="Folder of the runs, the tables and the page.")],
    config: Annotated[
        str, typer.Option("--config", help="The protocol: a shipped config, such as moving-digits, or a YAML file.")
    ] = "moving-digits",
    methods: Annotated[
        str, typer.Option("--methods", help="Methods by name, such as essential,replay,slda-temporal; or all.")
    ] = "essential,joint,finetune,replay",
    seeds: Annotated[str, typer.Option("--seeds", help="Seeds, such as 0,1,2.")] = "0,1,2",
    budget_bytes: Annotated[
        int | None,
        typer.Option(
            "--budget-bytes",
            min=1,
            help="What every method with exemplars may keep; without it, what the config says per class.",
        ),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Run methods under one protocol, with the same features and seeds, and compare them.

    Runs that are complete are not repeated: the same command goes on where it was. With more methods or seeds behind
    those named before, only theirs are run.

    \b
    Examples:
      essential compare --methods essential,icarl,slda-temporal --budget-bytes 153600 --out comparison
      essential compare --config tcd/ucf101-10x5 --methods all --out ucf101 \\
        -s data.root=VIDEOS -s data.annotations=LISTS
    """
    from essential.api.compare import compare as run_all
    from essential.cli.comparison_table import print_comparison
    from essential.cli.progress_bar import terminal_progress
    from essential.cli.tables import print_skipped
    from essential.report.comparison_files import write_comparison

    def announce(run: "PlannedRun", number: int, count: int) -> None:
        say(f"== {run.method}, seed {run.seed} ({number} of {count})", err=True)

    records = run_all(
        config,
        out,
        methods=parse_methods(methods),
        seeds=parse_seeds(seeds),
        budget_bytes=budget_bytes,
        overrides=overrides or (),
        progress=terminal_progress(),
        on_run=announce,
    )
    comparison = write_comparison(records, out, budget_bytes=budget_bytes)
    print_comparison(comparison)
    print_skipped(comparison.example)
    say(f"tables: {out / 'compare.csv'}, .json, .tex, .md\npage: {out / 'compare.html'}")
