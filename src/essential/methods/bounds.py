"""The lower and the upper bound: finetuning, and joint training.

- Finetune trains on each task's clips: cross-entropy over all slots seen, as TCD and vCLIMB list it. A loss over the
  task's own slots alone would hide most of the forgetting.
- Joint trains a fresh classifier after each task, on the clips of all tasks so far (`needs_all_tasks`; the record says
  so). The last row of the accuracy matrix is what training once on everything gives.

A few hundred clips are too few to train a classifier that is as good as one in closed form. With `blend`, joint holds
one clip in five of each class out, trains on the others, and adds to the logits the scores of the method `spectral` on
all clips. The weights of the two are those of least cross-entropy on the clips held out, with `spectral` on the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from essential.methods.bic import hold_out
from essential.methods.contract import BatchTable, Stage, TaskData
from essential.methods.exemplars import judge
from essential.methods.parts import PartData, PartTable, computed
from essential.methods.spectral import Spectral, SpectralConfig
from essential.methods.trained import Trained, TrainedConfig
from essential.models.classifier import Blended, Predictor
from essential.seeded import torch_generator

_CLIPS_PER_HELD_OUT = 5


class FinetuneConfig(TrainedConfig):
    name: Literal["finetune"] = "finetune"


class Finetune(Trained[FinetuneConfig]):
    Config = FinetuneConfig

    def stages(self, task: TaskData) -> Sequence[Stage]:
        return [Stage("task", lambda: task, [self.classifier], steady=True)]


class JointConfig(TrainedConfig):
    name: Literal["joint"] = "joint"
    blend: bool = Field(
        False, description="add the scores of `spectral`, weighted by clips held out; a bound for few clips too"
    )


class Joint(Trained[JointConfig]):
    Config = JointConfig

    needs_all_tasks = True

    def make_predictor(self) -> Predictor:
        return Blended(self.classifier, self._spectral().predictor) if self.config.blend else self.classifier

    def begin(self, task: TaskData) -> None:
        self.slots.append(task.slots)
        self.start_again()

    def stages(self, task: TaskData) -> Sequence[Stage]:
        data = PartData(task, lambda slots: self._parts(slots)[0]) if self.config.blend else task
        return [Stage("joint", lambda: data, [self.classifier], steady=True)]

    def finish(self, task: TaskData) -> None:
        blended = self.predictor
        if isinstance(blended, Blended):
            table = task.plain()
            learned, held = (PartTable(table, part) for part in self._parts(table.slots))
            scores = self._learned(learned)
            of_spectral = computed(lambda batch: scores(batch.features), held, scores)
            blended.weigh(of_spectral, judge(self.classifier, held)[1], held.slots)
            blended.other = self._learned(table)
        super().finish(task)

    def _parts(self, slots: Int[Tensor, " clips"]) -> tuple[Int[Tensor, " learned"], Int[Tensor, " held"]]:
        """Split all clips, the same way every time; a class's only clip is in both parts."""
        quotas = torch.bincount(slots) // _CLIPS_PER_HELD_OUT
        return hold_out(slots, quotas, generator=torch_generator(self.seed, "held out", len(self.slots) - 1))

    def _spectral(self) -> Spectral:
        return Spectral(SpectralConfig(), dim=self.dim, frames=self.frames, seed=self.seed)

    def _learned(self, table: BatchTable) -> Predictor:
        """Return the scores of `spectral` for the clips of a table, all classes in one task."""
        spectral, task = self._spectral(), _AllClips(table, range(self.slots[-1].stop))
        spectral.network.to(self.classifier.exemplar_means.device)
        spectral.begin(task)
        spectral.finish(task)
        return spectral.predictor


@dataclass(frozen=True)
class _AllClips:
    """The clips of a table as the only task."""

    table: BatchTable
    slots: range
    index: int = 0
    words: None = None

    def epoch(self, epoch: int) -> BatchTable:  # noqa: ARG002
        return self.table

    def plain(self) -> BatchTable:
        return self.table
