"""`essential site`: a leaderboard from records, to open or to put on a web server."""

from pathlib import Path
from typing import Annotated

import typer

from essential.cli.options import Unverified
from essential.cli.terminal import say


def site(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders, record files, or folders that are searched for record.json.", metavar="RUN_OR_FOLDER..."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the site.")],
    unverified: Unverified = False,
) -> None:
    """Make a static leaderboard of any number of records, beside what TCD's and vCLIMB's papers have published.

    A file that is no valid record stops it. Run again with the same --out it replaces what it made, and only that.
    The records are copied into the site as they are.

    \b
    Example:
      essential site runs comparison --out leaderboard
    """
    from essential.results.formats import counted
    from essential.site import find_records, write_site

    findings = find_records(runs, unverified=unverified)
    copies = f", and {counted(findings.copies, 'copy')} of these" if findings.copies else ""
    say(f"found: {counted(len(findings.records), 'record')}{copies}")
    replaced = write_site(findings, out)
    removed = f", {replaced.removed} of the last time removed" if replaced.removed else ""
    say(f"site: {out / 'index.html'} ({counted(replaced.written, 'file')}{removed})")
