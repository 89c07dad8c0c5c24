"""Replay: keep exemplars, and rehearse on them after each task. Dense or sparse, by `frames_kept`.

It has ESSENTIAL's two stages, its classifier and its choice of exemplars, without semantic memory and without
retrieval, so that what lies between it and ESSENTIAL is the retrieval alone:

1. choose a few clips per class, and of each `frames_kept` frames (all of them: dense replay);
2. task stage, on the new clips: classify among the task's slots;
3. rehearsal stage, on the memory: classify the exemplars, as they are stored, among all slots seen.

Naive replay in vCLIMB trains on the task's clips and the memory in one stage instead.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import LedgerEntry
from essential.methods.classifier import ClassifierConfig, build_classifier, cross_entropy, grow_head
from essential.methods.contract import Batch, LossTerm, Method, Stage, TaskData
from essential.methods.exemplars import MemoryClips, check_frames_kept, random_exemplars
from essential.models.seeded import torch_generator
from essential.schema import Section


class ReplayConfig(Section):
    """Replay's settings."""

    name: Literal["replay"] = "replay"
    classifier: ClassifierConfig = ClassifierConfig()
    frames_kept: int = Field(8, ge=1, description="frames stored per exemplar; all of a clip's for dense replay")
    exemplars_per_class: int = Field(16, ge=1, description="exemplars stored per class")
    budget_bytes: int | None = Field(None, ge=1, description="hard cap on the episodic memory, in bytes")
    rehearsal_epochs: int = Field(20, ge=1, description="epochs of the rehearsal stage")


class Replay(Method):
    """See the top of this file."""

    def __init__(self, config: ReplayConfig, *, dim: int, frames: int, epochs: int, seed: int) -> None:
        check_frames_kept(config.frames_kept, frames)
        self.config, self.epochs, self.seed = config, epochs, seed
        self.classifier = build_classifier(config.classifier, dim=dim, frames=frames, seed=seed)
        super().__init__(self.classifier, EpisodicMemory.empty(kept=config.frames_kept, dim=dim))

    def begin(self, task: TaskData) -> None:
        """Grow the head and choose the task's exemplars."""
        self.slots.append(task.slots)
        grow_head(self.classifier, task.slots, seed=self.seed)
        new = random_exemplars(
            task,
            per_class=self.config.exemplars_per_class,
            kept=self.config.frames_kept,
            generator=torch_generator(self.seed, "exemplars", task.index),
        )
        self.memory = self.memory.extended(new)
        if self.config.budget_bytes is not None:
            self.memory = self.memory.within(self.config.budget_bytes)

    def stages(self, task: TaskData) -> Sequence[Stage]:
        """The task stage, then the rehearsal stage."""
        return [
            Stage("task", lambda: task, [self.classifier], self.epochs),
            Stage("rehearsal", lambda: MemoryClips(self.memory), [self.classifier], self.config.rehearsal_epochs),
        ]

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Sequence[LossTerm]:  # noqa: ARG002
        """Cross-entropy: over the task's slots in the task stage, over all seen in the rehearsal stage."""
        logits = self.classifier.logits(self.classifier.tokens(batch.features, batch.positions))
        among = self.slots[-1] if stage == "task" else None
        return [LossTerm("classification", cross_entropy(logits, batch.slots, among=among))]

    def finish(self, task: TaskData) -> None:
        """Nothing is left to do."""

    def ledger(self) -> list[LedgerEntry]:
        """The episodic memory."""
        return self.memory.ledger()

    def resize(self, state: Mapping[str, Tensor]) -> None:
        """Nothing but the predictor grows."""
