"""What a run says of itself, as files: `record.json` and `analysis.json`. Reports are made from these alone."""

from essential.records.run import (
    MOST_OTHER_METRICS,
    SCHEMA_VERSION,
    LedgerRecord,
    MemoryBytes,
    Metrics,
    ProtocolRecord,
    Record,
    SkippedVideo,
)

__all__ = [
    "MOST_OTHER_METRICS",
    "SCHEMA_VERSION",
    "LedgerRecord",
    "MemoryBytes",
    "Metrics",
    "ProtocolRecord",
    "Record",
    "SkippedVideo",
]
