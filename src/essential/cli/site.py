"""`essential site`: a leaderboard from records."""

from pathlib import Path
from typing import Annotated

from essential.cli.options import Unverified, argument, option
from essential.cli.terminal import say


def site(
    runs: Annotated[list[Path], argument("PATH", "Run folders, record files, or folders to search for record.json.")],
    out: Annotated[Path, option("--out", "DIR", "Folder of the site.")],
    unverified: Unverified = False,
) -> None:
    """Make a static leaderboard from records.

    It shows the published figures of TCD and vCLIMB beside them, and holds copies of the records. A file that is no
    valid record is an error. Run again with the same --out, it replaces only what it made.

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
    removed = f", {replaced.removed} old removed" if replaced.removed else ""
    say(f"site: {out / 'index.html'} ({counted(replaced.written, 'file')}{removed})")
