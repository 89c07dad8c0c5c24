"""The pages of a report and of a comparison, each one HTML file that asks the network for nothing; and their files."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from essential.files.atomic import write_bytes, write_json, write_text
from essential.records.analysis import MOST_FORGOTTEN, ForgottenClip
from essential.report.comparison_tables import OVER, as_csv, as_latex, as_markdown, as_objects, kept
from essential.report.contents import group_runs
from essential.report.drawing import FigureView, LineStyle, figure_files
from essential.report.line_figures import figures_over_tasks, hollow_styles
from essential.report.rendering import render
from essential.report.run_figures import RunFigures
from essential.report.run_view import Line, ReportedRun, RunView
from essential.report.scatter import OwnMethod, own_scatter, published_scatter
from essential.results import formats
from essential.results.comparison import Comparison, MethodRow, Run, compare
from essential.results.formats import slug
from essential.results.measures import MAIN

_IMAGE_LETTERS = 700_000
"""Of all images on a page together, so that it stays below 3 MB."""


def write_report(runs: Sequence[ReportedRun], path: Path) -> None:
    """Write one self-contained HTML page about `runs`, in their order, whole or not at all.

    The same runs give the same bytes. Nothing in the page asks the network for anything or runs a script.

    Raises:
        RunError: there is no run.
        FileSystemError: the disk refuses.
    """
    groups = group_runs(runs)
    shown = [run for group in groups for run in group.runs]
    page = render(
        "report.html",
        groups=groups,
        of_run={run: RunFigures(run) for run in shown},
        forgotten=_forgotten(shown),
        swatches=swatches([run.style for run in shown] + hollow_styles(shown)),
        has_images=any(run.analysis for run in shown),
        run_count=len(runs),
    )
    write_text(path, page)


def write_figures(runs: Sequence[ReportedRun], folder: Path) -> list[Path]:
    """Write the figures of a report, each as SVG, PDF and CSV, named by what it shows; return the files.

    Those of one run go into a folder named after it; where runs are of several protocols, those of each protocol do
    too. The same runs give the same bytes. Each file appears whole or not at all; other files are left alone.

    Raises:
        RunError: there is no run.
        FileSystemError: the disk refuses.
    """
    groups = group_runs(runs)
    files: list[Path] = []
    for group, part in zip(groups, _unique(group.protocol.name for group in groups), strict=True):
        place = folder / part if len(groups) > 1 else folder
        files += _write(group.files, place)
        for run, name in zip(group.runs, _unique(run.label for run in group.runs), strict=True):
            files += _write(RunFigures(run).files, place / name)
    return files


def swatches(styles: Sequence[LineStyle]) -> dict[str, str]:
    """Return the drawing of each style's swatch by its identifier."""
    return {style.swatch: style.svg for style in dict.fromkeys(styles)}


def _forgotten(runs: Sequence[RunView]) -> dict[RunView, list[ForgottenClip]]:
    """Return the clips shown of each run, in turns until the page is full: the most confident mistakes first."""
    analyses = [(run, run.analysis) for run in runs if run.analysis and run.analysis.forgotten]
    chosen: dict[RunView, list[ForgottenClip]] = {run: [] for run, _ in analyses}
    room = _IMAGE_LETTERS
    for place in range(MOST_FORGOTTEN):
        for run, analysis in analyses:
            for clip in analysis.forgotten[place : place + 1]:
                room -= sum(map(len, clip.frames))
                if room >= 0:
                    chosen[run].append(clip)
    return chosen


def _write(figures: Sequence[FigureView], folder: Path) -> list[Path]:
    files = []
    for figure in figures:
        contents = {**figure_files(figure.drawing), "csv": formats.as_csv(figure.data).encode()}
        for kind, content in contents.items():
            files.append(folder / f"{slug(figure.title)}.{kind}")
            write_bytes(files[-1], content)
    return files


def _unique(names: Iterable[str]) -> list[str]:
    """Return a name for a folder for each, numbered where two would be the same."""
    taken: list[str] = []
    for wanted in map(slug, names):
        numbered = (f"{wanted}-{number}" for number in range(2, len(taken) + 3))
        taken.append(next(name for name in (wanted, *numbered) if name not in taken))
    return taken


_DRAWN = 8
"""Lines in a chart over tasks: more cannot be told apart."""


def write_comparison(runs: Sequence[Run], folder: Path, *, budget_bytes: int | None) -> Comparison:
    """Compare finished runs, and write compare.html, compare.tex, compare.md, compare.csv and compare.json.

    The same runs give the same bytes. Each file appears whole or not at all; the folder is made if it is missing.
    `budget_bytes` caps what a method keeps, MR modules aside.

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


def comparison_page(comparison: Comparison) -> str:
    """Return the page: it asks the network for nothing and runs no script; the same runs give the same text."""
    known = [name for name in comparison.metrics if any(row.spread(name).mean is not None for row in comparison.rows)]
    # What all runs have in common, read from one of them.
    group = group_runs([ReportedRun("Every run", comparison.example)])[0]
    methods = [OwnMethod(str(row.rank), row.method, row, _look(comparison, row)) for row in comparison.ranked]
    lines = _lines(comparison)
    return render(
        "comparison.html",
        comparison=comparison,
        group=group,
        scatter=own_scatter(methods, "compared", comparison.budget_bytes),
        beside=published_scatter(methods, group.protocol.name, "compared"),
        lines=lines,
        charts=figures_over_tasks(lines, "compared"),
        swatches=swatches([line.style for line in lines]),
        others=[name for name in known if name not in MAIN],
        kept=kept,
        over=OVER,
    )


def _lines(comparison: Comparison) -> list[Line]:
    """Return the most accurate methods, and the baseline wherever it stands, a line each."""
    rows = [row for row in comparison.ranked if row.rank <= _DRAWN or row.method == comparison.baseline]
    rows = rows if len(rows) <= _DRAWN else [*rows[: _DRAWN - 1], rows[-1]]
    lines = []
    for style, row in zip(map(LineStyle, range(_DRAWN)), rows, strict=False):
        named = [(f"{row.method}, seed {record.seed}", record) for record in row.records]
        runs = [RunView(number, name, record, None, style) for number, (name, record) in enumerate(named)]
        lines.append(Line(row.method, style, tuple(runs)))
    return lines


def _look(comparison: Comparison, row: MethodRow) -> LineStyle:
    """Return a square for the baseline, a dot for others, and a ring for those that do not keep to the rules."""
    return LineStyle(1) if row.method == comparison.baseline else LineStyle(0, hollow=not row.keeps_to_the_rules)
