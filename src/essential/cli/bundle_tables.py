"""What a bundle holds, as tables in the terminal."""

from collections.abc import Sequence

from rich.table import Column, Table

from essential.cli.console import Terminal, table_of
from essential.cli.tables import size
from essential.cli.terminal import say
from essential.learner.bundle import Lesson
from essential.memory.ledger import LedgerEntry
from essential.records import LedgerRecord


def print_lesson(lesson: Lesson, memory: Sequence[LedgerEntry], *, number: int) -> None:
    """Print what was learned from how many clips in the lesson of that number, and what is kept of them."""
    print_classes([lesson], first=number)
    for key, reason in lesson.skipped.items():
        say(f"left out: {key}: {reason}")
    if lesson.held_out_accuracy is not None:
        say(f"accuracy on all clips held out so far: {lesson.held_out_accuracy:.3f}")
    say(f"kept of all clips: {size(sum(entry.bytes for entry in memory if entry.kind == 'episodic'))}")


def print_classes(lessons: Sequence[Lesson], *, first: int = 1) -> None:
    """Print the classes in order of arrival, the first lesson's number being `first`; a forgotten one is left out."""
    table = table_of("class", ("lesson", "clips"))
    for number, lesson in enumerate(lessons, start=first):
        for name, clips in zip(lesson.classes, lesson.clips, strict=True):
            if name is not None:
                table.add_row(name, str(number), str(clips))
    Terminal().print(table)


def print_ledger(title: str, entries: Sequence[LedgerEntry | LedgerRecord]) -> None:
    """Print every byte that is kept, by kind."""
    columns = ("kind", "what", Column("bytes", justify="right"), "in a paper's figure")
    table = Table(*columns, title=title, title_justify="left")
    for entry in entries:
        table.add_row(entry.kind, entry.name, f"{entry.bytes:,}", "yes" if entry.in_paper_figure else "no")
    total = sum(entry.bytes for entry in entries)
    counted = sum(entry.bytes for entry in entries if entry.in_paper_figure)
    Terminal().print(table)
    say(f"total: {total:,} bytes ({size(total)})")
    say(f"as a paper counts it: {counted:,} bytes ({size(counted)})")
