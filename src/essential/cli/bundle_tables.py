"""What a bundle holds, as tables in the terminal."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from essential.cli.console import Terminal
from essential.cli.tables import size
from essential.learner.bundle import Lesson
from essential.memory.ledger import LedgerEntry
from essential.records import LedgerRecord


def print_lesson(lesson: Lesson, memory: Sequence[LedgerEntry]) -> None:
    """Print what was learned from how many clips, and what is kept of them."""
    print_classes([lesson])
    console = Terminal(highlight=False)
    for key, reason in lesson.skipped.items():
        console.print(Text(f"left out: {key}: {reason}"))
    if lesson.held_out_accuracy is not None:
        console.print(f"accuracy on all clips held out so far: {lesson.held_out_accuracy:.3f}")
    console.print(f"kept of all clips: {size(sum(entry.bytes for entry in memory if entry.kind == 'episodic'))}")


def print_classes(lessons: Sequence[Lesson]) -> None:
    """Print the classes in order of arrival; a forgotten one is left out."""
    table = Table()
    table.add_column("class")
    table.add_column("lesson", justify="right")
    table.add_column("clips", justify="right")
    for number, lesson in enumerate(lessons, start=1):
        for name, clips in zip(lesson.classes, lesson.clips, strict=True):
            if name is not None:
                table.add_row(Text(name), str(number), str(clips))
    Terminal().print(table)


def print_ledger(title: str, entries: Sequence[LedgerEntry | LedgerRecord]) -> None:
    """Print every byte that is kept, by kind."""
    table = Table(title=Text(title), title_justify="left")
    table.add_column("kind")
    table.add_column("what")
    table.add_column("bytes", justify="right")
    table.add_column("in a paper's figure")
    for entry in entries:
        table.add_row(Text(entry.kind), Text(entry.name), f"{entry.bytes:,}", "yes" if entry.in_paper_figure else "no")
    total = sum(entry.bytes for entry in entries)
    counted = sum(entry.bytes for entry in entries if entry.in_paper_figure)
    console = Terminal(highlight=False)
    console.print(table)
    console.print(f"total: {total:,} bytes ({size(total)})")
    console.print(f"as a paper counts it: {counted:,} bytes ({size(counted)})")
