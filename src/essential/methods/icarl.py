"""iCaRL: Rebuffi, Kolesnikov, Sperl, Lampert, iCaRL: Incremental Classifier and Representation Learning, CVPR 2017.

1. one stage on the task's clips and the old exemplars together (algorithm 3): binary cross-entropy for every slot seen;
   for new slots the targets are the labels, for old ones what the classifier before the task says, after a sigmoid;
2. choose the task's exemplars by herding (algorithm 4), and cut the old ones to the new quota, m = memory / classes
   seen (algorithm 5): those chosen first stay;
3. decide by the nearest mean of exemplars, on tokens of length 1 (algorithm 1); the head is another reading.

`reading: vclimb` is the loss of vCLIMB (Villa et al., CVPR 2022): cross-entropy over all slots seen, plus the binary
cross-entropy of old slots alone.

Differs from the paper: the loss is averaged over the batch, where algorithm 3 sums; AdamW, not SGD; the old classifier
scores every view, where algorithm 3 (and vCLIMB's code) scores each clip once. `total_exemplars` is the paper's K.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from essential.methods.contract import Batch, LossTerm
from essential.methods.trained import HerdedConfig, Trained, cross_entropy, logits_of
from essential.models.classifier import NearestMeans


class ICaRLConfig(HerdedConfig):
    name: Literal["icarl"] = "icarl"
    reading: Literal["paper", "vclimb"] = Field(
        "paper",
        description="paper: binary cross-entropy for every slot; vclimb: cross-entropy, and binary for old slots",
    )


class ICaRL(Trained[ICaRLConfig]):
    Config = ICaRLConfig

    distils = True

    def make_predictor(self) -> NearestMeans:
        return NearestMeans(self.classifier)

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Iterator[LossTerm]:  # noqa: ARG002
        logits, first = logits_of(self.classifier, batch), self.slots[-1].start
        if self.config.reading == "paper":
            new = torch.arange(first, self.slots[-1].stop, device=logits.device)
            labels = (batch.slots[:, None] == new).to(logits)
            classification = binary_cross_entropy(logits[:, first:], labels)
        else:
            classification = cross_entropy(logits, batch.slots)
        yield LossTerm("classification", classification)
        targets = self.before(lambda teacher: logits_of(teacher, batch).sigmoid())
        if targets is not None:
            yield LossTerm("distillation", binary_cross_entropy(logits[:, :first], targets))


def binary_cross_entropy(
    logits: Float[Tensor, "batch part"], targets: Float[Tensor, "batch part"]
) -> Float[Tensor, ""]:
    """Return the sum over slots, averaged over the batch; targets are probabilities."""
    return nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(logits)
