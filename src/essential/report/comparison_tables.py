"""A comparison as text: JSON and CSV for programs, unrounded; Markdown and LaTeX tables for readers."""

import re
import textwrap
from typing import Any

from essential.report.charts import KINDS
from essential.results import formats
from essential.results.comparison import Comparison, MethodRow
from essential.results.formats import MINUS, NBSP, NONE, counted, grouped, human_bytes, probability, signed_percent
from essential.results.measures import MAIN, column_title, metric_of

OVER = "†"
"""Marks a method that kept more than the budget."""
_HEAD_LETTERS = 14
"""As wide as a column's heading is in LaTeX."""
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
        OVER: r"$^\dagger$",
    }
)


def as_objects(comparison: Comparison) -> list[dict[str, Any]]:
    """Return one JSON object per method, in the order the user gave; fractions, bytes and seconds, unrounded.

    `memory_bytes` is what the method's ledger adds up to without MR modules: 0 for a method that `needs_all_tasks`,
    which keeps all videos instead.
    """
    return [_as_object(comparison, row) for row in comparison.rows]


def _as_object(comparison: Comparison, row: MethodRow) -> dict[str, Any]:
    example, test = comparison.example, row.test
    tested = test and {"mean_difference": test.difference, "p": test.p, "p_holm": test.p_holm}
    measures = {name: row.spread(name) for name in comparison.metrics}
    return {
        "method": row.method,
        "seeds": list(row.seeds),
        **{name: {"mean": spread.mean, "std": spread.std} for name, spread in measures.items()},
        "memory_bytes": row.memory_bytes,
        "memory_bytes_by_kind": {kind: row.kept(kind) for kind in KINDS},
        "needs_all_tasks": row.needs_all_tasks,
        "budget_bytes": row.budget_bytes,
        "within_budget": row.within_budget,
        "trainable_parameters": row.trainable_parameters,
        "seconds": row.seconds,
        "train_seconds": row.train_seconds,
        "evaluate_seconds": row.evaluate_seconds,
        "baseline": comparison.baseline,
        "paired_test": test and {"seeds": list(test.seeds), **(tested or {})},
        "protocol": {"name": example.protocol.name, "id": example.protocol.id},
        "encoder": {"name": example.encoder.name, "fingerprint": example.encoder.fingerprint},
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
        "MR modules": human_bytes(row.kept("retrieval_modules")),
        "Parameters": NONE if parameters is None else grouped(parameters),
        "Seconds": f"{row.seconds:.1f}",
        "Difference": signed_percent(test.difference if test else None),
        "p (Holm)": probability(test.p_holm if test else None),
    }


def kept(row: MethodRow) -> str:
    """Return what a method keeps from task to task, marked if that is over the budget."""
    if row.needs_all_tasks:
        return "all videos"
    return human_bytes(row.memory_bytes) + (OVER if row.within_budget is False else "")


def as_markdown(comparison: Comparison) -> str:
    """Return a GitHub table, the best method first, under a paragraph that says what it is of."""
    lines = [[row.method, *cells(row).values()] for row in comparison.ranked]
    titles = ["Method", *cells(comparison.rows[0])]
    rule = ["---", *["---:"] * (len(titles) - 1)]
    table = [titles, rule, *([_markdown(cell) for cell in line] for line in lines)]
    notes = " ".join(map(_markdown, _notes(comparison)))
    return "\n".join([notes, "", *(f"| {' | '.join(line)} |" for line in table), ""])


def as_latex(comparison: Comparison) -> str:
    """Return a table float in the style of booktabs, the best method first, and the best value of each measure bold.

    Bold is for methods that keep to the rules: they see one task at a time, and keep to the budget if there is one.
    """
    heads = [_stacked(title) for title in ("Method", *cells(comparison.rows[0]))]
    body = "\n".join(f"    {' & '.join(_latex_line(comparison, row))} \\\\" for row in comparison.ranked)
    budget = "" if comparison.budget_bytes is None else " and keep to the budget"
    bold = f"Bold: the best of the methods that see one task at a time{budget}."
    return (
        "% Needs \\usepackage{booktabs}, \\usepackage{textcomp} and \\usepackage[T1]{fontenc}.\n"
        "\\begin{table}\n  \\centering\n  \\footnotesize\n"
        f"  \\caption{{{' '.join(map(escaped, [*_notes(comparison), bold]))}}}\n  \\label{{tab:comparison}}\n"
        f"  \\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}\n    \\toprule\n"
        f"    {' & '.join(heads)} \\\\\n    \\midrule\n{body}\n    \\bottomrule\n"
        "  \\end{tabular}\n\\end{table}\n"
    )


def escaped(text: str) -> str:
    """Return text that LaTeX prints as it is, on one line; two hyphens stay two."""
    return re.sub("-(?=-)", "-{}", re.sub(r"[ \t\r\n]+", " ", text).translate(_ESCAPES))


def _stacked(title: str) -> str:
    lines = [escaped(line) for line in textwrap.wrap(title, _HEAD_LETTERS)]
    return lines[0] if len(lines) == 1 else "\\shortstack{" + "\\\\".join(lines) + "}"


def _latex_line(comparison: Comparison, row: MethodRow) -> list[str]:
    shown = {title: escaped(cell) for title, cell in cells(row).items()}
    for name in MAIN:
        if _is_best(comparison, row, name):
            shown[column_title(name)] = f"\\textbf{{{shown[column_title(name)]}}}"
    return [escaped(row.method), *shown.values()]


def _is_best(comparison: Comparison, row: MethodRow, name: str) -> bool:
    # As the table rounds it, so that what looks equal is bold together.
    means = {each: each.spread(name).mean for each in comparison.rows if each.keeps_to_the_rules}
    known = {each: round(mean, 4) for each, mean in means.items() if mean is not None}
    best = min if metric_of(name).less_is_better else max
    return row in known and known[row] == best(known.values())


def _notes(comparison: Comparison) -> list[str]:
    """Return sentences that a table needs to be understood on its own."""
    protocol, encoder = comparison.example.protocol, comparison.example.encoder
    classes, tasks = counted(sum(protocol.task_sizes), "class"), counted(len(protocol.tasks), "task")
    notes = [
        f"Protocol {protocol.name} ({protocol.id}): {classes} in {tasks}; encoder {encoder.name}.",
        f"{_over_seeds(comparison)}, in percent.",
        "Kept: what is carried from task to task without MR modules, which have a column of their own.",
    ]
    if comparison.budget_bytes is not None:
        over = f"; {OVER}: kept more" if any(OVER in kept(row) for row in comparison.rows) else ""
        notes.append(f"Budget: {human_bytes(comparison.budget_bytes)}{over}.")
    if comparison.test_note:
        notes.append(f"{comparison.test_note}.")
    difference = f"Difference: final accuracy minus that of {comparison.baseline}, in points."
    return [*notes, *comparison.record_notes, difference]


def _over_seeds(comparison: Comparison) -> str:
    seeds = ", ".join(map(str, comparison.seeds))
    if comparison.most_seeds == 1:
        return f"Accuracies and forgetting of one run each, {'seeds' if comparison.seeds_differ else 'seed'} {seeds}"
    some = "those of the" if comparison.seeds_differ else "the"
    have = " that a method has" if comparison.seeds_differ else ""
    return f"Accuracies and forgetting: mean ± sample standard deviation over {some} seeds {seeds}{have}"


def _markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
