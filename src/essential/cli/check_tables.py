"""A check of videos as tables in the terminal."""

from collections.abc import Iterator, Mapping

from rich.table import Table

from essential.cli.console import Terminal, table_of
from essential.cli.terminal import say
from essential.video.check import KINDS, CheckReport, Count

_SHOWN_AT_MOST = 20


def print_check(report: CheckReport) -> None:
    """Print a table for each task, what is wrong, and what the videos are."""
    counts: dict[int, list[Count]] = {}
    for count in report.counts:
        counts.setdefault(count.task, []).append(count)
    for task, of_task in counts.items():
        Terminal().print(_table(f"{report.protocol}: task {task + 1} of {len(counts)}", of_task))
    for line in _lines(report):
        say(line)


def _table(title: str, counts: list[Count]) -> Table:
    table = table_of("class", ("train", "test", *KINDS), title=title)
    by_class: dict[str, dict[str, Count]] = {}
    for count in counts:
        by_class.setdefault(count.label, {})[count.split] = count
    for label, splits in by_class.items():
        usable = [f"{splits[split].usable}/{splits[split].listed}" for split in ("train", "test")]
        wrong = [sum(count.problems[kind] for count in splits.values()) for kind in KINDS]
        table.add_row(label, *usable, *(str(number) if number else "" for number in wrong))
    return table


def _lines(report: CheckReport) -> Iterator[str]:
    lines = [f"{each.kind}: {each.video} ({each.split}, {each.label}): {each.reason}" for each in report.problems]
    for same in report.duplicates:
        lines.append(f"duplicated: {' = '.join(keys[0] for keys in same.videos)} ({same.size_bytes} bytes)")
    yield from lines[:_SHOWN_AT_MOST]
    if len(lines) > _SHOWN_AT_MOST:
        yield f"... and {len(lines) - _SHOWN_AT_MOST} more; --out FILE.json writes them all"
    for name, totals in (("codecs", report.codecs), ("sizes", report.sizes), ("pictures per second", report.rates)):
        yield f"{name}: {_shares(totals)}"
    seconds = sorted(file.seconds for file in report.files if file.seconds is not None)
    if seconds:
        middle, hours = seconds[len(seconds) // 2], sum(seconds) / 3600
        yield f"length: {seconds[0]:.1f} to {seconds[-1]:.1f} s, median {middle:.1f} s, {hours:.1f} h in all"
    yield f"coverage: {_coverage(report)}"


def _shares(totals: Mapping[str, int]) -> str:
    named = [f"{name} {count}" for name, count in list(totals.items())[:_SHOWN_AT_MOST]]
    rest = len(totals) - len(named)
    return ", ".join(named + ([f"{rest} others"] if rest else [])) or "none"


def _coverage(report: CheckReport) -> str:
    return ", ".join(
        f"{split} {one.usable} of {one.listed} videos" + (f" ({100 * one.share:.1f}%)" if one.share is not None else "")
        for split, one in report.coverage.items()
    )
