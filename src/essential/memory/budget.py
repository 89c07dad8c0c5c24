"""What a memory may hold at most: exemplars per class, exemplars, frames, bytes. Every bound is a hard cap."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from essential.errors import ConfigError
from essential.memory.episodic import EpisodicMemory


@dataclass(frozen=True)
class Budget:
    """Caps that hold together; None is no cap.

    Attributes:
        per_class: exemplars of each class, as TCD and ESSENTIAL count.
        exemplars: exemplars in total, as iCaRL counts.
        frames: frames in total, as vCLIMB counts.
        bytes: bytes of the memory's file.
    """

    per_class: int | None = None
    exemplars: int | None = None
    frames: int | None = None
    bytes: int | None = None

    def holds(self, memory: EpisodicMemory) -> bool:
        """Whether `memory` keeps within every cap."""
        most = int(torch.bincount(memory.slots).max()) if len(memory) else 0
        used = [(most, self.per_class), *((amount, cap) for _, amount, cap, _ in self._totals(memory))]
        return all(cap is None or amount <= cap for amount, cap in used)

    def quota(self, classes: int, memory: EpisodicMemory) -> int | None:
        """Return each class's share, m = memory / classes seen in iCaRL; at least 1, None without any cap.

        Of bytes, those of the features are counted; names and the file's header come on top.
        """
        sizes = ((self.exemplars, 1), (self.frames, memory.features.shape[1]), (self.bytes, memory.exemplar_bytes))
        shares = [cap // size // classes for cap, size in sizes if cap is not None]
        shares += [] if self.per_class is None else [self.per_class]
        return max(1, min(shares)) if shares else None

    def with_equal_quotas(self, memory: EpisodicMemory) -> EpisodicMemory:
        """Return the first exemplars of each class, as many of every class as fit, and none beyond a class's share.

        Raises:
            ConfigError: not even one exemplar per class fits.
        """
        if not len(memory):
            return memory
        counts = torch.bincount(memory.slots)
        share = self.quota(int((counts > 0).sum()), memory)
        most = int(counts.max())
        memory = memory.at_most_per_class(most if share is None else share)
        return self._largest(memory, 1, most, memory.at_most_per_class)

    def with_balanced_quotas(self, memory: EpisodicMemory) -> EpisodicMemory:
        """Return as many exemplars as fit, spread evenly: a class-balanced reservoir (Chrysakis and Moens, ICML 2020).

        Raises:
            ConfigError: not even one exemplar per class fits.
        """
        counts = torch.bincount(memory.slots)
        classes = int((counts > 0).sum())
        return self._largest(memory, classes, len(memory), lambda total: memory.at_most(even_quotas(counts, total)))

    def _largest(
        self, memory: EpisodicMemory, least: int, most: int, cut: Callable[[int], EpisodicMemory]
    ) -> EpisodicMemory:
        """Return the largest cut, of size `least` to `most`, that fits."""
        if self.holds(memory):
            return memory
        if not self.holds(cut(least)):
            raise self._too_small(memory.at_most_per_class(1))
        too_large = bisect_left(range(least, most + 1), True, key=lambda size: not self.holds(cut(size)))
        return cut(least + too_large - 1)

    def _totals(self, memory: EpisodicMemory) -> list[tuple[str, int, int | None, str]]:
        """Return setting, amount in `memory`, cap and unit of every cap on all together."""
        return [
            ("budget_bytes", memory.stored_bytes, self.bytes, "bytes for exemplars"),
            ("total_frames", len(memory) * memory.features.shape[1], self.frames, "frames"),
            ("total_exemplars", len(memory), self.exemplars, "exemplars"),
        ]

    def _too_small(self, smallest: EpisodicMemory) -> ConfigError:
        passed = [total for total in self._totals(smallest) if total[2] is not None and total[1] > total[2]]
        leaves = " and ".join(f"{cap} {unit}" for _, _, cap, unit in passed)
        takes = " and ".join(str(needed) for _, needed, _, _ in passed)
        return ConfigError(
            f"the memory budget leaves {leaves}, but one exemplar for each of {len(smallest)} classes takes {takes}",
            where=f"method.{' and '.join(name for name, *_ in passed)}",
            remedy="raise it" if len(passed) == 1 else "raise them",
        )


def even_quotas(counts: Int[Tensor, " slots"], total: int) -> Int[Tensor, " slots"]:
    """Share `total` among classes that have `counts`, as evenly as can be; earlier slots get the odd ones."""
    quotas = torch.zeros_like(counts)
    left = min(total, int(counts.sum()))
    while left > 0:
        open_slots = (quotas < counts).nonzero()[:, 0]
        share = min(left // len(open_slots), int((counts - quotas)[open_slots].min()))
        if share == 0:
            quotas[open_slots[:left]] += 1
            break
        quotas[open_slots] += share
        left -= share * len(open_slots)
    return quotas
