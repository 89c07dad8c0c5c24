"""Scores of clips by words: how near a clip's features are to the vectors that a text tower makes of the classes."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from essential.models.classifier import Predictor

# Of a mean gradient or Hessian of scores that vary by 1: below it is rounding.
_NOTHING = 1e-12
_STEPS, _HALVINGS = 50, 40


@dataclass(frozen=True)
class Words:
    """What a text tower says of classes, and how a frame's feature is compared with it.

    Attributes:
        vectors: of each class, in the order of their slots.
        projection: from a feature to where the vectors are; None: features are there.
        scale: of cosines, such that they are logits.

    Raises:
        ValueError: the shapes do not fit each other.
    """

    vectors: Float[Tensor, "classes width"]
    projection: Float[Tensor, "width dim"] | None = None
    scale: float = 100.0

    def __post_init__(self) -> None:
        shape = tuple(self.vectors.shape)
        if self.vectors.ndim != 2 or (self.projection is not None and self.projection.shape[:1] != shape[1:]):
            theirs = "none" if self.projection is None else tuple(self.projection.shape)
            raise ValueError(f"vectors of the shape {shape} do not fit a projection of the shape {theirs}")

    @property
    def dim(self) -> int:
        """Numbers of a frame's feature."""
        return (self.vectors if self.projection is None else self.projection).shape[1]

    def of(self, slots: range) -> "Words":
        """Return those of some of the classes."""
        return replace(self, vectors=self.vectors[slots.start : slots.stop])


class TextScores(Predictor):
    """Scores are scale times the cosine of a class's vector and the mean of a clip's frames.

    Frames are projected and have length 1 before their mean is taken. All is computed in float64.

    Attributes:
        vectors: of all slots, one after the other, of length 1.
        projection: without rows, features are compared as they are.
    """

    reading = "closed-form"
    grows = ("vectors", "projection")
    vectors: Tensor
    projection: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(0, dtype=torch.float32))
        self.register_buffer("projection", torch.zeros(0, dim, dtype=torch.float32))
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))

    def add(self, words: Words) -> None:
        """Add the vectors of newly arrived slots."""
        new = nn.functional.normalize(words.vectors.double(), dim=1).flatten()
        self.vectors = torch.cat([self.vectors, new.to(self.vectors)])
        if words.projection is not None:
            # A state gives it back in this order of its numbers, on which the rounding of products depends.
            self.projection = words.projection.to(self.projection).contiguous()
        self.scale = torch.full_like(self.scale, words.scale)

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        # An exported copy has no empty tensors.
        projection = dict(self.named_buffers()).get("projection", self.vectors[:0])
        frames = features.double() @ projection.T.double() if len(projection) else features.double()
        clips = nn.functional.normalize(nn.functional.normalize(frames, dim=2).mean(dim=1), dim=1)
        scores: Tensor = self.scale * clips @ self.vectors.view(-1, clips.shape[1]).T.double()
        return scores


