"""Spectral: a clip as its spectrum over time and the areas of its path, in closed form, under a budget in bytes.

This project's own; docs/spectral.md derives it and shows the trials. Nothing is trained and no clip is kept.

1. a clip is a few blocks of numbers: the first coefficients of its frames' cosine transform over time; and the areas
   sum_t z_t z_{t+1}^T - z_{t+1} z_t^T, where z are the first principal numbers of the first task's frames. Areas do
   not change when a motion comes later in the clip or at another speed;
2. keep each class's count and mean, and for each block the scatter of all clips about their class's mean, in 16 bits;
3. after each task, shrink each block's covariance within classes as Ledoit and Wolf do, and measure by it how the means
   differ. Only directions that noise would not show count, each as far as noise leaves it: `spiked_discriminant`;
4. a class's score is that of linear discriminant analysis with these means, summed over the blocks.

A budget decides how many areas, coefficients, and numbers of a frame there are, after a fixed rotation. As classes
come, what no longer fits is cut off; what stays is as it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from essential.configs.schema import Section
from essential.errors import ConfigError
from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import LedgerEntry
from essential.memory.quantiser import rotated, rotated_back
from essential.methods.contract import BatchTable, Method, TaskData
from essential.methods.statistics import (
    LEAST,
    Block,
    ClassStatistics,
    damped_discriminant,
    ledoit_wolf,
    statistics_ledger,
)
from essential.models.classifier import Predictor
from essential.models.closed_form import cosines, packed_size
from essential.models.growing import below

# How much there is of each where a budget allows it: see docs/spectral.md.
_COEFFICIENTS, _MOVING, _RANK = 4, 256, 16
# Coefficients are given up before a moving one has fewer numbers than these.
_FEWEST = 12
_BITS: Literal[16] = 16
_ROTATION = 0
_LARGEST_CODE = 127
_AT_ONCE = 512
# Of the largest variance: what is below it is rounding.
_NOTHING = 1e-12

Linear = tuple[Float[Tensor, "slots _"], Float[Tensor, " slots"]]


class SpectralConfig(Section):
    name: Literal["spectral"] = "spectral"
    budget_bytes: int | None = Field(
        None, ge=1, description="hard cap on all that is kept, in bytes; none: every number of a frame is used"
    )


@dataclass(frozen=True)
class Form:
    """How much of a clip is seen: of its first `coefficients` over time, and of its areas.

    Attributes:
        still: numbers of the constant coefficient, the mean of the frames.
        moving: numbers of each of the others.
        coefficients: how many there are, the constant one among them; 0 are moving ones where it is 1.
        rank: numbers of a frame between which areas are taken, by pairs.
    """

    still: int
    moving: int
    coefficients: int
    rank: int

    @classmethod
    def largest(cls, *, dim: int, frames: int) -> "Form":
        """Return the form without a budget."""
        moving = min(dim, _MOVING) if frames > 1 else 0
        return cls(dim, moving, min(_COEFFICIENTS, frames), min(_RANK, dim) if min(frames, dim) > 1 else 0)

    @property
    def areas(self) -> int:
        return self.rank * (self.rank - 1) // 2

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """Blocks, and numbers of each, of the constant coefficient, the moving ones and the areas."""
        return (1, self.still), (self.coefficients - 1, self.moving), (1, self.areas)

    def bytes(self, *, dim: int, classes: int) -> int:
        """Return the bytes of all that is kept of so many classes, whose frames have `dim` numbers."""
        return self._bytes_of_spectra(classes) + self._bytes_of_areas(dim, classes)

    def within(self, budget: int, *, dim: int, classes: int) -> "Form":
        """Return the largest form within the budget, on a way down from this one, or else the smallest of all.

        Areas take half of the budget at most. More classes never lead to more of anything.
        """
        form = self
        while form.rank and form._bytes_of_areas(dim, classes) > budget // 2:
            form = replace(form, rank=form.rank - 1 if form.rank > 2 else 0)
        room = max(budget - self._bytes_of_areas(dim, classes), budget // 2 if form.rank else budget)
        while form._bytes_of_spectra(classes) > room and form != SMALLEST:
            form = form._fewer()
        return form

    def _fewer(self) -> "Form":
        """Return the next form with a smaller spectrum: twice as many numbers of the mean as of what moves."""
        if self.still > 2 * self.moving:
            return replace(self, still=self.still - 1)
        if self.moving > _FEWEST:
            return replace(self, moving=self.moving - 1)
        left = self.coefficients - 1
        return replace(self, coefficients=left, moving=self.moving if left > 1 else 0)

    def _bytes_of_spectra(self, classes: int) -> int:
        return sum(_bytes_of_statistics(*part, classes=classes) for part in self.parts[:2])

    def _bytes_of_areas(self, dim: int, classes: int) -> int:
        return self.rank * (dim + 4 + 4) + _bytes_of_statistics(1, self.areas, classes=classes)


SMALLEST = Form(1, 0, 1, 0)
_PARTS = ("still", "moving", "areas")


def _bytes_of_statistics(blocks: int, width: int, *, classes: int) -> int:
    """Return the bytes of `ClassStatistics` in 16 bits; 0 of nothing."""
    block = 2 * (classes * width + packed_size(width)) + 4 * (classes + width) + 8
    return 8 * classes + blocks * block if blocks * width else 0


class SpectralScores(Predictor):
    """Scores that are linear in a clip's spectrum and areas, computed in float64.

    Attributes:
        spectrum: weights of the first coefficients of the orthonormal cosine transform over time, slow ones first.
        areas: weights of the areas between the numbers (0, 1), (0, 2), ... of those along `directions`.
        bias: what is added.
        directions: in 8 bits; each times its scale.
        origins: what is taken off the numbers along the directions.
    """

    reading = "closed-form"
    grows = ("spectrum", "areas", "bias")
    spectrum: Tensor
    areas: Tensor
    bias: Tensor
    directions: Tensor
    scales: Tensor
    origins: Tensor
    over_time: Tensor
    pairs: Tensor

    def __init__(self, *, coefficients: int, rank: int, dim: int, frames: int) -> None:
        super().__init__()
        self.dim, self.frames = dim, frames
        for name in self.grows:
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))
        self.register_buffer("directions", torch.zeros(dim, rank, dtype=torch.int8))
        for name in ("scales", "origins"):
            self.register_buffer(name, torch.zeros(rank))
        for name in ("over_time", "pairs"):
            self.register_buffer(name, torch.zeros(0), persistent=False)
        self.see(coefficients, rank)

    def see(self, coefficients: int, rank: int) -> None:
        """See so many coefficients, and areas along the first of the directions; score no slot until `set`."""
        number, first, second = self.bias.new_zeros, *torch.triu_indices(rank, rank, 1, device="cpu")
        self.spectrum, self.areas = number(0, coefficients, self.dim), number(0, len(first))
        self.bias, self.pairs = number(0), (first * rank + second).to(self.bias.device)
        self.over_time = cosines(self.frames)[:coefficients].to(self.bias)
        self.directions, self.scales = self.directions[:, :rank].clone(), self.scales[:rank].clone()
        self.origins = self.origins[:rank].clone()

    def look_along(self, directions: Float[Tensor, "dim rank"], origin: Float[Tensor, " dim"]) -> None:
        """Use these directions, in 8 bits, for areas about an origin."""
        self.scales = (directions.abs().amax(dim=0) / _LARGEST_CODE).to(self.scales)
        codes = (directions / self.scales.double().where(self.scales > 0, 1.0)).round()
        # Laid out as a state that is loaded, as all buffers are: the same numbers may otherwise be rounded otherwise.
        self.directions = codes.clamp(-_LARGEST_CODE, _LARGEST_CODE).to(self.directions).contiguous()
        self.origins = (origin @ self._directions()).to(self.origins)

    def seen(
        self, features: Float[Tensor, "batch frames dim"]
    ) -> tuple[Float[Tensor, "batch coefficients dim"], Float[Tensor, "batch areas"]]:
        """Return the spectra and the areas of dense clips."""
        frames = features.double()
        along = frames @ self._directions() - self.origins
        products = along[:, :-1].mT @ along[:, 1:]
        return self.over_time @ frames, (products - products.mT).flatten(1).index_select(1, self.pairs)

    def set(
        self,
        spectrum: Float[Tensor, "slots coefficients dim"],
        areas: Float[Tensor, "slots areas"],
        bias: Float[Tensor, " slots"],
    ) -> None:
        """Score with these numbers, a row per slot."""
        self.spectrum, self.areas, self.bias = spectrum.contiguous(), areas.contiguous(), bias

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        spectra, areas = self.seen(features)
        of_spectra = nn.functional.linear(spectra.flatten(1), self.spectrum.flatten(1), self.bias)
        return of_spectra + nn.functional.linear(areas, self.areas)

    def take_shape(self, state: Mapping[str, Tensor]) -> None:
        """Take on the coefficients and directions of a state, and its slots."""
        spectrum, directions = state.get("spectrum"), state.get("directions")
        if spectrum is not None and directions is not None and (spectrum.ndim, directions.ndim) == (3, 2):
            rank = directions.shape[1]
            self.directions = self.directions.new_zeros(self.dim, rank)
            self.scales, self.origins = self.scales.new_zeros(rank), self.origins.new_zeros(rank)
            self.see(spectrum.shape[1], rank)
        super().take_shape(state)

    def _directions(self) -> Float[Tensor, "dim rank"]:
        return self.directions.double() * self.scales.double()


class Spectral(Method):
    Config = SpectralConfig

    draws_nothing = True

    def __init__(self, config: SpectralConfig, *, dim: int, frames: int, seed: int) -> None:
        self.config, self.dim = config, dim
        self.form = Form.largest(dim=dim, frames=frames)
        coefficients, rank = self.form.coefficients, self.form.rank
        self.scores = SpectralScores(coefficients=coefficients, rank=rank, dim=dim, frames=frames)
        super().__init__(self.scores, EpisodicMemory.empty(kept=frames, dim=dim), seed=seed)
        self._begin_statistics()

    def check_room(self, names: Sequence[str], *, tasks: int) -> None:  # noqa: ARG002
        self._refuse_too_many(len(names))

    def begin(self, task: TaskData) -> None:
        """Cut what is kept to make room for the task's classes."""
        budget, classes = self.config.budget_bytes, task.slots.stop
        self._refuse_too_many(classes)
        if budget is not None:
            self._cut(self.form.within(budget, dim=self.dim, classes=classes))
        self.slots.append(task.slots)

    def finish(self, task: TaskData) -> None:
        """Add the task's classes to the statistics, and compute the scores of all classes anew."""
        table, device = task.plain(), self.scores.bias.device
        if len(self.slots) == 1 and self.form.rank:
            self.scores.look_along(*principal_directions(table, self.form.rank, device))
        for slot in task.slots:
            # Class by class: one task with all classes gives the same numbers as many tasks.
            clips = table.rows((table.slots == slot).nonzero()[:, 0]).to(device)
            spectra, areas = self.scores.seen(clips.features)
            # The rotation's signs are on the CPU.
            turned = rotated(spectra.cpu(), _ROTATION).to(device)
            moving = turned[:, 1:, : self.form.moving].flatten(1)
            parts = dict(zip(_PARTS, (turned[:, 0, : self.form.still], moving, areas), strict=True))
            for name, statistics in self._statistics():
                statistics.add([parts[name]])
        self._solve()

    def ledger(self) -> list[LedgerEntry]:
        along = {name: getattr(self.scores, name) for name in ("directions", "scales", "origins")}
        entries = statistics_ledger({f"areas: {name}": tensor for name, tensor in along.items() if self.form.rank})
        for name, statistics in self._statistics():
            entries += [replace(entry, name=f"{name}: {entry.name}") for entry in statistics.ledger()]
        return entries

    def resize(self, state: Mapping[str, Tensor]) -> None:
        """Take on the form that a state was cut to."""
        still, moving = (below(f"{name}.", state).get("mean_codes", torch.zeros(0, 0, 0)) for name in _PARTS[:2])
        rank = state["predictor.directions"].shape[1]
        self.form = Form(still.shape[2], moving.shape[2], moving.shape[1] + 1, rank)
        self.scores.take_shape(below("predictor.", state))
        self._begin_statistics()

    def _statistics(self) -> list[tuple[str, ClassStatistics]]:
        """Return the statistics of those parts of a clip that are seen."""
        parts = [(name, self.network[name]) for name in _PARTS if name in self.network]
        return [(name, part) for name, part in parts if isinstance(part, ClassStatistics)]

    def _begin_statistics(self) -> None:
        """Have statistics of no class, in the present form."""
        for name, (blocks, width) in zip(_PARTS, self.form.parts, strict=True):
            self.network.drop(name)
            if blocks * width:
                self.network[name] = ClassStatistics(width, blocks=blocks, bits=_BITS).to(self.scores.bias.device)

    def _cut(self, form: Form) -> None:
        first, second = torch.triu_indices(self.form.rank, self.form.rank, 1)
        areas = ((first < form.rank) & (second < form.rank)).nonzero()[:, 0]
        numbers = (torch.arange(form.still), torch.arange(form.moving), areas)
        kept = dict(zip(_PARTS, zip(form.parts, numbers, strict=True), strict=True))
        for name, statistics in self._statistics():
            (blocks, width), places = kept[name]
            statistics.cut(blocks, places) if blocks * width else self.network.drop(name)
        self.scores.see(form.coefficients, form.rank)
        self.form = form
        if self.slots:
            self._solve()

    def _solve(self) -> None:
        blocks = [block for _, statistics in self._statistics() for block in statistics.blocks()]
        solved = [spiked_discriminant(block) for block in blocks]
        if not any(bool(weight.any()) for weight, _ in solved):
            solved = [damped_discriminant(block, block.invertible()) for block in blocks]
        weights, biases = zip(*solved, strict=True)
        whole = [nn.functional.pad(each, (0, self.dim - each.shape[1])) for each in weights[: self.form.coefficients]]
        spectrum = rotated_back(torch.stack(whole, dim=1).cpu(), _ROTATION).to(weights[0])
        areas = weights[-1] if self.form.areas else spectrum.new_zeros(len(spectrum), 0)
        self.scores.set(spectrum, areas, torch.stack(biases).sum(dim=0))

    def _refuse_too_many(self, classes: int) -> None:
        budget, least = self.config.budget_bytes, SMALLEST.bytes(dim=self.dim, classes=classes)
        if budget is not None and budget < least:
            raise ConfigError(
                f"{budget} bytes do not hold the smallest statistics of {classes} classes, which take {least}",
                where="method.budget_bytes",
                remedy=f"give {least} or more; some hundred bytes for each class make a difference",
            )


