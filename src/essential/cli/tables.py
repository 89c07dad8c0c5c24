"""Records as tables in the terminal."""

from collections.abc import Sequence
from pathlib import Path

from essential.cli.console import Terminal, table_of
from essential.cli.terminal import say
from essential.records import Record

_SKIPPED_SHOWN = 20


def print_runs(runs: Sequence[tuple[str, Record]]) -> None:
    """Print a table for each protocol, with one column per run: accuracies, forgetting, memory, time."""
    for wanted in dict.fromkeys(record.protocol.id for _, record in runs):
        _print_protocol([(name, record) for name, record in runs if record.protocol.id == wanted])
    for name, record in runs:
        if record.untested:
            say(f"note: {name}: {record.untested}")


def _print_protocol(runs: Sequence[tuple[str, Record]]) -> None:
    protocol = runs[0][1].protocol
    classes = sum(len(task.classes) for task in protocol.tasks)
    title = f"{protocol.name}: {classes} classes in {len(protocol.tasks)} tasks"
    table = table_of("", [name for name, _ in runs], title=title)
    rows = [_cells(record) for _, record in runs]
    for label in rows[0]:
        if any(row[label] for row in rows):
            table.add_row(label, *(row[label] for row in rows))
    Terminal().print(table)


def _cells(record: Record) -> dict[str, str]:
    """Return what a run's column says, by the row's label; nothing where a row is not about this run."""
    metrics, memory, spent = record.metrics, record.memory_bytes, record.seconds
    return {
        "final accuracy": fraction(metrics.final_accuracy),
        "average incremental accuracy": fraction(metrics.average_incremental_accuracy),
        "the same by nearest means (NME)": _if_defined(metrics.average_incremental_accuracy_nme),
        "vCLIMB Acc": _if_defined(metrics.vclimb_accuracy),
        "forgetting from best": fraction(metrics.forgetting_from_best),
        "backward forgetting": fraction(metrics.backward_forgetting),
        "vCLIMB BWF": _if_defined(metrics.vclimb_bwf),
        "exemplars": str(record.exemplars),
        "episodic memory": "all videos" if record.method.needs_all_tasks else size(memory.episodic),
        "semantic memory": size(memory.semantic),
        "statistics": size(memory.statistics),
        "MR modules": size(memory.retrieval_modules),
        "seconds": f"{spent.extract + spent.train + spent.evaluate:.0f}",
        "seed": str(record.seed),
        "videos skipped": str(len(record.skipped_videos) or ""),
        "coverage": _coverage(record) if record.skipped_videos else "",
    }


def _if_defined(value: float | None) -> str:
    return "" if value is None else fraction(value)


def _coverage(record: Record) -> str:
    shares = [(record.coverage(split), name) for split, name in (("train", "training"), ("test", "test"))]
    known = ", ".join(f"{fraction(share)} of {name}" for share, name in shares if share is not None)
    return f"{known} videos"


def run_name(folder: Path) -> str:
    """Return what tables call the run in `folder`: the folder's own name, also of `.`."""
    return folder.resolve().name


def print_skipped(record: Record) -> None:
    """Name the videos that the run went on without."""
    for skipped in record.skipped_videos[:_SKIPPED_SHOWN]:
        say(f"skipped ({skipped.split}): {skipped.video}: {skipped.reason}")
    if len(record.skipped_videos) > _SKIPPED_SHOWN:
        say(f"and {len(record.skipped_videos) - _SKIPPED_SHOWN} more skipped; record.json names them all")


def fraction(value: float | None) -> str:
    """Return a fraction with three digits, or a dash where it is not defined."""
    return "-" if value is None else f"{value:.3f}"


def size(count: int) -> str:
    """Return bytes in the unit that suits them."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.1f} KiB" if count < 1024**2 else f"{count / 1024**2:.2f} MiB"
