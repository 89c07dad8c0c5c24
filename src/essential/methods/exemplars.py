"""From a task's clips to exemplars, and from exemplars to batches: what every method with an episodic memory shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from essential.configs.schema import Section
from essential.errors import ConfigError
from essential.memory.budget import Budget
from essential.memory.episodic import EpisodicMemory
from essential.memory.packing import Bits
from essential.memory.selection import (
    Policy,
    herded_clips,
    most_confident_clips,
    nearest_to_mean_clips,
    random_clips,
    random_positions,
    uniform_positions,
)
from essential.methods.contract import Batch, BatchTable, TaskData, TrainingData
from essential.methods.parts import computed
from essential.models.classifier import ClipClassifier
from essential.seeded import torch_generator


class MemoryConfig(Section):
    """How many exemplars are kept, which, and how much of each. All caps hold together, and all are hard."""

    frames_kept: int | None = Field(
        None, ge=1, description="frames stored per exemplar; none: all of a clip's (authors' flag: fs_topk)"
    )
    frame_policy: Literal["random", "uniform"] = Field(
        "random", description="which frames: drawn, as ESSENTIAL, or the centres of equal segments, as vCLIMB"
    )
    exemplars_per_class: int | None = Field(
        16,
        ge=1,
        description="exemplars stored per class; none: what the other caps allow (rehearsal_samples_per_class)",
    )
    total_exemplars: int | None = Field(None, ge=1, description="exemplars stored in all, shared by the classes seen")
    total_frames: int | None = Field(None, ge=1, description="frames stored in all, as vCLIMB counts")
    budget_bytes: int | None = Field(None, ge=1, description="hard cap on all that is kept but MR modules, in bytes")
    policy: Policy = Field("random", description="which clips; reservoir fills up what small classes leave free")
    memory_bits: Bits = Field(32, description="bits of every stored number; 32: as it is, 16 to 2: rotated and rounded")


class ExemplarKeeper:
    """Chooses a task's exemplars under a budget; with `keeps_logits` the classifier's logits are stored beside each.

    Raises:
        ConfigError: more frames are to be kept than a clip has, or no cap is set.
    """

    def __init__(self, config: MemoryConfig, *, frames: int, dim: int, seed: int, keeps_logits: bool = False) -> None:
        self.kept = frames if config.frames_kept is None else config.frames_kept
        if self.kept > frames:
            problem = f"{self.kept} is more than the clip's video.frames={frames}"
            raise ConfigError(problem, where="method.frames_kept", remedy=f"use {frames} at most")
        if not any([config.exemplars_per_class, config.total_exemplars, config.total_frames, config.budget_bytes]):
            caps = "exemplars_per_class, total_exemplars, total_frames, budget_bytes"
            raise ConfigError("the memory has no cap", where="method", remedy=f"set one of {caps}")
        self.config, self.frames, self.dim, self.seed, self.keeps_logits = config, frames, dim, seed, keeps_logits

    def empty(self) -> EpisodicMemory:
        """Return a memory of no exemplars, stored as the settings say."""
        return EpisodicMemory.empty(kept=self.kept, dim=self.dim, bits=self.config.memory_bits, seed=self.seed)

    def budget(self, reserved_bytes: int = 0) -> Budget:
        """Return the caps, `reserved_bytes` of the bytes taken off."""
        config = self.config
        left = None if config.budget_bytes is None else max(0, config.budget_bytes - reserved_bytes)
        return Budget(config.exemplars_per_class, config.total_exemplars, config.total_frames, left)

    def extend(
        self, memory: EpisodicMemory, task: TaskData, classifier: ClipClassifier, *, reserved_bytes: int = 0
    ) -> EpisodicMemory:
        """Return `memory` with exemplars of the task's slots, from the plain view, and `cut` to the budget."""
        table, generator = task.plain(), torch_generator(self.seed, "exemplars", task.index)
        # A reservoir gives what small classes leave free to the others. A class that was forgotten has no share.
        classes = len(memory.slots.unique()) + len(task.slots)
        sharers = 1 if self.config.policy == "reservoir" else classes
        room = self.budget(reserved_bytes).quota(sharers, memory)
        chosen, logits = self._choose(table, classifier, room or len(table), generator)
        clips, positions, names = table.rows(chosen), self._positions(len(chosen), generator), table.names
        new = EpisodicMemory(
            take_frames(clips.features, positions),
            positions,
            clips.slots,
            clips.tasks,
            tuple(names[index] for index in chosen.tolist()),
            logits if self.keeps_logits else torch.zeros(len(chosen), 0),
        )
        return self.cut(memory.extended(new), reserved_bytes=reserved_bytes)

    def cut(self, memory: EpisodicMemory, *, reserved_bytes: int = 0) -> EpisodicMemory:
        """Return `memory` cut to the budget; a ConfigError if that does not hold one exemplar per class."""
        budget = self.budget(reserved_bytes)
        reservoir = self.config.policy == "reservoir"
        return budget.with_balanced_quotas(memory) if reservoir else budget.with_equal_quotas(memory)

    def check_room(self, names: Sequence[str], *, reserved_bytes: int = 0) -> None:
        """Refuse, with a ConfigError, a budget that does not hold one exemplar of each of the videos `names`."""
        count = len(names)
        none = torch.zeros(count, dtype=torch.long)
        features, positions = torch.zeros(count, self.kept, self.dim), none[:, None].expand(-1, self.kept)
        logits = torch.zeros(count, count if self.keeps_logits else 0)
        least = EpisodicMemory(features, positions, torch.arange(count), none, tuple(names), logits)
        self.budget(reserved_bytes).with_equal_quotas(self.empty().extended(least))

    def _choose(
        self, table: BatchTable, classifier: ClipClassifier, room: int, generator: torch.Generator
    ) -> tuple[Int[Tensor, " chosen"], Float[Tensor, "chosen scored"]]:
        """Return the clips to keep, the best first within a class, and the classifier's logits of them."""
        slots = table.slots
        if self.config.policy in ("random", "reservoir") and not self.keeps_logits:
            chosen = random_clips(slots, room, generator=generator)
            return chosen, torch.zeros(len(chosen), 0)
        tokens, logits = judge(classifier, table)
        match self.config.policy:
            case "herding":
                chosen = herded_clips(tokens, slots, room)
            case "nearest-to-mean":
                chosen = nearest_to_mean_clips(tokens, slots, room)
            case "highest-confidence":
                chosen = most_confident_clips(logits, slots, room)
            case _:
                chosen = random_clips(slots, room, generator=generator)
        return chosen, logits[chosen]

    def _positions(self, count: int, generator: torch.Generator) -> Int[Tensor, "chosen kept"]:
        if self.config.frame_policy == "uniform":
            return uniform_positions(self.kept, self.frames).expand(count, -1)
        return random_positions(count, kept=self.kept, frames=self.frames, generator=generator)