class WithWords(Predictor):
    """Scores are those of another predictor and those of words, each times its own weight.

    Args:
        first_weight: of the other, as long as no clip says more.

    Attributes:
        reading: that of the other.
        weights: of the other, and of words.
        clips: how many clips, taught to no predictor that scored them, the weights were found on.
    """

    weights: Tensor
    clips: Tensor

    def __init__(self, base: Predictor, dim: int, *, first_weight: float) -> None:
        super().__init__()
        self.base, self.text, self.reading = base, TextScores(dim), base.reading
        self.register_buffer("weights", torch.tensor([first_weight, 1.0], dtype=torch.float64))
        self.register_buffer("clips", torch.zeros((), dtype=torch.long))

    def tokens(
        self, features: Float[Tensor, "batch kept dim"], positions: Int[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch width"]:
        return self.base.tokens(features, positions)

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        scores: Tensor = torch.einsum("n,nbs->bs", self.weights, self.both(features))
        return scores

    def readings(self, features: Float[Tensor, "batch frames dim"]) -> dict[str, Float[Tensor, "batch slots"]]:
        return {**self.base.readings(features), self.reading: self(features)}

    def both(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "2 batch slots"]:
        """Return the scores of the other predictor, and those of words."""
        return torch.stack([self.base(features).double(), self.text(features)])

    def weigh(self, scores: Float[Tensor, "2 clips slots"], slots: Int[Tensor, " clips"]) -> None:
        """Take into the weights those that clips say, which `both` has scored without knowledge of them.

        Where neither source says anything of them, the weights stay: of two zeros every answer would be the first slot.
        """
        new = len(slots)
        found = stacked(scores, slots).to(self.weights)
        if bool(found.any()):
            share = new / (new + max(0, int(self.clips)))
            self.weights = (1 - share) * self.weights + share * found
            self.clips = self.clips + new


def stacked(scores: Float[Tensor, "sources clips slots"], slots: Int[Tensor, " clips"]) -> Float[Tensor, " sources"]:
    """Return the weights of 0 or more, one a source, whose weighted sum of scores has the least cross-entropy.

    It is that of the clips, and of one clip more of no known class, a share of which is of every slot: without it the
    weights of scores that tell all clips apart would grow without end. Scores are float64.

    Source: Wolpert, Stacked generalization, Neural Networks 1992; the clip more is Platt's of two classes (1999). The
    loss is convex, so its minimum over weights of 0 or more is that without a bound over the sources that have more
    than 0, and every set of sources is tried: there are two of them.
    """
    sources, clips, number = scores.shape
    wanted = torch.full((clips, number), 1 / (number * (clips + 1))).to(scores)
    wanted[torch.arange(clips), slots] += clips / (clips + 1)
    apart = scores - scores.mean(dim=2, keepdim=True)
    # In units in which every source varies by 1; one that varies by its rounding alone has no weight.
    size = apart.square().mean(dim=(1, 2)).sqrt()
    varies = size > _NOTHING * scores.abs().amax(dim=(1, 2))
    size = size.where(varies, 1.0)
    apart = apart / size[:, None, None]
    best, least = torch.zeros_like(size), float(_loss(torch.zeros_like(size), apart, wanted))
    for chosen in range(1, 2**sources):
        among = torch.tensor([bool(chosen >> source & 1) for source in range(sources)], device=size.device)
        among &= varies
        weights = torch.zeros_like(size)
        weights[among] = _without_bound(apart[among], wanted)
        loss = float(_loss(weights, apart, wanted))
        if loss < least and bool((weights >= 0).all()):
            best, least = weights, loss
    return best / size


def _loss(
    weights: Float[Tensor, " sources"],
    scores: Float[Tensor, "sources clips slots"],
    wanted: Float[Tensor, "clips slots"],
) -> Float[Tensor, ""]:
    return nn.functional.cross_entropy(torch.einsum("n,ncs->cs", weights, scores), wanted)


def _without_bound(
    scores: Float[Tensor, "sources clips slots"], wanted: Float[Tensor, "clips slots"]
) -> Float[Tensor, " sources"]:
    """Return the weights of least cross-entropy, which may be negative, by Newton's method with halved steps."""
    weights = scores.new_zeros(len(scores))
    for _ in range(_STEPS):
        guessed = torch.einsum("n,ncs->cs", weights, scores).softmax(dim=1)
        gradient = (scores * (guessed - wanted)).sum(dim=2).mean(dim=1)
        apart = scores - (scores * guessed).sum(dim=2, keepdim=True)
        hessian = torch.einsum("ncs,mcs,cs->nm", apart, apart, guessed) / len(wanted)
        step = torch.linalg.pinv(hessian, rtol=_NOTHING, hermitian=True) @ gradient
        if float(gradient @ step) < _NOTHING:
            break
        before = _loss(weights, scores, wanted)
        halves = (weights - step * 0.5**half for half in range(_HALVINGS))
        nearer = next((each for each in halves if _loss(each, scores, wanted) < before), None)
        if nearer is None:
            break
        weights = nearer
    return weights
