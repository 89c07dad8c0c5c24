"""The ledger: every byte that a method carries from one task to the next, by kind.

Bytes are counted as stored. Papers count less: ESSENTIAL's figures are the float32 frame features and the prompts
(`facts` of the paper: 174 classes x 4 clips x 4 frames x 768 x 4 bytes + 10 tasks x 8 x 768 x 4 bytes = 8.39 MiB for
SSv2 10x9), and leave out the MR modules that are needed to use them. Each entry says whether such a figure holds it.

Statistics are class means, covariances, Gram matrices, importances. A memory budget caps all kinds but the MR modules.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["episodic", "semantic", "statistics", "retrieval_modules"]
KINDS: tuple[Kind, ...] = ("episodic", "semantic", "statistics", "retrieval_modules")


@dataclass(frozen=True)
class LedgerEntry:
    """One stored thing: its kind, what it is, its bytes, and whether the paper's figure counts it."""

    kind: Kind
    name: str
    bytes: int
    in_paper_figure: bool


def total_by_kind(entries: Iterable[LedgerEntry]) -> dict[str, int]:
    """Return the bytes of each kind, and of all under `total`."""
    sums: dict[str, int] = {kind: 0 for kind in KINDS}
    for entry in entries:
        sums[entry.kind] += entry.bytes
    return {**sums, "total": sum(sums.values())}
