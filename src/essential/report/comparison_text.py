"""A comparison as text: JSON and CSV for programs, unrounded; a Markdown table for readers."""

import csv
import io
import re
from typing import Any

from essential.report.comparison import MEASURES, Comparison, MethodRow, Spread
from essential.report.formats import (
    NONE,
    counted,
    grouped,
    human_bytes,
    percent,
    plus_minus,
    probability,
    signed_percent,
)
from essential.shown import plain_cell

OVER = "†"
"""Marks a method that kept more than the budget."""
COLUMNS = {
    "seeds": "Seeds",
    "final_accuracy": "Final accuracy",
    "average_incremental_accuracy": "Average incremental",
    "forgetting_from_best": "Forgetting from best",
    "backward_forgetting": "BWF",
    "kept": "Kept",
    "modules": "MR modules",
    "parameters": "Parameters",
    "seconds": "Seconds",
    "difference": "Difference",
    "p": "p (Holm)",
}
"""What tables for readers show behind a method's name: what the code calls it, and its title."""
_KINDS = ("episodic", "semantic", "statistics", "retrieval_modules")


def as_objects(comparison: Comparison) -> list[dict[str, Any]]:
    """Return one JSON object per method, in the order the user gave; fractions, bytes and seconds, unrounded.

    `memory_bytes` is what the method's ledger adds up to without MR modules: 0 for a method that `needs_all_tasks`,
    which keeps all videos instead.
    """
    return [_as_object(comparison, row) for row in comparison.rows]


def _as_object(comparison: Comparison, row: MethodRow) -> dict[str, Any]:
    example = comparison.example
    return {
        "method": row.method,
        "seeds": list(row.seeds),
        **{name: {"mean": spread.mean, "std": spread.std} for name, spread in measures_of(row).items()},
        "memory_bytes": row.memory_bytes,
        "memory_bytes_by_kind": {kind: row.kept(kind) for kind in _KINDS},
        "needs_all_tasks": row.needs_all_tasks,
        "budget_bytes": row.budget_bytes,
        "within_budget": row.within_budget,
        "trainable_parameters": row.trainable_parameters,
        "seconds": row.seconds,
        "train_seconds": row.train_seconds,
        "evaluate_seconds": row.evaluate_seconds,
        "baseline": comparison.baseline,
        "paired_test": row.test
        and {
            "seeds": list(row.test.seeds),
            "mean_difference": row.test.difference,
            "p": row.test.p,
            "p_holm": row.test.p_holm,
        },
        "protocol": {"name": example.protocol.name, "id": example.protocol.id},
        "encoder": {"name": example.encoder.name, "fingerprint": example.encoder.fingerprint},
    }


def measures_of(row: MethodRow) -> dict[str, Spread]:
    """Return everything that is averaged over seeds, by name."""
    return {**row.measures, "forward_transfer": row.forward_transfer}


def as_csv(comparison: Comparison) -> str:
    """Return one line per method, in the order the user gave, with the numbers of `as_objects`; empty = undefined."""
    rows = [_flat(content) for content in as_objects(comparison)]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: plain_cell(cell) for key, cell in row.items()} for row in rows)
    return text.getvalue()


def _flat(content: dict[str, Any]) -> dict[str, Any]:
    test = content["paired_test"] or {}
    flat: dict[str, Any] = {"method": content["method"], "seeds": " ".join(map(str, content["seeds"]))}
    for name in (*MEASURES, "forward_transfer"):
        flat |= {f"{name}_{part}": content[name][part] for part in ("mean", "std")}
    flat |= {"memory_bytes": content["memory_bytes"]}
    flat |= {f"{kind}_bytes": content["memory_bytes_by_kind"][kind] for kind in _KINDS}
    plain = ("needs_all_tasks", "budget_bytes", "within_budget", "trainable_parameters")
    times = ("seconds", "train_seconds", "evaluate_seconds", "baseline")
    flat |= {name: content[name] for name in plain + times}
    flat |= {name: test.get(name) for name in ("mean_difference", "p", "p_holm")}
    return {**flat, "protocol_id": content["protocol"]["id"], "encoder": content["encoder"]["name"]}


