"""`essential report`: one page about runs."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or record.json files.", metavar="DIR...")],
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("report.html"),
) -> None:
    """Put one or more runs on one offline HTML page.

    \b
    Example:
      essential report runs/first runs/second --out comparison.html
    """
    from essential.cli.analysis import analysis_of
    from essential.cli.tables import print_runs, run_name
    from essential.records import Record
    from essential.report import write_report

    files = [run if run.is_file() else run / "record.json" for run in runs]
    names = [run_name(file.parent) if file.name == "record.json" else file.stem for file in files]
    for file in files:
        if file.name == "record.json" and file.exists():
            analysis_of(file.parent)
    records = [(name, Record.read(file)) for name, file in zip(names, files, strict=True)]
    write_report(records, out)
    print_runs(records)
    typer.echo(f"report: {out}")
