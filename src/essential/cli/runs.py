"""What commands show of finished runs: a table, the skipped videos, the analysis."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from essential.cli.console import fraction, print_table, size
from essential.cli.terminal import say
from essential.errors import EssentialError
from essential.records import Record
from essential.records.training_log import TrainingLog
from essential.results.runs import grouped_by
from essential.shown import described

if TYPE_CHECKING:
    from essential.records.analysis import Analysis
    from essential.report import ReportedRun

_SKIPPED_SHOWN = 20
# Metrics that repeat another one for most runs; they are in the record and the report.
_NOT_SHOWN = frozenset({"average_incremental_accuracy_cnn", "vclimb_accuracy_unweighted"})
_NONE = "-"


def run_name(folder: Path) -> str:
    """Return the name of the run in `folder`, which may be `.`."""
    return folder.resolve().name


def print_runs(runs: Sequence[tuple[str, Record]]) -> None:
    """Print a table for each protocol, with a column per run; a row that no run has is left out."""
    for several in grouped_by(runs, lambda run: run[1].protocol.id).values():
        cells = [_cells(record) for _, record in several]
        labels = list(dict.fromkeys(label for column in cells for label in column))
        rows = [[label, *(column.get(label, _NONE) for column in cells)] for label in labels]
        print_table(
            ["", *(name for name, _ in several)],
            [row for row in rows if set(row[1:]) != {_NONE}],
            title=protocol_title(several[0][1]),
        )
    for name, record in runs:
        if record.untested:
            say(f"note: {name}: {record.untested}")


def protocol_title(record: Record) -> str:
    """Return the name of the record's protocol with its numbers of classes and tasks."""
    sizes = record.protocol.task_sizes
    return f"{record.protocol.name}: {sum(sizes)} classes in {len(sizes)} tasks"


def _cells(record: Record) -> dict[str, str]:
    """Return a run's column by the labels of the rows; metrics have their names in the record."""
    memory, spent, skipped = record.memory_bytes, record.seconds, len(record.skipped_videos)
    metrics = {name.replace("_", " "): fraction(value) for name, value in record.metrics if name not in _NOT_SHOWN}
    return {
        **metrics,
        "exemplars": str(record.exemplars),
        "episodic memory": "all videos" if record.method.needs_all_tasks else size(memory.episodic),
        "semantic memory": size(memory.semantic),
        "statistics": size(memory.statistics),
        "MR modules": size(memory.retrieval_modules),
        "seconds": f"{spent.extract + spent.train + spent.evaluate:.0f}",
        "seed": str(record.seed),
        "videos skipped": str(skipped) if skipped else _NONE,
        "coverage of training videos": fraction(record.coverage("train")) if skipped else _NONE,
        "coverage of test videos": fraction(record.coverage("test")) if skipped else _NONE,
    }


def print_skipped(record: Record) -> None:
    """Name the videos that the run skipped."""
    for skipped in record.skipped_videos[:_SKIPPED_SHOWN]:
        say(f"skipped ({skipped.split}): {skipped.video}: {skipped.reason}")
    if len(record.skipped_videos) > _SKIPPED_SHOWN:
        say(f"and {len(record.skipped_videos) - _SKIPPED_SHOWN} more skipped; record.json names them all")


def reported(run: Path, record: Record, *, unverified: bool = False) -> "ReportedRun":
    """Return the run in a folder as a report shows it, with as much as the folder has beside the record."""
    from essential.report import ReportedRun

    return ReportedRun(run_name(run), record, analysis_of(run, unverified=unverified), _log_of(run))


def _log_of(run: Path) -> TrainingLog | None:
    """Return the training log; None if there is none, and a note if it is damaged."""
    file = run / "log.jsonl"
    if not file.exists():
        return None
    try:
        return TrainingLog.read(file)
    except (OSError, ValueError) as error:
        say(f"note: no training curves of {run}: {file} is damaged ({described(error)})", err=True)
        return None


def analysis_of(run: Path, *, unverified: bool = False) -> "Analysis | None":
    """Return the analysis of the run in a folder, made now if it is not there yet; None, and a note, if it cannot be.

    A record without the rest of its run has none, and no note.
    """
    from essential.analysis import analyse
    from essential.cli.progress_bar import terminal_progress

    if not any((run / name).exists() for name in ("analysis.json", "config.yaml")):
        return None
    try:
        return analyse(run, progress=terminal_progress(), unverified=unverified)
    except EssentialError as error:
        say(f"note: no analysis of {run}: {error}", err=True)
        return None
