"""`essential memory`: what a run carries from task to task, or a bundle from lesson to lesson, in bytes."""

from pathlib import Path
from typing import Annotated

import typer


def memory(
    kept: Annotated[Path, typer.Argument(help="A run folder, or the file of a bundle.", metavar="DIR|BUNDLE")],
) -> None:
    """Show every byte that a run or a bundle keeps in memory, by kind.

    The last column says whether the memory figure of a paper counts it.

    \b
    Examples:
      essential memory runs/first
      essential memory actions.bundle
    """
    from essential.cli.bundle_tables import print_ledger
    from essential.errors import RunError
    from essential.records import Record

    if kept.exists() and not kept.is_dir():
        from essential.learner.bundle import Bundle

        bundle = Bundle.read(kept)
        print_ledger(f"{bundle.config.method.name}, {len(bundle.lessons)} lessons", bundle.model().ledger())
        return
    if not kept.exists():
        raise RunError(f"there is no run folder and no bundle {kept}; check the name")
    record = Record.read(kept / "record.json")
    print_ledger(record.marked(f"{record.method.name}, {record.exemplars} exemplars"), record.ledger)