def as_markdown(comparison: Comparison) -> str:
    """Return a GitHub table, the best method first, under a paragraph that says what it is of."""
    titles = ["Method", *COLUMNS.values()]
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)]]
    lines += [[_plain(row.method), *map(_plain, cells(row).values())] for row in comparison.ranked]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = " ".join(map(_plain, [*notes_of(comparison), difference_note(comparison)]))
    return f"{notes}\n\n{table}\n"


def cells(row: MethodRow) -> dict[str, str]:
    """Return what a table for readers shows of a method, by the keys of `COLUMNS`; accuracies in percent."""
    test, parameters = row.test, row.trainable_parameters
    averages = {name: plus_minus(spread.mean, spread.std) for name, spread in row.measures.items() if name in COLUMNS}
    others = {
        "seeds": str(len(row.seeds)),
        "kept": kept(row),
        "modules": human_bytes(row.kept("retrieval_modules")),
        "parameters": NONE if parameters is None else grouped(parameters),
        "seconds": f"{row.seconds:.1f}",
        "difference": signed_percent(test.difference if test else None),
        "p": probability(test.p_holm if test else None),
    }
    both = averages | others
    return {key: both[key] for key in COLUMNS}


def kept(row: MethodRow) -> str:
    """Return what a method keeps from task to task, marked if that is over the budget."""
    if row.needs_all_tasks:
        return "all videos"
    return human_bytes(row.memory_bytes) + (OVER if row.within_budget is False else "")


def notes_of(comparison: Comparison) -> list[str]:
    """Return sentences that a table needs to be understood on its own."""
    protocol, encoder = comparison.example.protocol, comparison.example.encoder
    classes = sum(len(task.classes) for task in protocol.tasks)
    notes = [
        f"Protocol {protocol.name} ({protocol.id}): {counted(classes, 'class')} in "
        f"{counted(len(protocol.tasks), 'task')}; encoder {encoder.name}.",
        f"{_over_seeds(comparison)}, in percent.",
        "Kept: what is carried from task to task without MR modules, which have a column of their own.",
    ]
    if comparison.budget_bytes is not None:
        over = f"; {OVER}: kept more" if any(OVER in kept(row) for row in comparison.rows) else ""
        notes.append(f"Budget: {human_bytes(comparison.budget_bytes)}{over}.")
    if comparison.tested:
        notes.append(
            f"p: two-sided paired t-test of final accuracy against {comparison.baseline} over common seeds, "
            f"Holm-corrected for {counted(comparison.tested, 'method')}."
        )
    return notes + coverage_notes(comparison)


def difference_note(comparison: Comparison) -> str:
    """Return the sentence that says what differences are taken from."""
    return f"Difference: final accuracy minus that of {comparison.baseline}, in points."


def _over_seeds(comparison: Comparison) -> str:
    seeds = ", ".join(map(str, comparison.seeds))
    if comparison.most_seeds == 1:
        return f"Accuracies and forgetting of one run each, {'seeds' if comparison.seeds_differ else 'seed'} {seeds}"
    some = "those of the" if comparison.seeds_differ else "the"
    have = " that a method has" if comparison.seeds_differ else ""
    return f"Accuracies and forgetting: mean ± sample standard deviation over {some} seeds {seeds}{have}"


def coverage_notes(comparison: Comparison) -> list[str]:
    """Return the sentence on videos that could not be read, if there were any."""
    example = comparison.example
    if not example.skipped_videos:
        return []
    return [
        f"{counted(len(example.skipped_videos), 'video')} could not be read: the runs cover "
        f"{percent(example.coverage('train'))} % of the listed training videos and "
        f"{percent(example.coverage('test'))} % of the test videos."
    ]


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", " ".join(text.split()))
