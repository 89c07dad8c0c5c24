"""Replay: keep exemplars, and rehearse on them. Dense or sparse, by `frames_kept`.

With `rehearsal: after`, the default, it is ESSENTIAL without semantic memory and retrieval:

1. task stage, on the new clips: classify among the task's slots;
2. choose a few clips per class, and of each `frames_kept` frames (all of them: dense replay);
3. rehearsal stage, on the memory: classify the exemplars, as they are stored, among all slots seen.

With `rehearsal: mixed` it is the naive replay of vCLIMB (Villa et al., CVPR 2022): one stage on the task's clips and
the old exemplars together, cross-entropy over all slots seen, exemplars chosen afterwards.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field

from essential.methods.contract import Batch, LossTerm, Stage, TaskData
from essential.methods.exemplars import MemoryClips, MemoryConfig, MixedClips
from essential.methods.trained import Trained, TrainedConfig, cross_entropy, logits_of


class ReplayConfig(MemoryConfig, TrainedConfig):
    name: Literal["replay"] = "replay"
    rehearsal: Literal["after", "mixed"] = Field(
        "after", description="a stage of its own on the memory, as ESSENTIAL; or with the task's clips, as vCLIMB"
    )
    rehearsal_epochs: int = Field(20, ge=1, description="epochs of the rehearsal stage, where it is one of its own")


class Replay(Trained[ReplayConfig]):
    Config = ReplayConfig

    def stages(self, task: TaskData) -> Sequence[Stage]:
        trains = [self.classifier]
        if self.config.rehearsal == "mixed":
            return [Stage("mixed", lambda: MixedClips(task, self.memory), trains, steady=True)]
        return [
            Stage("task", lambda: task, trains, steady=True),
            Stage(
                "rehearsal",
                lambda: MemoryClips(self.memory),
                trains,
                self.config.rehearsal_epochs,
                prepare=lambda: self.remember(task),
                steady=True,
            ),
        ]

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Sequence[LossTerm]:  # noqa: ARG002
        """Cross-entropy: over the task's slots in the task stage, over all seen elsewhere."""
        logits = logits_of(self.classifier, batch)
        among = self.slots[-1] if stage == "task" else None
        return [LossTerm("classification", cross_entropy(logits, batch.slots, among=among))]
