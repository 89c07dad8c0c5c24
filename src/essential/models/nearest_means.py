"""The nearest mean of exemplars as the decision: iCaRL's rule, on the tokens of a clip classifier."""

from jaxtyping import Float, Int
from torch import Tensor

from essential.models.classifier import ClipClassifier, Predictor


class NearestMeans(Predictor):
    """Dense frame features, in; the cosine with every slot's mean of exemplars, out. The head is another reading.

    Source: Rebuffi et al., iCaRL, CVPR 2017, algorithm 1: both sides are unit vectors, so the largest cosine is the
    smallest distance.
    """

    reading = "nme"

    def __init__(self, classifier: ClipClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        """Score dense clips by the means of exemplars."""
        return self.classifier.by_means(features)

    def readings(self, features: Float[Tensor, "batch frames dim"]) -> dict[str, Float[Tensor, "batch slots"]]:
        """Those of the classifier."""
        return self.classifier.readings(features)

    def tokens(
        self, features: Float[Tensor, "batch kept dim"], positions: Int[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch dim"]:
        """Return those of the classifier."""
        return self.classifier.tokens(features, positions)

    def by_tokens(self, tokens: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch slots"]:
        """Return the cosines with the means of exemplars."""
        return self.classifier.cosines(tokens)
