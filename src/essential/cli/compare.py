"""`essential compare`: methods and seeds on one protocol."""

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from essential.cli.options import Address, Engine, Overrides, Workers, option, ray_cluster
from essential.cli.terminal import say
from essential.errors import ConfigError

if TYPE_CHECKING:
    from essential.api.planned_runs import PlannedRun
    from essential.results.comparison import Comparison, MethodRow

_COLUMNS = ("method", "final acc.", "avg.", "kept", "carried", "forg.", "p", "sec.")


def compare(
    out: Annotated[Path, option("--out", "DIR", "Folder of the runs, the tables and the page.")],
    config: Annotated[
        str, option("--config", "NAME", "The protocol: a shipped config or a YAML file.")
    ] = "moving-digits",
    methods: Annotated[
        str, option("--methods", "A,B", "Methods, or all.")
    ] = "spectral,essential,joint,finetune,replay",
    seeds: Annotated[str, option("--seeds", "N,N", "Seeds.")] = "0,1,2",
    budgets: Annotated[
        str | None,
        option(
            "--budgets",
            "SIZE,SIZE",
            "Memory of each method that takes a budget, such as 150KiB.",
            also="--budget-bytes",
        ),
    ] = None,
    engine: Engine = None,
    address: Address = None,
    workers: Workers = None,
    overrides: Overrides = None,
) -> None:
    """Compare methods over several seeds on one protocol.

    All runs share videos and features; finished features of a demo or run beside DIR are read. With several budgets it
    shows accuracy against bytes. Finished runs are kept: the same command continues, and more methods, budgets or seeds
    add only their own runs. Where the encoder's text tower is on this machine, zero-shot is added: the floor.

    \b
    Examples:
      essential compare --methods essential,icarl --budgets 150KiB --out cmp
      essential compare --methods all --budgets 32KiB,150KiB,2MiB --out front
      essential compare --config tcd/ucf101-10x5 --methods all --out ucf101 \\
        -s data.root=VIDEOS -s data.annotations=LISTS
    """
    from essential.api.compare import check_runs, do_runs
    from essential.api.planned_runs import ALL, parsed_budgets, plan_runs, words_left_out
    from essential.cli.progress_bar import terminal_progress
    from essential.cli.runs import print_skipped
    from essential.report.comparison_page import write_comparison
    from essential.results.comparison import Call

    def announce(run: "PlannedRun", number: int, count: int) -> None:
        say(f"== {run.label}, seed {run.seed} ({number} of {count})", err=True)

    cluster = ray_cluster(engine, address, workers)
    numbers = _listed("--seeds", seeds, part="[0-9]+", what="whole numbers from 0; write them as 0,1,2")
    sizes = parsed_budgets(() if budgets is None else budgets)
    runs = plan_runs(
        config,
        out,
        _listed("--methods", methods, part=".+", what="names; write them as a,b,c"),
        [int(number) for number in numbers],
        budgets=sizes,
        overrides=overrides or (),
    )
    progress = terminal_progress()
    runs, left_out = check_runs(runs, progress, cluster)
    left_out += words_left_out(runs) if methods == ALL else []
    named = {"--config": config, "--methods": methods, "--seeds": seeds, "--budgets": budgets, "--out": str(out)}
    command = _command({**named, "--engine": engine}, overrides or ())
    call = Call(sizes, tuple(overrides or ()), command, tuple(left_out))
    comparison = write_comparison(do_runs(runs, progress, announce, cluster), out, call)
    print_comparison(comparison)
    print_skipped(comparison.example)
    say(f"tables: {out / 'compare.csv'}, .json, .tex, .md\npage: {out / 'compare.html'}")


def _command(named: Mapping[str, str | None], overrides: Sequence[str]) -> str:
    """Return what to type for a comparison with these options, of which those that are None are left out."""
    given = [*named.items(), *(("-s", override) for override in overrides)]
    return shlex.join(["essential", "compare", *(word for name, value in given if value for word in (name, value))])


def _listed(option_: str, text: str, *, part: str, what: str) -> list[str]:
    """Return the parts of a list such as `a,b,c`, each of which matches the expression `part`."""
    parts = [each.strip() for each in text.split(",")]
    if not all(re.fullmatch(part, each) for each in parts):
        raise ConfigError(f"{option_} {text!r} is not a list of {what}")
    return parts


def print_comparison(comparison: "Comparison") -> None:
    """Print methods, the best final accuracy first, or by budgets, if there are several; and notes."""
    from essential.cli.console import print_table
    from essential.cli.runs import protocol_title
    from essential.results.formats import NBSP, budget_shown

    call = comparison.call
    say(f"{protocol_title(comparison.example)}, seeds {', '.join(map(str, comparison.seeds))}")
    if call.several:
        _print_by_budget(comparison)
    for group in comparison.groups:
        if not (call.several and any(row.budget_bytes for row in group.rows) and group.is_ranked):
            marked = comparison.front if call.several else ()
            print_table(_COLUMNS, [_cells(row, marked) for row in group.rows], title=group.title or None)
    notes = [
        "kept: after the last task, without MR modules and the trained classifier"
        + (", which a budget caps" if call.budgets else ""),
        "carried: the most after any task, with MR modules",
        "budget: " + budget_shown(call.budgets[0]).replace(NBSP, " ") if len(call.budgets) == 1 else None,
        None if call.several else comparison.test_note,
        "avg.: average incremental accuracy; forg.: forgetting from best; sec.: seconds of one run",
        f"reading features took {comparison.extract_seconds:.1f} s in all runs",
    ]
    notes += [*comparison.record_notes, *comparison.call_notes, call.command and f"command: {call.command}"]
    for note in filter(None, notes):
        say(note)


def _print_by_budget(comparison: "Comparison") -> None:
    from essential.cli.console import print_table, size
    from essential.report.comparison_tables import frontier_matrix
    from essential.results.formats import percent

    def accuracy(row: "MethodRow") -> str:
        final = row.final_accuracy
        std = "" if final.std is None else f"±{percent(final.std)}"
        return percent(final.mean) + std + ("*" if row in comparison.front else " ")

    head, *lines = frontier_matrix(comparison, accuracy)
    print_table(head, lines, title="final accuracy, %; *: on the Pareto front")
    head, *lines = frontier_matrix(comparison, lambda row: size(row.carried_bytes or 0))
    print_table(head, lines, title="carried")


def _cells(row: "MethodRow", marked: Collection["MethodRow"]) -> list[str]:
    from essential.cli.console import fraction, size

    final, measures = row.final_accuracy, row.measures
    std = "" if final.std is None else f"±{final.std:.3f}".replace("±0.", "±.")
    return [
        row.name,
        fraction(final.mean) + std + "*" * (row in marked),
        fraction(measures["average_incremental_accuracy"].mean),
        "all videos" if row.needs_all_tasks else size(row.memory_bytes),
        "-" if row.carried_bytes is None else size(row.carried_bytes),
        fraction(measures["forgetting_from_best"].mean),
        row.test.shown if row.test and row.test.p is not None else "-",
        f"{row.seconds:.1f}" if row.seconds < 1000 else f"{row.seconds:.0f}",
    ]
