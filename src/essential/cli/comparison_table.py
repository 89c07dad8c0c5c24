"""A comparison of methods as a table in the terminal: on a narrow one without the columns that say least."""

from rich import box
from rich.measure import Measurement
from rich.table import Table

from essential.cli.console import Terminal
from essential.cli.tables import fraction, size
from essential.results.comparison import Comparison, MethodRow
from essential.results.formats import probability
from essential.results.runs import Spread

_OVER = "!"
# The first say most.
_COLUMNS = ("final acc.", "avg. inc.", "kept", "forgetting", "p (Holm)", "seconds", "params")
_LEAST_COLUMNS = 3
_UNBOUNDED = 10_000


def print_comparison(comparison: Comparison) -> None:
    """Print one row per method, the best final accuracy first, and what the marks mean."""
    protocol = comparison.example.protocol
    classes = sum(len(task.classes) for task in protocol.tasks)
    seeds = ", ".join(map(str, comparison.seeds))
    title = f"{protocol.name}: {classes} classes in {len(protocol.tasks)} tasks, seeds {seeds}"
    console = Terminal()
    tables = [_table(comparison, title, count) for count in range(len(_COLUMNS), _LEAST_COLUMNS - 1, -1)]
    unbounded = console.options.update(max_width=_UNBOUNDED)
    widths = [Measurement.get(console, unbounded, table).maximum for table in tables]
    if not console.is_terminal:
        # A file has no width: everything, on lines as long as they need to be.
        console = Terminal(width=max(widths[0], console.width))
    fitting = (table for table, width in zip(tables, widths, strict=True) if width <= console.width)
    console.print(next(fitting, tables[-1]))
    for note in _notes(comparison):
        console.print(note)


def _table(comparison: Comparison, title: str, count: int) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("method", no_wrap=True)
    for name in _COLUMNS[:count]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in comparison.ranked:
        table.add_row(row.method, *_cells(row)[:count])
    return table


def _cells(row: MethodRow) -> list[str]:
    measures, parameters = row.measures, row.trainable_parameters
    p = row.test.p_holm if row.test else None
    return [
        _spread(row.final_accuracy),
        fraction(measures["average_incremental_accuracy"].mean),
        _kept(row),
        fraction(measures["forgetting_from_best"].mean),
        "-" if p is None else probability(p),
        f"{row.seconds:.1f}",
        "-" if parameters is None else _short(parameters),
    ]


def _spread(spread: Spread) -> str:
    return fraction(spread.mean) + ("" if spread.std is None else f" ± {spread.std:.3f}")


def _kept(row: MethodRow) -> str:
    if row.needs_all_tasks:
        return "all videos"
    return (f"{_OVER} " if row.within_budget is False else "") + size(row.memory_bytes)


def _short(count: int) -> str:
    """123_456 as "123.5k"."""
    for power, letter in ((3, "G"), (2, "M"), (1, "k")):
        if count >= 999.95 * 1000 ** (power - 1):
            return f"{count / 1000**power:.1f}{letter}"
    return str(count)


def _notes(comparison: Comparison) -> list[str]:
    notes = ["kept: bytes carried from task to task, without MR modules and the trained classifier"]
    if comparison.budget_bytes is not None:
        over = any(row.within_budget is False and not row.needs_all_tasks for row in comparison.rows)
        notes.append(f"budget: {size(comparison.budget_bytes)}" + (f"; {_OVER} kept more" if over else ""))
    if comparison.test_note:
        notes.append(comparison.test_note)
    reading = f"{comparison.extract_seconds:.1f} s in all runs"
    notes.append(f"seconds: training and evaluation of one run; reading features took {reading}")
    return notes + comparison.record_notes