def judge(
    classifier: ClipClassifier, table: BatchTable
) -> tuple[Float[Tensor, "clips dim"], Float[Tensor, "clips slots"]]:
    """Return the clip tokens and the logits of a table's clips, in evaluation, on the CPU."""

    def both(batch: Batch) -> Tensor:
        tokens = classifier.tokens(batch.features, batch.positions)
        return torch.cat([tokens, classifier.logits(tokens)], dim=1)

    tokens, logits = computed(both, table, classifier).tensor_split([classifier.exemplar_means.shape[1]], dim=1)
    return tokens, logits


def unit_token_sums(classifier: ClipClassifier, table: BatchTable, slots: range) -> Float[Tensor, "slots dim"]:
    """Return for each of `slots` the sum of the tokens, at length 1, of its clips; the table has no others."""
    tokens = nn.functional.normalize(judge(classifier, table)[0], dim=1)
    return torch.zeros(len(slots), tokens.shape[1]).index_add_(0, table.slots - slots.start, tokens)


def set_exemplar_means(classifier: ClipClassifier, memory: EpisodicMemory) -> None:
    """Give the classifier the mean of each slot's exemplars: unit vectors, of unit tokens (iCaRL, algorithm 1)."""
    sums = unit_token_sums(classifier, MemoryClips(memory), range(classifier.head.slots))
    classifier.exemplar_means = nn.functional.normalize(sums, dim=1).to(classifier.exemplar_means.device)


@dataclass(frozen=True)
class MemoryClips:
    """The exemplars of a memory as training data, the same every epoch, with what a method has rebuilt of each."""

    memory: EpisodicMemory
    retrieved: Float[Tensor, "exemplars frames dim"] | None = None

    def __len__(self) -> int:
        return len(self.memory)

    @property
    def names(self) -> Sequence[str]:
        return self.memory.names

    @property
    def slots(self) -> Int[Tensor, " clips"]:
        return self.memory.slots

    def epoch(self, epoch: int) -> "MemoryClips":  # noqa: ARG002
        return self

    def rows(self, indices: Int[Tensor, " batch"]) -> Batch:
        memory = self.memory
        return Batch(
            memory.features[indices],
            memory.positions[indices],
            memory.slots[indices],
            memory.tasks[indices],
            None if self.retrieved is None else self.retrieved[indices],
        )


@dataclass(frozen=True)
class MixedClips:
    """A task's clips, then the exemplars, as one set: naive replay. Sparse exemplars repeat their frames."""

    task: TrainingData
    memory: EpisodicMemory

    def epoch(self, epoch: int) -> "MixedTable":
        return MixedTable(self.task.epoch(epoch), self.memory)


@dataclass(frozen=True)
class MixedTable:
    """One view of `MixedClips`."""

    clips: BatchTable
    memory: EpisodicMemory

    def __len__(self) -> int:
        return len(self.clips) + len(self.memory)

    @property
    def names(self) -> Sequence[str]:
        return [*self.clips.names, *self.memory.names]

    @property
    def slots(self) -> Int[Tensor, " clips"]:
        return torch.cat([self.clips.slots, self.memory.slots])

    def rows(self, indices: Int[Tensor, " batch"]) -> Batch:
        first = len(self.clips)
        stored = indices >= first
        new, old = self.clips.rows(indices[~stored]), MemoryClips(self.memory).rows(indices[stored] - first)
        old = respread(old, new.features.shape[1])
        place = torch.cat([(~stored).nonzero()[:, 0], stored.nonzero()[:, 0]]).argsort()
        return Batch(*(torch.cat(pair)[place] for pair in zip(new.tensors, old.tensors, strict=True)))


def respread(batch: Batch, frames: int) -> Batch:
    """Return clips of `frames` frames, the centres of equal segments of those there are, as vCLIMB does."""
    kept = batch.features.shape[1]
    if kept == frames:
        return batch
    chosen = uniform_positions(frames, kept).to(batch.positions.device)
    return Batch(batch.features[:, chosen], batch.positions[:, chosen], batch.slots, batch.tasks)


def take_frames(features: Tensor, positions: Int[Tensor, "batch kept"]) -> Tensor:
    """Return from (batch, frames, dim) the frames at `positions`: (batch, kept, dim)."""
    return features.gather(1, positions[..., None].expand(-1, -1, features.shape[-1]))
