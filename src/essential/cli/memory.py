"""`essential memory`: what a run carries from task to task, in bytes."""

from essential.cli.options import Run


def memory(run: Run) -> None:
    """Show every byte that a run keeps in memory, by kind.

    The last column says whether the memory figure of a paper counts it.

    \b
    Example:
      essential memory runs/first
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from essential.cli.tables import size
    from essential.records import Record

    record = Record.read(run / "record.json")
    table = Table(title=Text(f"{record.method.name}, {record.exemplars} exemplars"), title_justify="left")
    table.add_column("kind")
    table.add_column("what")
    table.add_column("bytes", justify="right")
    table.add_column("in a paper's figure")
    for entry in record.ledger:
        table.add_row(Text(entry.kind), Text(entry.name), f"{entry.bytes:,}", "yes" if entry.in_paper_figure else "no")
    counted = sum(entry.bytes for entry in record.ledger if entry.in_paper_figure)
    console = Console()
    console.print(table)
    console.print(f"total: {record.memory_bytes.total:,} bytes ({size(record.memory_bytes.total)})", highlight=False)
    console.print(f"as a paper counts it: {counted:,} bytes ({size(counted)})", highlight=False)
