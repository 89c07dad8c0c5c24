"""What a report is made from: the record of a run, and its analysis where there is one."""

from dataclasses import dataclass

from essential.analysis_record import Analysis
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
        self.analysis.refuse_another(
            self.label,
            protocol_id=self.record.protocol.id,
            tasks_learned=len(self.record.accuracy),
            class_accuracy=self.record.class_accuracy,
        )
