"""`essential report`: one page about runs."""

from pathlib import Path
from typing import Annotated

from essential.cli.options import Unverified, argument, option
from essential.cli.terminal import say


def report(
    runs: Annotated[list[Path], argument("RUN", "Run folders, or record.json files.")],
    out: Annotated[Path, option("--out", "FILE.html", "The page.")] = Path("report.html"),
    figures: Annotated[Path | None, option("--figures", "DIR", "Also write all figures as SVG, PDF and CSV.")] = None,
    unverified: Unverified = False,
) -> None:
    """Write an HTML report of one or more runs.

    \b
    Examples:
      essential report runs/first runs/second --out comparison.html
      essential report runs/first --figures figures
    """
    from essential.cli.runs import print_runs, reported, run_name
    from essential.files.atomic import refuse_unwritable
    from essential.records import Record
    from essential.report import ReportedRun, write_figures, write_report

    refuse_unwritable(out)
    if figures is not None:
        refuse_unwritable(figures / "any")
    files = [run if run.exists() and not run.is_dir() else run / "record.json" for run in runs]
    names = [run_name(file.parent) if file.name == "record.json" else file.stem for file in files]
    records = [Record.read(file, unverified=unverified) for file in files]
    shown = [
        reported(file.parent, record, unverified=unverified)
        if file.name == "record.json"
        else ReportedRun(name, record)
        for name, record, file in zip(names, records, files, strict=True)
    ]
    write_report(shown, out)
    written = write_figures(shown, figures) if figures else []
    print_runs([(run.label, run.record) for run in shown])
    say(f"report: {out}")
    if written:
        say(f"figures: {len(written)} files in {figures}")
