"""A comparison as text: JSON and CSV for programs, unrounded; Markdown and LaTeX tables for readers."""

import json
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from essential.report.charts import KINDS
from essential.report.rendering import render_text
from essential.results import formats
from essential.results.comparison import Comparison, MethodRow
from essential.results.formats import MINUS, NBSP, NONE, budget_shown, grouped, human_bytes, signed_percent
from essential.results.measures import MAIN, column_title, metric_of

FRONT = "\u2217"
"""Marks what is on the Pareto front."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
_ESCAPES = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "{}$&#_%"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "'": r"\textquotesingle{}",
        "`": r"\textasciigrave{}",
        NBSP: "~",
        NONE: r"\textendash{}",
        MINUS: "$-$",
        "±": r"$\pm$",
        FRONT: r"$^\ast$",
    }
)


def table_files(comparison: Comparison) -> dict[str, str]:
    """Return the text of each file of a comparison's tables, by its name."""
    objects = json.dumps(as_objects(comparison), indent=2, ensure_ascii=False, allow_nan=False)
    return {
        "compare.csv": as_csv(comparison),
        "compare.md": as_markdown(comparison),
        "compare.tex": as_latex(comparison),
        "compare.json": f"{objects}\n",
    }


def as_objects(comparison: Comparison) -> list[dict[str, Any]]:
    """Return one JSON object per method and budget, in the order the user gave; fractions, bytes, seconds, unrounded.

    `memory_bytes` is what the method's ledger adds up to after the last task without MR modules, the mean over seeds: 0
    for a method that `needs_all_tasks`, which keeps all videos instead. `carried_bytes` is the most that it adds up to
    with them, after any task of any seed: null for such a method.
    """
    return [_as_object(comparison, row) for row in comparison.rows]


def _as_object(comparison: Comparison, row: MethodRow) -> dict[str, Any]:
    example, test = comparison.example, row.test
    measures = {name: row.spread(name) for name in comparison.metrics}
    return {
        "method": row.method,
        "seeds": list(row.seeds),
        **{name: {"mean": spread.mean, "std": spread.std} for name, spread in measures.items()},
        "memory_bytes": row.memory_bytes,
        "memory_bytes_by_kind": {kind: row.kept(kind) for kind in KINDS},
        "needs_all_tasks": row.needs_all_tasks,
        "carried_bytes": row.carried_bytes,
        "budget_bytes": row.budget_bytes,
        "within_budget": row.within_budget,
        "on_pareto_front": row in comparison.front,
        "trainable_parameters": row.trainable_parameters,
        "seconds": row.seconds,
        "train_seconds": row.train_seconds,
        "evaluate_seconds": row.evaluate_seconds,
        "baseline": comparison.baseline,
        "paired_test": test
        and {"seeds": list(test.seeds), "mean_difference": test.difference, "p": test.p, "p_holm": test.p_holm},
        "protocol": {"name": example.protocol.name, "id": example.protocol.id},
        "encoder": {"name": example.encoder.name, "fingerprint": example.encoder.fingerprint},
        "overrides": list(comparison.call.overrides),
        "command": comparison.call.command,
    }


def as_csv(comparison: Comparison) -> str:
    """Return one line per method, in the order the user gave, with the numbers of `as_objects`; empty = undefined."""
    rows = [_flat(content, comparison.metrics) for content in as_objects(comparison)]
    return formats.as_csv([list(rows[0]), *(list(row.values()) for row in rows)])


def _flat(content: dict[str, Any], metrics: list[str]) -> dict[str, Any]:
    test = content.pop("paired_test") or {}
    protocol, encoder = content.pop("protocol"), content.pop("encoder")
    parts = {
        **{name: {f"{name}_{part}": value for part, value in content[name].items()} for name in metrics},
        "seeds": {"seeds": " ".join(map(str, content["seeds"]))},
        "overrides": {"overrides": " ".join(map(shlex.quote, content["overrides"]))},
        "memory_bytes_by_kind": {f"{kind}_bytes": size for kind, size in content["memory_bytes_by_kind"].items()},
    }
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= parts.get(name, {name: value})
    flat |= {name: test.get(name) for name in ("mean_difference", "p", "p_holm")}
    return {**flat, "protocol_id": protocol["id"], "encoder": encoder["name"]}


