"""`essential compare`: methods and seeds on one protocol."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from essential.cli.options import Overrides, option
from essential.cli.terminal import say
from essential.errors import ConfigError

if TYPE_CHECKING:
    from essential.api.compare import PlannedRun
    from essential.results.comparison import Comparison, MethodRow

_OVER = "!"
_COLUMNS = ("method", "final acc.", "avg. inc.", "kept", "forgetting", "p (Holm)", "seconds", "params")


def compare(
    out: Annotated[Path, option("--out", "DIR", "Folder of the runs, the tables and the page.")],
    config: Annotated[
        str, option("--config", "NAME", "The protocol: a shipped config or a YAML file.")
    ] = "moving-digits",
    methods: Annotated[str, option("--methods", "A,B", "Methods, or all.")] = "essential,joint,finetune,replay",
    seeds: Annotated[str, option("--seeds", "N,N", "Seeds.")] = "0,1,2",
    budget_bytes: Annotated[
        int | None, option("--budget-bytes", "N", "Memory of each method with exemplars.", min=1)
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Compare methods over several seeds on one protocol.

    All runs share videos and features. Finished runs are kept: the same command continues, and more methods or seeds
    add only their own runs.

    \b
    Examples:
      essential compare --methods essential,icarl --budget-bytes 153600 --out cmp
      essential compare --config tcd/ucf101-10x5 --methods all --out ucf101 \\
        -s data.root=VIDEOS -s data.annotations=LISTS
    """
    from essential.api.compare import compare as run_all
    from essential.cli.progress_bar import terminal_progress
    from essential.cli.runs import print_skipped
    from essential.report.page import write_comparison

    def announce(run: "PlannedRun", number: int, count: int) -> None:
        say(f"== {run.method}, seed {run.seed} ({number} of {count})", err=True)

    numbers = _listed("--seeds", seeds, part="[0-9]+", what="whole numbers from 0; write them as 0,1,2")
    records = run_all(
        config,
        out,
        methods=_listed("--methods", methods, part=".+", what="names; write them as a,b,c"),
        seeds=[int(number) for number in numbers],
        budget_bytes=budget_bytes,
        overrides=overrides or (),
        progress=terminal_progress(),
        on_run=announce,
    )
    comparison = write_comparison(records, out, budget_bytes=budget_bytes)
    print_comparison(comparison)
    print_skipped(comparison.example)
    say(f"tables: {out / 'compare.csv'}, .json, .tex, .md\npage: {out / 'compare.html'}")


def _listed(option_: str, text: str, *, part: str, what: str) -> list[str]:
    """Return the parts of a list such as `a,b,c`, each of which matches the expression `part`."""
    parts = [each.strip() for each in text.split(",")]
    if not all(re.fullmatch(part, each) for each in parts):
        raise ConfigError(f"{option_} {text!r} is not a list of {what}")
    return parts


def print_comparison(comparison: "Comparison") -> None:
    """Print one row per method, the best final accuracy first, and notes on the columns."""
    from essential.cli.console import print_table, size
    from essential.cli.runs import protocol_title

    title = f"{protocol_title(comparison.example)}, seeds {', '.join(map(str, comparison.seeds))}"
    print_table(_COLUMNS, [_cells(row) for row in comparison.ranked], title=title)
    say("kept: bytes carried from task to task, without MR modules and the trained classifier")
    if comparison.budget_bytes is not None:
        over = any(row.within_budget is False and not row.needs_all_tasks for row in comparison.rows)
        say(f"budget: {size(comparison.budget_bytes)}" + (f"; {_OVER} kept more" if over else ""))
    features = f"reading features took {comparison.extract_seconds:.1f} s in all runs"
    seconds = f"seconds: training and evaluation of one run; {features}"
    for note in filter(None, (comparison.test_note, seconds, *comparison.record_notes)):
        say(note)


def _cells(row: "MethodRow") -> list[str]:
    from essential.cli.console import fraction, size
    from essential.results.formats import probability

    final, measures, parameters = row.final_accuracy, row.measures, row.trainable_parameters
    kept = (f"{_OVER} " if row.within_budget is False else "") + size(row.memory_bytes)
    p = row.test.p_holm if row.test else None
    return [
        row.method,
        fraction(final.mean) + ("" if final.std is None else f" ± {final.std:.3f}"),
        fraction(measures["average_incremental_accuracy"].mean),
        "all videos" if row.needs_all_tasks else kept,
        fraction(measures["forgetting_from_best"].mean),
        "-" if p is None else probability(p),
        f"{row.seconds:.1f}",
        "-" if parameters is None else f"{parameters:,}",
    ]
