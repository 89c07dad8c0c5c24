"""The page itself: one HTML file that asks the network for nothing."""

from collections.abc import Sequence
from pathlib import Path

from essential.atomic_files import write_text
from essential.errors import RunError
from essential.records import Record
from essential.report.contents import KINDS, group_runs, memory_segments
from essential.report.figures import figures_of
from essential.report.rendering import render


def write_report(records: Sequence[tuple[str, Record]], path: Path) -> None:
    """Write one self-contained HTML page about `records`.

    The same records give the same bytes. Nothing in the page asks the network for anything or runs a script.

    Args:
        records: a label, shown as the run's name, and the record, in the order to show.
        path: the HTML file to write, whole or not at all.

    Raises:
        RunError: there is no record.
        FileSystemError: the disk refuses.
    """
    if not records:
        raise RunError("a report needs at least one run, 0 were given; give the folder of a finished run")
    groups = group_runs(records)
    page = render(
        "report.html",
        groups=groups,
        figures={group.anchor: figures_of(group) for group in groups},
        run_count=len(records),
        kinds=KINDS,
        segments=memory_segments,
    )
    write_text(path, page)
