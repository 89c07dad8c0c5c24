"""What a report is made from: the record of a run, and its analysis where there is one."""

from dataclasses import dataclass

from essential.analysis_record import Analysis
from essential.records import Record


@dataclass(frozen=True)
class ReportedRun:
    """A run's name, its record, and its analysis: figures that the record alone does not give."""

    name: str
    record: Record
    analysis: Analysis | None = None

    def __post_init__(self) -> None:
        """Refuse an analysis of another run: its figures would be shown as this one's."""
        if self.analysis is None:
            return
        self.analysis.refuse_another(
            self.name,
            protocol_id=self.record.protocol.id,
            tasks_learned=len(self.record.accuracy),
            class_accuracy=self.record.class_accuracy,
        )

    @property
    def label(self) -> str:
        """What the run is called on the page: its name, and a mark where its files do not vouch for themselves."""
        return self.record.marked(self.name, self.analysis)
