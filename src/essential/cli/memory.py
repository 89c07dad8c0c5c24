"""`essential memory`: what a run or a bundle keeps, in bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from essential.cli.options import argument
from essential.cli.terminal import say

if TYPE_CHECKING:
    from essential.memory.ledger import LedgerEntry
    from essential.records import LedgerRecord


def memory(kept: Annotated[Path, argument("RUN|BUNDLE", "Folder of a run, or file of a bundle.")]) -> None:
    """Show what a run or a bundle keeps, in bytes.

    The last column says whether papers count it as memory.

    \b
    Examples:
      essential memory runs/first
      essential memory actions.bundle
    """
    from essential.errors import RunError
    from essential.records import Record
    from essential.results.formats import counted

    if kept.exists() and not kept.is_dir():
        from essential.learner.bundle import Bundle

        bundle = Bundle.read(kept)
        title = f"method {bundle.config.method.name}, {counted(len(bundle.lessons), 'lesson')}"
        _print_ledger(title, bundle.model.ledger())
        return
    if not kept.exists():
        raise RunError(f"there is no run folder and no bundle {kept}; check the name")
    record = Record.read(kept / "record.json")
    title = f"method {record.method.shown}, {counted(record.exemplars, 'exemplar')}"
    _print_ledger(record.marked(title), record.ledger)


def _print_ledger(title: str, entries: "Sequence[LedgerEntry | LedgerRecord]") -> None:
    from essential.cli.console import print_table, size

    rows = [(each.kind, each.name, f"{each.bytes:,}", "yes" if each.in_paper_figure else "no") for each in entries]
    print_table(("kind", "what", "bytes", "counted in papers"), rows, title=title, names=2)
    total = sum(entry.bytes for entry in entries)
    counted = sum(entry.bytes for entry in entries if entry.in_paper_figure)
    say(f"total: {total:,} bytes ({size(total)})\ncounted in papers: {counted:,} bytes ({size(counted)})")
