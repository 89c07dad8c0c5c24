"""A comparison's files: for readers, for papers, for documents and for programs."""

from collections.abc import Sequence
from pathlib import Path

from essential.atomic_files import write_json, write_text
from essential.report.comparison_latex import as_latex
from essential.report.comparison_page import comparison_page
from essential.report.comparison_text import as_csv, as_markdown, as_objects
from essential.results.comparison import Comparison, compare
from essential.results.comparison_check import Run


def write_comparison(runs: Sequence[Run], folder: Path, *, budget_bytes: int | None) -> Comparison:
    """Compare finished runs, and write compare.html, compare.tex, compare.md, compare.csv and compare.json.

    The same runs give the same bytes. Each file appears whole or not at all.

    Args:
        runs: the method's name, as the user wrote it, and the record; several seeds of a method have one name.
        folder: where the files go; made if it is missing.
        budget_bytes: the cap on what a method keeps, MR modules aside; None if there was none.

    Raises:
        ComparisonError: runs differ in more than the method and the seed; nothing is written.
        FileSystemError: the disk refuses.
    """
    comparison = compare(runs, budget_bytes=budget_bytes)
    texts = {
        "compare.html": comparison_page(comparison),
        "compare.tex": as_latex(comparison),
        "compare.md": as_markdown(comparison),
        "compare.csv": as_csv(comparison),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    write_json(folder / "compare.json", as_objects(comparison))
    return comparison
