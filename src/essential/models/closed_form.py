"""Predictors whose numbers are computed, not trained, from one vector of float64 per clip.

They are linear scores, or Mahalanobis distances to the classes' means. All compute in float64: an inverse covariance
enlarges every rounding.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from essential.models.classifier import Predictor
from essential.models.growing import below
from essential.seeded import standard_normal

_POSITIVE = 1e-4

ClipForm = Literal["mean", "side-by-side", "dct"]


class ClipVector(nn.Module):
    """One vector per clip, in one of three forms; with `unit` it has length 1, and a vector of zeros stays.

    mean: the mean of the frames, blind to their order; side-by-side: all frames, the first one first; dct: the first
    `coefficients` of the orthonormal DCT-II over the frames, the constant one first.

    Attributes:
        blocks: coefficients side by side, each with a covariance of its own; 1 in the other forms.
        width: of all blocks.
        over_time: what each row of the vector's numbers takes of each frame.
    """

    over_time: Tensor

    def __init__(self, form: ClipForm, *, dim: int, frames: int, coefficients: int = 1, unit: bool = False) -> None:
        super().__init__()
        self.unit = unit
        if form == "mean":
            over_time = torch.full((1, frames), 1 / frames, dtype=torch.float64)
        elif form == "side-by-side":
            over_time = torch.eye(frames, dtype=torch.float64)
        else:
            over_time = cosines(frames)[:coefficients].clone()  # an exported file wants a whole tensor
        self.register_buffer("over_time", over_time, persistent=False)
        self.blocks = coefficients if form == "dct" else 1
        self.width = dim * len(over_time)

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch width"]:
        vectors: Tensor = (self.over_time @ features.double()).flatten(1)
        unit: Tensor = nn.functional.normalize(vectors, dim=1) if self.unit else vectors
        return unit


def cosines(frames: int) -> Float[Tensor, "frames frames"]:
    """Return the orthonormal DCT-II over so many frames, a coefficient per row, slow ones first (float64)."""
    # On the meta device, where shapes are tried, a range is Python: it would load torch's compiler.
    places = torch.arange(frames, dtype=torch.float64, device="cpu")
    rows: Tensor = torch.cos(torch.pi / frames * places[:, None] * (places + 0.5)) * (2 / frames) ** 0.5
    rows[0] /= 2**0.5
    return rows


class RandomFeatures(nn.Module):
    """A fixed random projection of vectors of `width` numbers to `number`, standard normal, and a ReLU.

    A state holds the seed alone, of which the projection is made again; version 0.1.0 stored the projection instead.

    Source: McDonnell et al., RanPAC, NeurIPS 2023.
    """

    seed: Tensor
    projection: Tensor

    def __init__(self, width: int, number: int, *, seed: int) -> None:
        super().__init__()
        self.register_buffer("seed", torch.tensor(seed))
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("projection", standard_normal(width, number, generator=generator), persistent=False)

    def forward(self, vectors: Float[Tensor, "batch width"]) -> Float[Tensor, "batch number"]:
        return (vectors @ self.projection.to(vectors)).relu()

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *args: Any) -> None:
        own = below(prefix, state_dict)
        if "seed" in own and not self.seed.is_meta and not torch.equal(own["seed"].to(self.seed), self.seed):
            made = RandomFeatures(*self.projection.shape, seed=int(own["seed"]))
            self.projection = made.projection.to(self.projection)
        elif "projection" in own:
            # The seed is the same wherever the config is; what was drawn of it long ago may differ by rounding.
            if not own["projection"].is_meta and not torch.allclose(
                own["projection"].to(self.projection), self.projection
            ):
                raise RuntimeError("a random projection of another seed")
            state_dict = {f"{prefix}seed": self.seed}
        super()._load_from_state_dict(state_dict, prefix, *args)


class ClosedFormPredictor(Predictor):
    """What scores clips by vectors of `width` numbers, which `vectors` makes of frame features (batch, frames, dim)."""

    reading = "closed-form"

    def __init__(self, vectors: nn.Module, *, width: int) -> None:
        super().__init__()
        self.vectors, self.width = vectors, width


class LinearScores(ClosedFormPredictor):
    """Scores are weight times the clip's vector plus bias."""

    grows = ("weight", "bias")
    weight: Tensor
    bias: Tensor

    def __init__(self, vectors: nn.Module, *, width: int) -> None:
        super().__init__(vectors, width=width)
        self.register_buffer("weight", torch.zeros(0, width, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(0, dtype=torch.float64))

    def set(self, weight: Float[Tensor, "slots width"], bias: Float[Tensor, " slots"]) -> None:
        """Score with these numbers, one row per slot."""
        self.weight, self.bias = weight, bias

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        return nn.functional.linear(self.vectors(features), self.weight, self.bias)


class MahalanobisDistances(ClosedFormPredictor):
    """Scores are minus the squared Mahalanobis distances to the classes' means, by each class's own covariances.

    Of a clip's vector, `reduced` keeps some blocks of some numbers. Beside its mean, a class has for each block an
    upper triangular matrix W, packed: W W^T is the inverse of its covariance. All is stored flat, for a budget changes
    its shape; `shape` has the blocks, and the numbers of a block.
    """

    grows = ("means", "whitenings", "directions")
    means: Tensor
    whitenings: Tensor
    directions: Tensor
    shape: Tensor

    def __init__(self, vectors: nn.Module, *, width: int) -> None:
        super().__init__(vectors, width=width)
        self.register_buffer("means", torch.zeros(0))
        self.register_buffer("whitenings", torch.zeros(0))
        self.register_buffer("directions", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("shape", torch.zeros(2, dtype=torch.long))

    def set(
        self,
        means: Float[Tensor, "slots blocks rank"],
        covariances: Iterable[Float[Tensor, "blocks rank rank"]],
        directions: Float[Tensor, "whole rank"] | None,
    ) -> None:
        """Score with these numbers: a mean and positive definite covariances of each slot."""
        packed = []
        for covariance in covariances:
            factor = torch.stack([positive_factor(block) for block in covariance])
            identity = torch.eye(factor.shape[-1]).to(factor).expand_as(factor)
            inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
            packed.append(pack_upper(inverse.mT).to(self.whitenings).flatten())
        self.means, self.whitenings = means.to(self.means).flatten(), torch.cat(packed)
        self.directions = self.directions[:0] if directions is None else directions.flatten()
        self.shape = self.shape.new_tensor(means.shape[1:])

    def parts(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return means (slots, blocks, rank), packed matrices (slots, blocks, packed), and directions, if any."""
        blocks, rank = self.shape.tolist()
        directions = self.directions.view(-1, rank) if len(self.directions) else None
        packed = self.whitenings.view(-1, blocks, packed_size(rank))
        return self.means.view(-1, blocks, rank), packed, directions

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        """Score dense clips, one class after the other: all matrices at once would not fit into memory."""
        means, whitenings, directions = self.parts()
        vectors = reduced(self.vectors(features), means.shape[1:], directions)
        distances = vectors.new_zeros(len(vectors), len(means))
        for slot, (mean, packed) in enumerate(zip(means, whitenings, strict=True)):
            apart = (vectors - mean.to(vectors)).transpose(0, 1)
            distances[:, slot] = (apart @ unpack_upper(packed).to(apart)).square().sum(dim=(0, 2))
        return -distances


def reduced(
    vectors: Float[Tensor, "clips numbers"], shape: Sequence[int], directions: Float[Tensor, "whole rank"] | None
) -> Float[Tensor, "clips blocks rank"]:
    """Return the first blocks of vectors, and of each block the products with `directions`, or else the first numbers.

    `shape` says how many blocks and numbers of each. Without directions vectors have one block, or all its numbers are
    kept.
    """
    blocks, rank = shape[0], shape[1] if directions is None else len(directions)
    kept: Tensor = vectors[:, : blocks * rank].unflatten(1, (blocks, rank))
    return kept if directions is None else kept @ directions


def positive_factor(covariance: Float[Tensor, "width width"]) -> Float[Tensor, "width width"]:
    """Return the Cholesky factor of a covariance that is positive but for the rounding of what it was kept as.

    Eigenvalues that rounding has made negative, or too small, are raised to `_POSITIVE` times their mean.
    """
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if int(failed):
        values, vectors = torch.linalg.eigh(covariance)
        raised = values.clamp(min=_POSITIVE * float(values.mean()))
        factor = torch.linalg.cholesky(vectors * raised @ vectors.T)
    return factor


def squared_distances(
    vectors: Float[Tensor, "clips width"], means: Float[Tensor, "slots width"]
) -> Float[Tensor, "clips slots"]:
    """Return the squared distance of each vector from each mean, by products that an exported program may have too."""
    squares = vectors.square().sum(dim=1, keepdim=True) - 2 * vectors @ means.T + means.square().sum(dim=1)
    return squares.clamp(min=0)


def packed_size(width: int) -> int:
    """Return how many numbers the upper triangle of a (`width`, `width`) matrix has."""
    return width * (width + 1) // 2


def pack_upper(matrix: Float[Tensor, "*blocks width width"]) -> Float[Tensor, "*blocks packed"]:
    """Return the upper triangle, row after row; what lies below the diagonal is ignored."""
    return matrix[..., _upper(matrix.shape[-1], matrix.device)]


def unpack_upper(packed: Float[Tensor, "*blocks packed"]) -> Float[Tensor, "*blocks width width"]:
    """Return the upper triangular matrix that `pack_upper` was given, with zeros below the diagonal."""
    width = (math.isqrt(8 * packed.shape[-1] + 1) - 1) // 2
    matrix = packed.new_zeros(*packed.shape[:-1], width, width)
    matrix[..., _upper(width, packed.device)] = packed
    return matrix


def _upper(width: int, device: torch.device) -> Bool[Tensor, "width width"]:
    # A mask, not indices: of a matrix of side 6144 it takes 38 MB, where the indices would take 302.
    return torch.ones(width, width, dtype=torch.bool, device=device).triu()
