"""What a report is made from: the record of a run, and its analysis where there is one."""

from collections.abc import Sequence
from dataclasses import dataclass

from essential.analysis_record import Analysis
from essential.errors import RunError
from essential.records import Record


@dataclass(frozen=True)
class ReportedRun:
    """A run's name on the page, its record, and its analysis: figures that the record alone does not give."""

    label: str
    record: Record
    analysis: Analysis | None = None

    def __post_init__(self) -> None:
        """Refuse an analysis of another run: its figures would be shown as this one's."""
        if self.analysis is None:
            return
        own, others = self.record.protocol.id, self.analysis.protocol_id
        learned, analysed = len(self.record.accuracy), len(self.analysis.class_accuracy_by_task)
        if own != others or learned != analysed:
            raise RunError(
                f"the analysis.json of {self.label} is of another run (protocol {others}, {analysed} tasks learned) "
                f"than its record (protocol {own}, {learned} tasks learned); delete it, and report makes it again"
            )


def refuse_none(runs: Sequence[ReportedRun]) -> None:
    """Refuse a report of nothing.

    Raises:
        RunError: there is no run.
    """
    if not runs:
        raise RunError("a report needs at least one run, 0 were given; give the folder of a finished run")