def cells(row: MethodRow) -> dict[str, str]:
    """Return what a table for readers shows of a method, by the columns' headings; accuracies in percent."""
    test, parameters = row.test, row.trainable_parameters
    return {
        "Seeds": str(len(row.seeds)),
        **{column_title(name): row.spread(name).shown for name in MAIN},
        "Kept": kept(row),
        "Carried": human_bytes(row.carried_bytes),
        "Parameters": NONE if parameters is None else grouped(parameters),
        "Seconds": f"{row.seconds:.1f}",
        "Difference": signed_percent(test.difference if test else None),
        "p (Holm)": test.shown if test else NONE,
    }


def kept(row: MethodRow) -> str:
    """Return what a method keeps from task to task, MR modules apart."""
    return "all videos" if row.needs_all_tasks else human_bytes(row.memory_bytes)


def as_markdown(comparison: Comparison) -> str:
    """Return a GitHub table, the best method first, under a paragraph that says what it is of.

    Over several budgets it stands below one of the final accuracies, methods down and budgets across.
    """
    return render_text("compare.md", escape=_markdown, **_content(comparison))


def as_latex(comparison: Comparison) -> str:
    """Return a table float in the style of booktabs, the best method first, and the best value of each measure bold.

    Bold is for methods that keep to the rules: they see one task at a time, and keep to the budget if there is one. It
    is given at each budget. Over several budgets the float stands below one like that of `as_markdown`.
    """
    ranked = [group.rows for group in comparison.groups if group.is_ranked]
    best = {(row, column_title(name)) for name in MAIN for rows in ranked for row in _best(rows, name)}
    return render_text("compare.tex", escape=escaped, best=best, **_content(comparison))


def _content(comparison: Comparison) -> dict[str, Any]:
    return {
        "comparison": comparison,
        "notes": render_text("compare_notes.txt", comparison=comparison, front=FRONT).splitlines(),
        "titles": list(cells(comparison.rows[0])),
        "cells": cells,
        "front": FRONT,
        "matrix": frontier_matrix(comparison, lambda row: _marked(comparison, row)),
    }


def frontier_matrix(comparison: Comparison, show: Callable[[MethodRow], str]) -> list[list[str]]:
    """Return what is shown of methods, down, at budgets, across, with a head; empty unless there are several budgets.

    Rows that are over their budget are left out, and so are methods that take none.
    """
    if not comparison.call.several:
        return []
    fitting = {(row.method, row.budget_bytes): row for row in comparison.rows if row.within_budget}
    names = dict.fromkeys(name for name, budget in fitting if budget)
    lines = [[fitting.get((name, budget)) for budget in comparison.call.budgets] for name in names]
    head = ["Method", *map(budget_shown, comparison.call.budgets)]
    shown = [[NONE if row is None else show(row) for row in line] for line in lines]
    return [head, *([name, *line] for name, line in zip(names, shown, strict=True))]


def _marked(comparison: Comparison, row: MethodRow) -> str:
    return row.final_accuracy.shown + (FRONT if row in comparison.front else "")


def escaped(text: str) -> str:
    """Return text that LaTeX prints as it is, on one line; two hyphens stay two."""
    return re.sub("-(?=-)", "-{}", re.sub(r"[ \t\r\n]+", " ", text).translate(_ESCAPES))


def _best(rows: Sequence[MethodRow], name: str) -> list[MethodRow]:
    """Return the best rows, as the table rounds them, so that what looks equal is together."""
    means = {row: row.spread(name).mean for row in rows}
    known = {row: round(mean, 4) for row, mean in means.items() if mean is not None}
    best = min if metric_of(name).less_is_better else max
    return [row for row, mean in known.items() if mean == best(known.values())]


def _markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
