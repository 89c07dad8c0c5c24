"""PODNet: Douillard, Cord, Ollion, Robert, Valle, Pooled Outputs Distillation, ECCV 2020; for video, TCD (ICCV 2021).

1. the head is a local similarity classifier, several proxies per slot (equation 7), and the classification loss has a
   margin: NCA with a hinge (equation 8);
2. one stage on the task's clips and the old exemplars together;
3. distillation from the classifier before the task, times sqrt(slots seen / new slots): squared distance of the clip's
   tokens (POD-flat), and of the tokens between the temporal encoder's layers (POD, equation 6), all of length 1;
4. choose the task's exemplars by herding, and from the second task on fine-tune on the memory, where every class has
   as many, at a lower rate.

The encoder is frozen, so the maps inside the backbone never change: what POD-spatial would compare is the temporal
encoder's token between layers, and with a single layer, the default, POD-flat is all. TCD (Park, Kang, Han:
Class-Incremental Learning for Action Recognition in Videos) weights times and channels of those maps; what stays of it
is the loss, the classifier and the fine-tuning, which it has from PODNet.

Differs from the paper: AdamW, not SGD; the scale starts at 10, not 1, which AdamW's small steps would not leave. New
proxies are random, not found among the tokens by k-means. The fine-tuning trains the whole classifier, with the
distillation, at a tenth of the rate as TCD's.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from essential.methods.contract import Batch, LossTerm, Stage, TaskData
from essential.methods.exemplars import MemoryClips
from essential.methods.trained import HerdedConfig, Trained
from essential.models.classifier import ClipClassifier, CosineHead

_FIRST_SCALE = 10.0
_BALANCE_RATE_SCALE = 0.1


class PODNetConfig(HerdedConfig):
    """PODNet's settings; the weights are the paper's for CIFAR-100."""

    name: Literal["podnet"] = "podnet"
    proxies: int = Field(10, ge=1, le=1000, description="directions per slot (K)")
    margin: float = Field(0.6, ge=0, description="by which the own slot's similarity is to be the largest")
    flat_distillation: float = Field(1.0, ge=0, description="weight of the distance of clip tokens (lambda_f)")
    layer_distillation: float = Field(3.0, ge=0, description="weight of that of tokens between layers (lambda_c)")
    balance_epochs: int = Field(20, ge=1, description="epochs of fine-tuning on the memory")


class PODNet(Trained[PODNetConfig]):
    Config = PODNetConfig

    distils = True

    def make_head(self) -> CosineHead:
        self.head = CosineHead(self.dim, proxies=self.config.proxies, scale=_FIRST_SCALE)
        return self.head

    def stages(self, task: TaskData) -> Sequence[Stage]:
        mixed = super().stages(task)
        if task.index == 0:
            return mixed
        balance = Stage(
            "balance",
            lambda: MemoryClips(self.memory),
            [self.classifier],
            self.config.balance_epochs,
            prepare=lambda: self.remember(task),
            learning_rate_scale=_BALANCE_RATE_SCALE,
        )
        return [*mixed, balance]

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Iterator[LossTerm]:  # noqa: ARG002
        tokens = _tokens_by_layer(self.classifier, batch)
        logits = self.classifier.logits(tokens[-1])
        yield LossTerm("classification", margin_nca(logits, batch.slots, self.config.margin * self.head.scale))
        before = self.before(lambda teacher: _tokens_by_layer(teacher, batch))
        if before is None:
            return
        distances = torch.stack([unit_distance(now, then) for now, then in zip(tokens, before, strict=True)])
        ratio = math.sqrt(self.slots[-1].stop / len(self.slots[-1]))
        yield LossTerm("flat_distillation", distances[-1], self.config.flat_distillation * ratio)
        if len(distances) > 1:
            between = distances[:-1].mean()
            yield LossTerm("layer_distillation", between, self.config.layer_distillation * ratio)


def margin_nca(
    logits: Float[Tensor, "batch slots"], slots: Int[Tensor, " batch"], margin: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Return the mean of [-log(exp(own logit - margin) / sum of exp(other logits))], or 0 where that is less."""
    own = logits.gather(1, slots[:, None])
    # The least number, not -inf, whose gradient would not be finite where there is no other slot.
    others = logits.scatter(1, slots[:, None], torch.finfo(logits.dtype).min).logsumexp(dim=1)
    return (others - own[:, 0] + margin).clamp(min=0).mean()


def unit_distance(tokens: Float[Tensor, "batch dim"], before: Float[Tensor, "batch dim"]) -> Float[Tensor, ""]:
    """Return the mean squared distance of tokens brought to length 1, between 0 and 4."""
    difference = nn.functional.normalize(tokens, dim=1) - nn.functional.normalize(before, dim=1)
    return difference.square().sum(dim=1).mean()


def _tokens_by_layer(classifier: ClipClassifier, batch: Batch) -> list[Tensor]:
    encoder = classifier.encoder
    return encoder.tokens_by_layer(encoder.place(batch.features, batch.positions))
