"""UCIR (LUCIR): Hou, Pan, Loy, Wang, Lin, Learning a Unified Classifier Incrementally via Rebalancing, CVPR 2019.

1. the head gives cosines, times one learned scale (equation 4); from the second task on a new slot's direction starts
   as the mean of its clips' tokens;
2. one stage on the task's clips and the old exemplars together: cross-entropy over all slots seen; directions of old
   slots are fixed;
3. less-forget: 1 - cosine of a clip's token with that of the classifier before the task (equation 6), times
   lambda * sqrt(old slots / new slots);
4. margin ranking, on exemplars of old slots: their own slot's cosine above those of the K nearest new slots by a margin
   (equation 8);
5. choose the task's exemplars by herding.

Differs from the paper: AdamW, not SGD; the scale starts at 10, not 1, where AdamW's small steps would keep it. Tokens
are those of the temporal encoder, which has no last ReLU. Weight decay shortens fixed directions, which no cosine sees.
The ratio under the root is that of the authors' code; the paper's text has its inverse. No fine-tuning on balanced
exemplars, which the authors' code has as an option.

Differs from the authors' code: the ranking is summed over the K slots, as in the paper, not averaged.
"""

import math
from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from essential.methods.contract import Batch, LossTerm, TaskData
from essential.methods.exemplars import unit_token_sums
from essential.methods.trained import HerdedConfig, Trained, cross_entropy
from essential.models.classifier import CosineHead

_FIRST_SCALE = 10.0


class UCIRConfig(HerdedConfig):
    """UCIR's settings; the weights are the paper's for CIFAR-100."""

    name: Literal["ucir"] = "ucir"
    less_forget: float = Field(5.0, ge=0, description="lambda, before it follows the number of slots")
    ranking: float = Field(1.0, ge=0, description="weight of the margin ranking")
    margin: float = Field(0.5, ge=0, le=2, description="by which the own slot's cosine is to be the larger")
    nearest_new: int = Field(2, ge=1, description="new slots that an exemplar is held away from (K)")


class UCIR(Trained[UCIRConfig]):
    Config = UCIRConfig

    distils = True

    def make_head(self) -> CosineHead:
        self.head = CosineHead(self.dim, scale=_FIRST_SCALE)
        return self.head

    def begin(self, task: TaskData) -> None:
        super().begin(task)
        if len(self.slots) > 1:
            self.head.imprint(unit_token_sums(self.classifier, task.plain(), task.slots))

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Iterator[LossTerm]:  # noqa: ARG002
        tokens = self.classifier.tokens(batch.features, batch.positions)
        cosines = self.head.similarities(self.classifier.dropout(tokens), fixed=self.slots[-1].start)
        yield LossTerm("classification", cross_entropy(self.head.scale * cosines, batch.slots))
        before = self.before(lambda teacher: teacher.tokens(batch.features, batch.positions))
        if before is None:
            return
        config, new = self.config, self.slots[-1]
        ratio = math.sqrt(new.start / len(new))
        ranking = margin_ranking(cosines, batch.slots, new.start, margin=config.margin, nearest=config.nearest_new)
        yield LossTerm("less_forget", less_forget(tokens, before), config.less_forget * ratio)
        yield LossTerm("ranking", ranking, config.ranking, (batch.slots < new.start).sum())


def less_forget(tokens: Float[Tensor, "batch dim"], before: Float[Tensor, "batch dim"]) -> Float[Tensor, ""]:
    """Return the mean of 1 - cosine, between 0 and 2."""
    return (1 - nn.functional.cosine_similarity(tokens, before, dim=1)).mean()


def margin_ranking(
    cosines: Float[Tensor, "batch slots"], slots: Int[Tensor, " batch"], old: int, *, margin: float, nearest: int
) -> Float[Tensor, ""]:
    """Return the mean over old slots' clips, if any, of the margin's shortfall, summed over `nearest` new slots."""
    exemplars = slots < old
    own = cosines[exemplars].gather(1, slots[exemplars][:, None])
    others = cosines[exemplars][:, old:]
    hardest = others.topk(min(nearest, others.shape[1]), dim=1).values
    return (margin - own + hardest).clamp(min=0).sum() / exemplars.sum().clamp(min=1)
