"""BiC: Wu, Chen, Wang, Ye, Liu, Guo, Fu, Large Scale Incremental Learning, CVPR 2019.

1. hold out a share of the old exemplars of each class, and as many clips of each new class;
2. "mixed" stage, on the rest: cross-entropy over all slots seen, and distillation of the old slots at temperature 2
   from the corrected classifier before the task, weighted (1 - w) and w = old slots / slots seen (equations 1 to 3);
   the first task has no distillation, and ends here;
3. "bias" stage, on what was held out: train one pair of numbers, alpha and beta, that corrects the logits of the task's
   slots (equations 4 and 5);
4. choose the task's exemplars by herding.

`reading: paper` resets a pair when the next task begins, as equation 4 corrects new logits alone; the teacher still has
it. `reading: vclimb` (Villa et al., CVPR 2022) keeps a pair per task and corrects with all, in training too.

Differs from the paper: AdamW, not SGD, in both stages. Each class holds out one clip at least. Few held-out clips that
the logits separate have no best pair, so `bias_epochs` limits the correction. The pairs count as parameters of the
predictor, not as memory.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from essential.methods.contract import Batch, LossTerm, Stage, TaskData
from essential.methods.exemplars import MixedClips
from essential.methods.parts import PartData
from essential.methods.trained import HerdedConfig, Trained, cross_entropy, distillation, logits_of
from essential.models.classifier import BiasCorrected
from essential.seeded import torch_generator

# AdamW moves a number by about the learning rate in a step, and a few clips give few steps.
_BIAS_RATE_SCALE = 100.0


class BiCConfig(HerdedConfig):
    name: Literal["bic"] = "bic"
    reading: Literal["paper", "vclimb"] = Field(
        "paper",
        description="paper: only the newest task's logits are corrected; vclimb: every task's, each by its pair",
    )
    held_out_share: float = Field(0.1, gt=0, lt=1, description="share of exemplars that the pair is fitted on")
    bias_epochs: int = Field(100, ge=1, description="epochs of the stage that fits the pair")


class BiC(Trained[BiCConfig]):
    Config = BiCConfig

    distils = True

    def make_predictor(self) -> BiasCorrected:
        self.corrected = BiasCorrected(self.classifier)
        return self.corrected

    @property
    def student(self) -> BiasCorrected:
        return self.corrected

    def begin(self, task: TaskData) -> None:
        super().begin(task)
        if self.config.reading == "paper":
            self.corrected.reset_pairs()
        self.corrected.add_pair(len(task.slots))

    def stages(self, task: TaskData) -> Sequence[Stage]:
        if len(self.memory) == 0:
            return super().stages(task)
        mixed = MixedClips(task, self.memory)
        learned = PartData(mixed, lambda slots: self._parts(slots)[0])
        held = PartData(mixed, lambda slots: self._parts(slots)[1])
        return [
            Stage("mixed", lambda: learned, [self.classifier]),
            Stage(
                "bias",
                lambda: held,
                [self.corrected.pairs[-1]],
                self.config.bias_epochs,
                learning_rate_scale=_BIAS_RATE_SCALE,
            ),
        ]

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Iterator[LossTerm]:  # noqa: ARG002
        logits = logits_of(self.corrected, batch)
        classification = cross_entropy(logits, batch.slots)
        if stage == "bias":
            yield LossTerm("bias", classification)
            return
        # In the first task there are no old slots, and it is 0.
        weight = self.slots[-1].start / self.slots[-1].stop
        yield LossTerm("classification", classification, 1 - weight)
        wanted = self.before(lambda teacher: logits_of(teacher, batch))
        if wanted is not None:
            yield LossTerm("distillation", distillation(logits[:, : wanted.shape[1]], wanted), weight)

    def _parts(self, slots: Int[Tensor, " clips"]) -> tuple[Int[Tensor, " learned"], Int[Tensor, " held"]]:
        """Split a task's clips and exemplars, the same way every time."""
        new = self.slots[-1]
        quotas = held_out_quotas(
            torch.bincount(self.memory.slots, minlength=new.start), new, share=self.config.held_out_share
        )
        return hold_out(slots, quotas, generator=torch_generator(self.seed, "held out", len(self.slots) - 1))


def held_out_quotas(exemplars: Int[Tensor, " old"], new: range, *, share: float) -> Int[Tensor, " seen"]:
    """Return how many clips of each slot to hold out: the share of an old one's, the mean of those of a new one."""
    old = (exemplars * share).round().long().clamp(min=1)
    return torch.cat([old, old.double().mean().round().long().expand(len(new))])


def hold_out(
    slots: Int[Tensor, " clips"], quotas: Int[Tensor, " slots"], *, generator: torch.Generator
) -> tuple[Int[Tensor, " learned"], Int[Tensor, " held"]]:
    """Draw at most `quotas` clips of each slot to hold out; a slot's only clip is in both parts."""
    counts = torch.bincount(slots, minlength=len(quotas))
    quotas = quotas.minimum(counts - 1).clamp(min=1)
    order = torch.randperm(len(slots), generator=generator)
    order = order[slots[order].argsort(stable=True)]
    sorted_slots = slots[order]
    rank = torch.arange(len(order)) - (counts.cumsum(0) - counts)[sorted_slots]
    held = rank < quotas[sorted_slots]
    learned = ~held | (counts == 1)[sorted_slots]
    return order[learned].sort().values, order[held].sort().values
