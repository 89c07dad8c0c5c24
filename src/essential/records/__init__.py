"""What a run says of itself, as files: `record.json` and `analysis.json`. Reports are made from these alone."""

from essential.records.run import (
    SCHEMA_VERSION,
    LedgerRecord,
    MemoryBytes,
    Metrics,
    ProtocolRecord,
    Record,
    SkippedVideo,
)

__all__ = ["SCHEMA_VERSION", "LedgerRecord", "MemoryBytes", "Metrics", "ProtocolRecord", "Record", "SkippedVideo"]
