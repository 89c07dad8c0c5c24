"""Spectral: linear discriminant analysis of a clip's spectrum over time and of the areas that its path encloses.

This project's own; docs/spectral.md derives it and shows what was tried. Nothing is trained and no clip is kept.

1. a clip is a few blocks of numbers: the first coefficients of its frames' cosine transform over time, and the areas
   sum_t z_t z_{t+1}^T - z_{t+1} z_t^T, where z are the numbers of a frame along 16 directions: the principal ones of
   the first task's frames, every number of them rounded to its sign. Areas do not change when a motion comes later in
   the clip or at another speed;
2. keep each class's count and mean, and for each block the scatter of all clips about their class's mean;
3. after each task, shrink each block's covariance within classes, and take of each class's mean what is not noise: see
   `expected_discriminant`;
4. a class's score is that of linear discriminant analysis, summed over the blocks in which the classes are apart.

A budget leaves the areas half of it at most. What does not fit is given up as `ClassStatistics` does, but first the
blocks that say nothing; and of the areas those of the last directions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from essential.memory.ledger import LedgerEntry
from essential.methods.closed_form import ClosedForm, ClosedFormConfig
from essential.methods.contract import BatchTable
from essential.methods.directions import directions_of, leading_directions, packed_signs
from essential.methods.discriminant import chosen_shrinkage, expected_discriminant, shrunk, side_by_side
from essential.methods.statistics import Bits, ClassStatistics, refuse_small, statistics_ledger
from essential.models.closed_form import ClipVector, LinearScores

_DIRECTIONS = 16
_AT_ONCE = 512
# A block says nothing if the classes are not this many times as far apart in it as in the best one; for good, once that
# is said of so many classes.
_NOTHING, _JUDGES = 0.03, 4


class SpectralConfig(ClosedFormConfig):
    name: Literal["spectral"] = "spectral"
    clip: Literal["dct"] = Field("dct", description="a clip is its spectrum over time, and its areas")
    statistics_bits: Bits = Field(16, description="bits of each number of means and covariances")


class SpectrumAndAreas(nn.Module):
    """The vector of a clip's spectrum, then its areas between any two of the directions: (0, 1), (0, 2), (1, 2)...

    Attributes:
        areas: how many.
        width: of spectrum and areas.
        signs: of the directions, a bit each.
        directions: what the signs say, as columns of length 1, orthogonal to each other.
    """

    signs: Tensor
    directions: Tensor
    pairs: Tensor

    def __init__(self, spectrum: ClipVector) -> None:
        super().__init__()
        dim = spectrum.width // spectrum.blocks
        number = min(_DIRECTIONS, dim)
        # By the later direction of each pair, so that the first areas are those of the first directions.
        # Where a frame is one number there is one area, which is 0.
        later, earlier = torch.tril_indices(number, number, -1 if number > 1 else 0, device="cpu")
        self.spectrum, self.areas, self.width = spectrum, len(later), spectrum.width + len(later)
        self.register_buffer("pairs", earlier * number + later, persistent=False)
        self.register_buffer("signs", torch.zeros(number * -(-dim // 8), dtype=torch.uint8))
        self.register_buffer("directions", torch.zeros(dim, number, dtype=torch.float64), persistent=False)

    def look_along(self, directions: Float[Tensor, "dim number"]) -> None:
        """Take areas along these directions, as far as their signs tell them."""
        self.signs = packed_signs(directions)
        self.directions = directions_of(self.signs, len(directions))

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch width"]:
        along = features.double() @ self.directions
        products = along[:, :-1].mT @ along[:, 1:]
        areas = (products - products.mT).flatten(1).index_select(1, self.pairs)
        return torch.cat([self.spectrum(features), areas], dim=1)

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        if not self.signs.is_meta:
            self.directions = directions_of(self.signs, len(self.directions))


class Spectral(ClosedForm[SpectralConfig, LinearScores]):
    """The method.

    Attributes:
        vectors: makes spectrum and areas of a clip.
        areas: the statistics of the areas; `statistics` are those of the spectrum.
    """

    Config = SpectralConfig

    def __init__(self, config: SpectralConfig, *, dim: int, frames: int, seed: int) -> None:
        super().__init__(config, dim=dim, frames=frames, seed=seed)
        self.network["areas"] = self.areas

    def make(self, vectors: ClipVector, seed: int) -> tuple[LinearScores, ClassStatistics]:  # noqa: ARG002
        self.vectors = SpectrumAndAreas(vectors)
        self.areas = ClassStatistics(self.vectors.areas, bits=self.config.statistics_bits, directed=False)
        return LinearScores(self.vectors, width=self.vectors.width), self.statistics_of(vectors, "shared")

    def learn(self, table: BatchTable, slots: range) -> None:
        if len(self.slots) == 1:
            device = self.vectors.directions.device
            self.vectors.look_along(principal_directions(table, self.vectors.directions.shape[1], device))
        width, areas = self.vectors.spectrum.width, list[Float[Tensor, "clips areas"]]()

        def spectra() -> Iterator[Float[Tensor, "clips width"]]:
            for vectors in self.vectors_by_class(table, slots):
                areas.append(vectors[:, width:])
                yield vectors[:, :width]

        self.statistics.add(spectra())
        self.areas.add(areas)

    def score(self) -> None:
        solved, blocks = self.solve(), self.statistics.form.blocks
        parts = (self.statistics, side_by_side(solved[:blocks])), (self.areas, side_by_side(solved[blocks:]))
        self.scores.set(*side_by_side((each.widened(weight), bias) for each, (weight, bias) in parts))

    def solve(self) -> list[tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]]:
        """Return weight and bias of every block, that of the areas last; 0 of one that says nothing."""
        solved, apart = [], []
        for block in (*self.statistics.blocks(), *self.areas.blocks()):
            shrinkage = chosen_shrinkage(block)
            covariance = shrunk(block.covariance, shrinkage, negligible=block.negligible)
            weight, bias = expected_discriminant(block, covariance, shrinkage)
            solved.append((weight, bias))
            apart.append(float((weight @ covariance * weight).sum()))
        heard = [float(distance > _NOTHING * max(apart)) for distance in apart]
        return [(weight * says, bias * says) for (weight, bias), says in zip(solved, heard, strict=True)]

    def ledger(self) -> list[LedgerEntry]:
        areas = [replace(entry, name=f"areas: {entry.name}") for entry in self.areas.ledger()]
        return self.statistics.ledger() + areas + statistics_ledger({"areas: signs of directions": self.vectors.signs})

    def least_bytes(self, classes: int) -> int:
        least = self.statistics.least_bytes(classes) + self.areas.least_bytes(classes)
        return least + self.vectors.signs.nbytes

    def fit(self, budget_bytes: int) -> None:
        """Leave areas half of the budget at most, and the spectrum the rest; what says nothing goes first."""
        classes = len(self.statistics.counts)
        refuse_small(budget_bytes, self.least_bytes(classes), classes)
        of_spectrum, of_areas = self.statistics.least_bytes(classes), self.areas.least_bytes(classes)
        left = budget_bytes - self.vectors.signs.nbytes
        if self.statistics.bytes_of(classes) + self.areas.bytes_of(classes) <= left:
            return
        *spectrum, areas = [classes < _JUDGES or bool(weight.any()) for weight, _ in self.solve()]
        self.areas.fit(max(min(left // 2, left - of_spectrum), of_areas) if areas else of_areas)
        most = max((place for place, says in enumerate(spectrum, 1) if says), default=1)
        self.statistics.fit(left - self.areas.bytes_of(classes), most_blocks=most)


def principal_directions(table: BatchTable, number: int, device: torch.device) -> Float[Tensor, "dim number"]:
    """Return the principal directions of the frames of all clips about their mean, the one of most variance first."""
    frames, total, squares = 0, torch.zeros(()), torch.zeros(())
    for clips in torch.arange(len(table)).split(_AT_ONCE):
        own = table.rows(clips).to(device).features.double().flatten(0, 1)
        frames, total, squares = frames + len(own), total.to(own) + own.sum(dim=0), squares.to(own) + own.T @ own
    mean = total / frames
    return leading_directions(squares / frames - mean[:, None] * mean, number)
