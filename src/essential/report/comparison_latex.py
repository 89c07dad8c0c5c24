"""A comparison as a LaTeX table for a paper, in the style of booktabs."""

import re

from essential.metrics import METRICS
from essential.report.comparison_text import OVER, cells, difference_note, notes_of
from essential.report.formats import MINUS, NBSP, NONE
from essential.results.comparison import Comparison, MethodRow

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    NBSP: "~",
    NONE: "--",
    MINUS: "$-$",
    "±": r"$\pm$",
    OVER: r"$^\dagger$",
}
_TITLES = {
    "seeds": "Seeds",
    "final_accuracy": "Final",
    "average_incremental_accuracy": "Avg.\\ inc.",
    "forgetting_from_best": "Forgetting",
    "backward_forgetting": "BWF",
    "kept": "Kept",
    "parameters": "Params",
    "seconds": "Sec.",
    "modules": "MR",
    "difference": "Difference",
    "p": "$p$",
}
"""What a page of a paper has room for, of the columns of `comparison_text`."""


def as_latex(comparison: Comparison) -> str:
    """Return a table float with a caption, the best method first, and the best value of each measure bold.

    Bold is for methods that keep to the rules: they see one task at a time, and keep to the budget if there is one.
    """
    body = "\n".join(f"    {' & '.join(_line(comparison, row))} \\\\" for row in comparison.ranked)
    return (
        "% Needs \\usepackage{booktabs}, \\usepackage{textcomp} and \\usepackage[T1]{fontenc}.\n"
        "\\begin{table}\n  \\centering\n  \\footnotesize\n"
        f"  \\caption{{{' '.join(_caption(comparison))}}}\n  \\label{{tab:comparison}}\n"
        f"  \\begin{{tabular}}{{l{'r' * len(_TITLES)}}}\n    \\toprule\n"
        f"    {' & '.join(['Method', *_TITLES.values()])} \\\\\n    \\midrule\n{body}\n    \\bottomrule\n"
        "  \\end{tabular}\n\\end{table}\n"
    )


def escaped(text: str) -> str:
    """Return text that LaTeX prints as it is, on one line; two hyphens stay two."""
    line = re.sub(r"[ \t\r\n]+", " ", text)
    pairs = zip(line, f"{line[1:]} ", strict=False)
    return "".join("-{}" if pair == ("-", "-") else _ESCAPES.get(pair[0], pair[0]) for pair in pairs)


def _caption(comparison: Comparison) -> list[str]:
    budget = "" if comparison.budget_bytes is None else " and keep to the budget"
    bold = f"Bold: the best of the methods that see one task at a time{budget}."
    return [escaped(note) for note in [*notes_of(comparison), difference_note(comparison), bold]]


def _line(comparison: Comparison, row: MethodRow) -> list[str]:
    shown = cells(row)
    return [
        escaped(row.method),
        *(
            f"\\textbf{{{escaped(shown[key])}}}" if _is_best(comparison, row, key) else escaped(shown[key])
            for key in _TITLES
        ),
    ]


def _is_best(comparison: Comparison, row: MethodRow, name: str) -> bool:
    if name not in METRICS or not row.keeps_to_the_rules:
        return False
    rivals = [_as_shown(other, name) for other in comparison.rows if other.keeps_to_the_rules]
    known = [value for value in rivals if value is not None]
    best = min if METRICS[name].less_is_better else max
    return bool(known) and _as_shown(row, name) == best(known)


def _as_shown(row: MethodRow, name: str) -> float | None:
    """The value as the table rounds it, so that what looks equal is bold together."""
    mean = row.measures[name].mean
    return None if mean is None else round(mean, 4)
