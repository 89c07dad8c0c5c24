"""Bias correction: a classifier's logits, scaled and shifted by one pair of numbers per task.

Source: Wu et al., Large Scale Incremental Learning, CVPR 2019, equation 4.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from essential.models.classifier import ClipClassifier, Predictor


class BiasPair(nn.Module):
    """The pair of one task: alpha times a logit plus beta. A new pair changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(()))
        self.beta = nn.Parameter(torch.zeros(()))


class BiasCorrected(Predictor):
    """Dense frame features, in; the corrected logit of every slot, out.

    Attributes:
        pairs: one for every task.
        task_of_slot: which of them is a slot's.
    """

    reading = "cnn"
    grows = ("task_of_slot",)
    task_of_slot: Tensor

    def __init__(self, classifier: ClipClassifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.pairs = nn.ModuleList()
        self.register_buffer("task_of_slot", torch.zeros(0, dtype=torch.long))

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        """Score dense clips."""
        return self.correct(self.classifier(features))

    def correct(self, logits: Float[Tensor, "batch slots"]) -> Float[Tensor, "batch slots"]:
        """Correct what the classifier says."""
        alphas = torch.stack([pair.get_parameter("alpha") for pair in self.pairs])
        betas = torch.stack([pair.get_parameter("beta") for pair in self.pairs])
        return logits * alphas[self.task_of_slot] + betas[self.task_of_slot]

    def readings(self, features: Float[Tensor, "batch frames dim"]) -> dict[str, Float[Tensor, "batch slots"]]:
        """Those of the classifier, the head's corrected."""
        readings = self.classifier.readings(features)
        return {**readings, "cnn": self.correct(readings["cnn"])}

    def tokens(
        self, features: Float[Tensor, "batch kept dim"], positions: Int[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch dim"]:
        """Return those of the classifier."""
        return self.classifier.tokens(features, positions)

    def by_tokens(self, tokens: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch slots"]:
        """Return the corrected logits."""
        return self.correct(self.classifier.logits(tokens))

    def add_pair(self, slots: int) -> None:
        """Add a pair for `slots` new slots, behind the present ones."""
        new = torch.full((slots,), len(self.pairs), device=self.task_of_slot.device)
        self.task_of_slot = torch.cat([self.task_of_slot, new])
        self.pairs.append(BiasPair().to(new.device))

    def forget_pairs(self) -> None:
        """Have every pair change nothing, as if new."""
        self.pairs = nn.ModuleList(BiasPair().to(self.task_of_slot.device) for _ in self.pairs)

    def take_shape(self, state: Mapping[str, Tensor]) -> None:
        """Have as many pairs as `state` too."""
        super().take_shape(state)
        self.pairs = nn.ModuleList(BiasPair() for name in state if name.endswith(".alpha"))
