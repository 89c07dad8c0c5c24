"""The episodic memory: exemplars of old classes, kept as a file that needs no video and no feature store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from essential.errors import CheckpointError, ConfigError
from essential.memory.ledger import LedgerEntry
from essential.sealed_files import Array, read_sealed, sealed_size, write_sealed

_METADATA = {"what": "episodic memory", "version": 1}


@dataclass(frozen=True)
class EpisodicMemory:
    """Exemplars in order of arrival; within a class, in the order in which they were chosen.

    Attributes:
        features: frame features of the kept frames, float32.
        positions: the place (0 to frames - 1) that each kept frame had in the dense clip.
        slots: each exemplar's class.
        tasks: the task that each exemplar came with.
        names: each exemplar's video, for the record alone; nothing reads the video again.
    """

    features: Float[Tensor, "exemplars kept dim"]
    positions: Int[Tensor, "exemplars kept"]
    slots: Int[Tensor, " exemplars"]
    tasks: Int[Tensor, " exemplars"]
    names: tuple[str, ...]

    @classmethod
    def empty(cls, *, kept: int, dim: int) -> "EpisodicMemory":
        """Return a memory of no exemplars."""
        none = torch.zeros(0, dtype=torch.long)
        return cls(torch.zeros(0, kept, dim), torch.zeros(0, kept, dtype=torch.long), none, none, ())

    def __len__(self) -> int:
        return len(self.slots)

    def extended(self, other: "EpisodicMemory") -> "EpisodicMemory":
        """Return a memory with the exemplars of `other` behind these."""
        return EpisodicMemory(
            torch.cat([self.features, other.features]),
            torch.cat([self.positions, other.positions]),
            torch.cat([self.slots, other.slots]),
            torch.cat([self.tasks, other.tasks]),
            self.names + other.names,
        )

    def at_most_per_class(self, quota: int) -> "EpisodicMemory":
        """Return a memory with the first `quota` exemplars of each class."""
        seen: dict[int, int] = {}
        keep = []
        for index, slot in enumerate(self.slots.tolist()):
            seen[slot] = seen.get(slot, 0) + 1
            if seen[slot] <= quota:
                keep.append(index)
        return self._take(keep)

    def within(self, budget_bytes: int) -> "EpisodicMemory":
        """Return the memory with the largest equal quota per class whose file fits into `budget_bytes`.

        Raises:
            ConfigError: not even one exemplar per class fits.
        """
        if self.stored_bytes <= budget_bytes:
            return self
        fits, too_many = 0, int(torch.bincount(self.slots).max())
        while too_many - fits > 1:
            quota = (fits + too_many) // 2
            if self.at_most_per_class(quota).stored_bytes <= budget_bytes:
                fits = quota
            else:
                too_many = quota
        if fits == 0:
            needed = self.at_most_per_class(1).stored_bytes
            raise ConfigError(
                f"the memory budget leaves {budget_bytes} bytes for exemplars, but one exemplar for each of the "
                f"{len(self.slots.unique())} classes seen takes {needed}; raise method.budget_bytes"
            )
        return self.at_most_per_class(fits)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the file that `write` makes, to the byte."""
        return sealed_size(self.arrays(), _METADATA)

    def ledger(self) -> list[LedgerEntry]:
        """Count the file's bytes; nothing at all when there is no exemplar."""
        if not len(self):
            return []
        arrays = self.arrays()
        sizes = {name: array.nbytes for name, array in arrays.items()}
        header = self.stored_bytes - sum(sizes.values())
        return [
            LedgerEntry("episodic", "frame features", sizes["features"], in_paper_figure=True),
            LedgerEntry("episodic", "frame positions", sizes["positions"], in_paper_figure=False),
            LedgerEntry("episodic", "classes and tasks", sizes["slots"] + sizes["tasks"], in_paper_figure=False),
            LedgerEntry("episodic", "video names", sizes["names"], in_paper_figure=False),
            LedgerEntry("episodic", "file header", header, in_paper_figure=False),
        ]

    def write(self, path: Path) -> int:
        """Write the memory as a sealed safetensors file and return its bytes."""
        return write_sealed(path, self.arrays(), _METADATA)

    @classmethod
    def read(cls, path: Path) -> "EpisodicMemory":
        """Read what `write` wrote.

        Raises:
            CheckpointError: the file is missing or damaged.
        """
        return cls.from_arrays(read_sealed(path, CheckpointError)[0])

    def arrays(self) -> dict[str, Array]:
        """Return the memory as arrays in the types that the file stores."""
        # No file name holds a NUL.
        names = "\0".join(self.names).encode()
        return {
            "features": self.features.numpy(),
            "positions": self.positions.numpy().astype(np.uint16),
            "slots": self.slots.numpy().astype(np.uint32),
            "tasks": self.tasks.numpy().astype(np.uint16),
            "names": np.frombuffer(names, dtype=np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "EpisodicMemory":
        """Undo `arrays`."""

        def long(name: str) -> Tensor:
            return torch.from_numpy(arrays[name].astype(np.int64))

        text = arrays["names"].tobytes().decode()
        names = tuple(text.split("\0")) if len(arrays["slots"]) else ()
        return cls(torch.from_numpy(arrays["features"].copy()), long("positions"), long("slots"), long("tasks"), names)

    def _take(self, indices: Sequence[int]) -> "EpisodicMemory":
        index = torch.tensor(indices, dtype=torch.long)
        picked: dict[str, Any] = {
            name: getattr(self, name)[index] for name in ("features", "positions", "slots", "tasks")
        }
        return EpisodicMemory(**picked, names=tuple(self.names[i] for i in indices))
