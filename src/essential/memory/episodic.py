"""The episodic memory: exemplars of old classes, kept as a file that needs no video and no feature store."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from essential.errors import CheckpointError
from essential.files.sealed import Array, read_sealed, sealed_size, write_sealed
from essential.memory.ledger import LedgerEntry
from essential.memory.packing import Bits, Packing

_COLUMNS = ("features", "positions", "slots", "tasks")
_METADATA = {"what": "episodic memory", "version": 1}


@dataclass(frozen=True)
class EpisodicMemory:
    """Exemplars in order of arrival; within a class, in the order in which they were chosen.

    Attributes:
        features: frame features of the kept frames, float32.
        positions: the place (0 to frames - 1) that each kept frame had in the dense clip.
        slots: each exemplar's class.
        tasks: the task that each exemplar came with.
        names: each exemplar's video, for the record alone.
        logits: of each exemplar when it was stored, NaN for later slots; (exemplars, slots seen). For DER++ alone.
        packing: how features and logits are stored in less than 32 bits a number; they are then what `codes` say.
        codes: the columns of `packing`, which the file holds in the place of features and logits.

    Raises:
        ValueError: the shapes do not fit each other.
    """

    features: Float[Tensor, "exemplars kept dim"]
    positions: Int[Tensor, "exemplars kept"]
    slots: Int[Tensor, " exemplars"]
    tasks: Int[Tensor, " exemplars"]
    names: tuple[str, ...]
    logits: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    packing: Packing | None = None
    codes: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.logits.numel() == 0:
            object.__setattr__(self, "logits", torch.zeros(len(self.slots), 0))
        kept = tuple(self.features.shape[:2])
        shapes = [tuple(each.shape) for each in (self.positions, self.slots, self.tasks)]
        rows = {len(self.names), len(self.logits), *map(len, self.codes.values())}
        if self.features.ndim != 3 or shapes != [kept, kept[:1], kept[:1]] or rows != {kept[0]}:
            raise ValueError(f"the memory holds features of shape {tuple(self.features.shape)} beside {shapes}")

    @classmethod
    def empty(cls, *, kept: int, dim: int, bits: Bits = 32, seed: int = 0) -> "EpisodicMemory":
        """Return a memory of no exemplars; those to come are stored in `bits` bits a number, rotated as `seed` says."""
        none = torch.zeros(0, dtype=torch.long)
        empty = cls(torch.zeros(0, kept, dim), torch.zeros(0, kept, dtype=torch.long), none, none, ())
        packing = Packing.of(bits, seed=seed, dim=dim)
        return empty if packing is None else replace(empty, packing=packing, codes=packing.no_codes(kept))

    def __len__(self) -> int:
        return len(self.slots)

    def extended(self, other: "EpisodicMemory") -> "EpisodicMemory":
        """Concatenate: `self`, then `other`, which is stored as `self` is."""
        packing = self.packing
        other = other._stored(packing.around(other.features) if packing and not len(self) else packing)
        columns: dict[str, Any] = {name: torch.cat([getattr(self, name), getattr(other, name)]) for name in _COLUMNS}
        logits, names = _side_by_side(self.logits, other.logits, torch.nan), self.names + other.names
        codes = {name: _side_by_side(self.codes.get(name, new[:0]), new, 0.0) for name, new in other.codes.items()}
        return EpisodicMemory(**columns, names=names, logits=logits, packing=other.packing, codes=codes)

    def at_most_per_class(self, quota: int) -> "EpisodicMemory":
        """Return a memory with the first `quota` exemplars of each class."""
        most = int(self.slots.max()) + 1 if len(self) else 0
        return self.at_most(torch.full((most,), quota, dtype=torch.long))

    def at_most(self, quotas: Int[Tensor, " slots"]) -> "EpisodicMemory":
        """Return a memory with the first exemplars of each class, at most `quotas` of its slot."""
        order = self.slots.argsort(stable=True)
        counts = torch.bincount(self.slots)
        starts = counts.cumsum(0) - counts
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order)) - starts[self.slots[order]]
        return self.take((rank < quotas[self.slots]).nonzero()[:, 0])

    def without(self, slot: int) -> "EpisodicMemory":
        """Return a memory without the exemplars of one class."""
        return self.take((self.slots != slot).nonzero()[:, 0])

    @property
    def stored_bytes(self) -> int:
        """Bytes of the file that `write` makes, to the byte."""
        return sealed_size(self.arrays(), _METADATA)

    def ledger(self) -> list[LedgerEntry]:
        """Count the file's bytes; nothing without exemplars."""
        if not len(self):
            return []
        sizes = {name: array.nbytes for name, array in self.arrays().items()}
        of_logits = sum(size for name, size in sizes.items() if name.startswith("logits"))
        others = of_logits + sum(sizes[name] for name in ("positions", "slots", "tasks", "names"))
        parts = {
            "logits": of_logits,
            "frame features": sum(sizes.values()) - others,
            "frame positions": sizes["positions"],
            "classes and tasks": sizes["slots"] + sizes["tasks"],
            "video names": sizes["names"],
            "file header": self.stored_bytes - sum(sizes.values()),
        }
        counted = ("logits", "frame features")
        return [
            LedgerEntry("episodic", name, size, in_paper_figure=name in counted)
            for name, size in parts.items()
            if name != "logits" or size
        ]

    def write(self, path: Path) -> int:
        """Write the memory as a sealed safetensors file and return its bytes."""
        return write_sealed(path, self.arrays(), _METADATA)

    @classmethod
    def read(cls, path: Path) -> "EpisodicMemory":
        """Read what `write` wrote; a CheckpointError if the file is missing or damaged."""
        return cls.from_arrays(read_sealed(path, CheckpointError)[0])

    def arrays(self) -> dict[str, Array]:
        """Return the memory as arrays in the types that the file stores."""
        # No file name holds a NUL.
        names = "\0".join(self.names).encode()
        return {
            **self._numbers(),
            "positions": self.positions.numpy().astype(np.uint16),
            "slots": self.slots.numpy().astype(np.uint32),
            "tasks": self.tasks.numpy().astype(np.uint16),
            "names": np.frombuffer(names, dtype=np.uint8),
        }

    def _numbers(self) -> dict[str, Array]:
        if self.packing is not None:
            return self.packing.arrays(self.codes)
        optional = {"logits": self.logits.numpy()} if self.logits.shape[1] else {}
        return {**optional, "features": self.features.numpy()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "EpisodicMemory":
        """Undo `arrays`; a CheckpointError if they are not of one memory."""

        def long(name: str) -> Tensor:
            return torch.from_numpy(arrays[name].astype(np.int64))

        text = arrays["names"].tobytes().decode()
        names = tuple(text.split("\0")) if len(arrays["slots"]) else ()
        packing, codes = Packing.from_arrays(arrays) if "packing" in arrays else (None, {})
        if packing is None:
            logits = torch.from_numpy(arrays["logits"].copy()) if "logits" in arrays else torch.zeros(0, 0)
            features = torch.from_numpy(arrays["features"].copy())
        else:
            features, logits = packing.decode(codes)
        try:
            memory = cls(features, long("positions"), long("slots"), long("tasks"), names, logits, packing, codes)
        except ValueError as error:
            raise CheckpointError(str(error)) from error
        negative = any(bool((each < 0).any()) for each in (memory.positions, memory.slots, memory.tasks))
        if features.dtype != torch.get_default_dtype() or negative:
            raise CheckpointError("the memory holds numbers of another type, or below 0, where none are stored")
        return memory

    def refuse_other_packing(self, read: "EpisodicMemory") -> None:
        """Raise a CheckpointError if `read` is stored in other bits, or rotated otherwise, than this memory."""
        own, other = self.packing, read.packing
        bits, stored = (32 if each is None else each.bits for each in (own, other))
        if bits != stored:
            problem = f"the memory was stored in {stored} bits a number, and method.memory_bits is {bits}"
        elif own is not None and other is not None and own.seed != other.seed:
            problem = "the memory was stored with another rotation than that of this seed"
        else:
            return
        raise CheckpointError(problem, remedy="use the config and the seed it was made with")

    def take(self, index: Int[Tensor, " chosen"]) -> "EpisodicMemory":
        """Return a memory of the exemplars at `index`, in that order."""
        columns: dict[str, Any] = {name: getattr(self, name)[index] for name in (*_COLUMNS, "logits")}
        codes, names = {name: rows[index] for name, rows in self.codes.items()}, (self.names[i] for i in index.tolist())
        # What no exemplar is left of leaves no mean either.
        packing = self.packing if len(index) or self.packing is None else self.packing.without_centre()
        return replace(self, **columns, names=tuple(names), packing=packing, codes=codes)

    @property
    def exemplar_bytes(self) -> int:
        """Bytes of one exemplar's features, as stored."""
        kept, dim = self.features.shape[1:]
        return kept * dim * 4 if self.packing is None else self.packing.exemplar_bytes(kept)

    def _stored(self, packing: Packing | None) -> "EpisodicMemory":
        """Return the memory with features and logits as `packing` stores them."""
        if packing is self.packing:
            return self
        codes = {} if packing is None else packing.encode(self.features, self.logits)
        features, logits = (self.features, self.logits) if packing is None else packing.decode(codes)
        return replace(self, features=features, logits=logits, packing=packing, codes=codes)


def _side_by_side(first: Tensor, second: Tensor, value: float) -> Tensor:
    """Put rows of different widths under each other, the narrower ones filled up with `value`."""
    if first.ndim == 1:
        return torch.cat([first, second])
    width = max(first.shape[-1], second.shape[-1])
    return torch.cat([nn.functional.pad(rows, (0, width - rows.shape[-1]), value=value) for rows in (first, second)])