def principal_directions(
    table: BatchTable, rank: int, device: torch.device
) -> tuple[Float[Tensor, "dim rank"], Float[Tensor, " dim"]]:
    """Return the first principal directions of the frames of all clips, the one of most variance first, and their mean.

    Both in float64. A direction's sign is arbitrary; no score depends on it.
    """
    frames, total, squares = 0, torch.zeros(()), torch.zeros(())
    for clips in torch.arange(len(table)).split(_AT_ONCE):
        own = table.rows(clips).to(device).features.double().flatten(0, 1)
        frames, total, squares = frames + len(own), total.to(own) + own.sum(dim=0), squares.to(own) + own.T @ own
    mean = total / frames
    vectors = torch.linalg.eigh(squares / frames - mean[:, None] * mean).eigenvectors
    return vectors[:, -rank:].flip(1), mean


def spiked_discriminant(block: Block) -> Linear:
    """Return weight and bias of a linear discriminant with means cleaned of noise; all 0 where they show nothing else.

    In numbers whitened by the shrunk covariance, the means m_c about their centre, each times the root of its class's
    count n_c, are signal of low rank and noise. With g = width / (classes - 1), noise of variance 1 alone has no
    direction of variance above (1 + sqrt(g))^2; signal of variance b n, n a typical count, is found with the variance
    (1 + b n)(1 + g / (b n)), in a direction of squared cosine (1 - g / (b n)^2) / (1 + g / (b n)) with its own. Along
    each direction above noise of the largest variance, class c's mean keeps the squared cosine times b / (b + 1 / n_c).

    Sources: Baik and Silverstein, Eigenvalues of large sample covariance matrices of spiked population models, JMVA
    2006; Paul, Asymptotics of sample eigenstructure for a large dimensional spiked covariance model, Statistica Sinica
    2007 (cosines); for equal counts the factor is that of Gavish and Donoho, Optimal shrinkage of singular values, IEEE
    Transactions on Information Theory 2017, equation 7.
    """
    counts, classes = block.counts, len(block.counts)
    values, vectors = torch.linalg.eigh(block.covariance)
    values = values.clamp(min=0)
    shrinkage = max(ledoit_wolf(block.covariance, block.fourth, clips=block.clips), LEAST)
    varies = float(values.sum()) > block.negligible
    shrunk = torch.lerp(values, values.mean(), shrinkage) if varies else torch.ones_like(values)
    noise = values / shrunk * block.clips / max(block.clips - classes, 1)
    whitening = vectors / shrunk.sqrt()
    centre = counts @ block.means / block.clips
    apart = (block.means - centre) @ whitening

    _, lengths, directions = torch.linalg.svd(counts.sqrt()[:, None] * apart, full_matrices=False)
    aspect = len(values) / max(classes - 1, 1)
    found = lengths.square() / max(classes - 1, 1)
    least = max((1 + aspect**0.5) ** 2 * float(noise.max()), _NOTHING * float(found.max()), block.negligible)
    above = found > least
    level = found[above] / noise.mean().clamp(min=_NOTHING * float(found.max())) - 1 - aspect
    signal = (level + (level.square() - 4 * aspect).clamp(min=0).sqrt()) / 2
    squared_cosine = (1 - aspect / signal.square()) / (1 + aspect / signal)
    typical = (block.clips - float(counts.square().sum()) / block.clips) / max(classes - 1, 1)
    kept = squared_cosine * signal / (signal + typical / counts[:, None])

    directions = directions[above]
    moved = (kept * (apart @ directions.T)) @ directions
    weight = moved @ whitening.T
    return weight, -(weight @ centre) - moved.square().sum(dim=1) / 2
