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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from essential.configs.schema import Section
from essential.errors import ConfigError
from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import LedgerEntry
from essential.memory.quantiser import rotated
from essential.methods.contract import BatchTable, Method, TaskData
from essential.methods.statistics import Block, ClassStatistics, damped_discriminant, statistics_ledger
from essential.models.classifier import Predictor
from essential.models.closed_form import cosines, packed_size
from essential.models.growing import below

# How much there is of each where a budget allows it: see docs/spectral.md.
_COEFFICIENTS, _RANK = 4, 16
# Coefficients are given up before a frame has fewer numbers than these.
_WIDTH = 24
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
    """How much of a clip is seen: `coefficients` of `width` numbers each, and the areas between `rank` numbers."""

    coefficients: int
    width: int
    rank: int

    @classmethod
    def largest(cls, *, dim: int, frames: int) -> "Form":
        """Return the form without a budget."""
        return cls(min(_COEFFICIENTS, frames), dim, min(_RANK, dim) if min(frames, dim) > 1 else 0)

    @property
    def areas(self) -> int:
        return self.rank * (self.rank - 1) // 2

    def bytes(self, *, dim: int, classes: int) -> int:
        """Return the bytes of all that is kept of so many classes, whose frames have `dim` numbers."""
        return self._bytes_of_spectra(classes) + self._bytes_of_areas(dim, classes)

    def within(self, budget: int, *, dim: int, classes: int) -> "Form":
        """Return the largest form within the budget, on a way down from this one, or else the smallest of all.

        Areas take half of the budget at most. More classes never lead to more of anything.
        """
        rank, form = self.rank, self
        while form.rank and form._bytes_of_areas(dim, classes) > budget // 2:
            rank = rank - 1 if rank > 2 else 0
            form = Form(self.coefficients, self.width, rank)
        room = max(budget - self._bytes_of_areas(dim, classes), budget // 2 if rank else budget)
        while form._bytes_of_spectra(classes) > room and form != SMALLEST:
            fewer = form.width <= _WIDTH and form.coefficients > 1
            form = Form(form.coefficients - fewer, form.width - (not fewer), rank)
        return form

    def _bytes_of_spectra(self, classes: int) -> int:
        return _bytes_of_statistics(self.width, blocks=self.coefficients, classes=classes)

    def _bytes_of_areas(self, dim: int, classes: int) -> int:
        directions = self.rank * (dim + 4 + 4)
        return directions + _bytes_of_statistics(self.areas, blocks=1, classes=classes) if self.rank else 0


SMALLEST = Form(1, 1, 0)


def _bytes_of_statistics(width: int, *, blocks: int, classes: int) -> int:
    """Return the bytes of `ClassStatistics` in 16 bits."""
    return 8 * classes + blocks * (2 * (classes * width + packed_size(width)) + 4 * (classes + width) + 8)


class SpectralScores(Predictor):
    """Scores that are linear in a clip's spectrum and in its areas, computed in float64.

    Attributes:
        weights: of each coefficient, the slowest first: of the first numbers of a frame after a fixed rotation, or of
            all numbers as they are.
        area_weights: of the areas between the numbers (0, 1), (0, 2), ... of those along `directions`.
        directions: of task 1's frames, in 8 bits; each times its scale.
        origins: what is taken off the numbers along them.
    """

    reading = "closed-form"
    grows = ("weights", "area_weights", "bias")
    weights: Tensor
    area_weights: Tensor
    bias: Tensor
    directions: Tensor
    scales: Tensor
    origins: Tensor
    over_time: Tensor
    rotation: Tensor
    pairs: Tensor

    def __init__(self, form: Form, *, dim: int, frames: int) -> None:
        super().__init__()
        self.dim, self.frames = dim, frames
        for name in ("weights", "area_weights", "bias"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))
        self.register_buffer("directions", torch.zeros(dim, form.rank, dtype=torch.int8))
        for name in ("scales", "origins"):
            self.register_buffer(name, torch.zeros(form.rank))
        for name in ("over_time", "rotation", "pairs"):
            self.register_buffer(name, torch.zeros(0), persistent=False)
        self.see(form)

    def see(self, form: Form) -> None:
        """See clips in another form, which may have fewer directions, and score no slot until `set`."""
        self.form, number = form, self.bias.new_zeros
        self.weights, self.area_weights = number(0, form.coefficients, form.width), number(0, form.areas)
        self.bias = number(0)
        self.directions, self.scales = self.directions[:, : form.rank].clone(), self.scales[: form.rank].clone()
        self.origins = self.origins[: form.rank].clone()
        self.over_time = cosines(self.frames)[: form.coefficients].to(self.bias)
        every = torch.eye(self.dim, dtype=torch.float64, device="cpu")
        turned = every if form.width == self.dim else rotated(every, _ROTATION)[:, : form.width]
        self.rotation = turned.to(self.bias)
        first, second = torch.triu_indices(form.rank, form.rank, 1, device="cpu")
        self.pairs = (first * form.rank + second).to(self.bias.device)

    def look_along(self, directions: Float[Tensor, "dim rank"], origin: Float[Tensor, " dim"]) -> None:
        """Use these directions, in 8 bits, for areas about an origin."""
        # All buffers are laid out as a state that is loaded: otherwise the same numbers may give other roundings.
        scales = directions.abs().amax(dim=0) / _LARGEST_CODE
        self.scales = scales.to(self.scales)
        codes = directions / self.scales.double().where(self.scales > 0, 1.0)
        self.directions = codes.round().clamp(-_LARGEST_CODE, _LARGEST_CODE).to(self.directions).contiguous()
        self.origins = (origin @ self._directions()).to(self.origins)

    def seen(
        self, features: Float[Tensor, "batch frames dim"]
    ) -> tuple[Float[Tensor, "batch coefficients width"], Float[Tensor, "batch areas"]]:
        """Return the spectra and the areas of dense clips."""
        frames = features.double()
        spectra = self.over_time @ frames
        if self.form.width < self.dim:
            spectra = spectra @ self.rotation
        along = frames @ self._directions() - self.origins
        products = along[:, :-1].mT @ along[:, 1:]
        return spectra, (products - products.mT).flatten(1).index_select(1, self.pairs)

    def set(self, blocks: Sequence[Linear]) -> None:
        """Score with weight and bias of every coefficient and of the areas, if there are such; a row per slot."""
        weights, biases = zip(*blocks, strict=True)
        self.weights = torch.stack(weights[: self.form.coefficients], dim=1)
        self.bias = torch.stack(biases).sum(dim=0)
        self.area_weights = (weights[-1] if self.form.areas else self.weights.new_zeros(len(self.bias), 0)).contiguous()

    def forward(self, features: Float[Tensor, "batch frames dim"]) -> Float[Tensor, "batch slots"]:
        spectra, areas = self.seen(features)
        return spectra.flatten(1) @ self.weights.flatten(1).T + areas @ self.area_weights.T + self.bias

    def take_shape(self, state: Mapping[str, Tensor]) -> None:
        """Take on the form that a state is of, and its slots."""
        form = form_of(state)
        if form is not None and form != self.form:
            self.directions = self.directions.new_zeros(self.dim, form.rank)
            self.scales, self.origins = self.scales.new_zeros(form.rank), self.origins.new_zeros(form.rank)
            self.see(form)
        super().take_shape(state)

    def _directions(self) -> Float[Tensor, "dim rank"]:
        return self.directions.double() * self.scales.double()


def form_of(state: Mapping[str, Tensor]) -> Form | None:
    """Return the form of the scores whose state it is, by its shapes; None if it is none of such scores."""
    weights, directions = state.get("weights"), state.get("directions")
    if weights is None or directions is None or (weights.ndim, directions.ndim) != (3, 2):
        return None
    return Form(weights.shape[1], weights.shape[2], directions.shape[1])


class Spectral(Method):
    Config = SpectralConfig

    draws_nothing = True

    def __init__(self, config: SpectralConfig, *, dim: int, frames: int, seed: int) -> None:
        self.config, self.dim = config, dim
        self.scores = SpectralScores(Form.largest(dim=dim, frames=frames), dim=dim, frames=frames)
        super().__init__(self.scores, EpisodicMemory.empty(kept=frames, dim=dim), seed=seed)
        self._begin_statistics()

    def check_room(self, names: Sequence[str], *, tasks: int) -> None:  # noqa: ARG002
        self._refuse_too_many(len(names))

    def begin(self, task: TaskData) -> None:
        """Cut what is kept to make room for the task's classes."""
        budget, classes = self.config.budget_bytes, task.slots.stop
        self._refuse_too_many(classes)
        self.slots.append(task.slots)
        if budget is not None:
            self._cut(self.scores.form.within(budget, dim=self.dim, classes=classes))

    def finish(self, task: TaskData) -> None:
        """Add the task's classes to the statistics, and compute the scores of all classes anew."""
        table = task.plain()
        if len(self.slots) == 1 and self.scores.form.rank:
            self.scores.look_along(*principal_directions(table, self.scores.form.rank, self.scores.bias.device))
        areas: list[Float[Tensor, "clips areas"]] = []

        def spectra() -> Iterator[Float[Tensor, "clips numbers"]]:
            for slot in task.slots:
                clips = (table.slots == slot).nonzero()[:, 0]
                spectra, own = self.scores.seen(table.rows(clips).to(self.scores.bias.device).features)
                areas.append(own)
                yield spectra.flatten(1)

        self.spectra.add(spectra())
        if self.areas is not None:
            self.areas.add(areas)
        self._solve()

    def ledger(self) -> list[LedgerEntry]:
        scores, entries = self.scores, self.spectra.ledger()
        if self.areas is not None:
            along = {"directions": scores.directions, "scales": scores.scales, "origins": scores.origins}
            entries += [replace(entry, name=f"areas: {entry.name}") for entry in self.areas.ledger()]
            entries += statistics_ledger({f"areas: {name}": tensor for name, tensor in along.items()})
        return entries

    def resize(self, state: Mapping[str, Tensor]) -> None:
        """Take on the form that a state was cut to."""
        before = self.scores.form
        self.scores.take_shape(below("predictor.", state))
        if self.scores.form != before:
            self._begin_statistics()

    def _begin_statistics(self) -> None:
        """Have statistics of no class, in the form of the scores."""
        form, device = self.scores.form, self.scores.bias.device
        self.spectra = ClassStatistics(form.width, blocks=form.coefficients, bits=_BITS).to(device)
        self.areas = ClassStatistics(form.areas, bits=_BITS).to(device) if form.areas else None
        self.network["spectra"] = self.spectra
        self.network.drop("areas")
        if self.areas is not None:
            self.network["areas"] = self.areas

    def _cut(self, form: Form) -> None:
        before = self.scores.form
        if form == before:
            return
        self.scores.see(form)
        self.spectra.cut(form.coefficients, torch.arange(form.width))
        if self.areas is not None and form.areas:
            first, second = torch.triu_indices(before.rank, before.rank, 1)
            self.areas.cut(1, ((first < form.rank) & (second < form.rank)).nonzero()[:, 0])
        elif self.areas is not None:
            self.areas = None
            self.network.drop("areas")
        if len(self.spectra.counts):
            self._solve()

    def _solve(self) -> None:
        blocks = [*self.spectra.blocks(), *([] if self.areas is None else self.areas.blocks())]
        solved = [spiked_discriminant(block, block.invertible()) for block in blocks]
        if not any(bool(weight.any()) for weight, _ in solved):
            solved = [damped_discriminant(block, block.invertible()) for block in blocks]
        self.scores.set(solved)

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


def spiked_discriminant(block: Block, covariance: Float[Tensor, "width width"]) -> Linear:
    """Return weight and bias of a linear discriminant with means cleaned of noise; all 0 where they show nothing else.

    In numbers whitened by `covariance`, the means m_c about their centre, each times the root of its class's count n_c,
    are signal of low rank and noise of one variance per direction. With g = width / (classes - 1), noise of variance 1
    alone has no direction of variance above (1 + sqrt(g))^2; a direction of signal b n, n a typical count, has the
    variance (1 + b n)(1 + g / (b n)), and the squared cosine (1 - g / (b n)^2) / (1 + g / (b n)) with the one found.
    Along each direction above the largest noise, class c's mean keeps the cosine's square times b / (b + 1 / n_c).

    Sources: Baik and Silverstein, Eigenvalues of large sample covariance matrices of spiked population models, JMVA
    2006; Paul, Asymptotics of sample eigenstructure for a large dimensional spiked covariance model, Statistica Sinica
    2007 (cosines); for equal counts the factor is that of Gavish and Donoho, Optimal shrinkage of singular values, IEEE
    Transactions on Information Theory 2017, equation 7.
    """
    counts, classes = block.counts, len(block.counts)
    centre = counts @ block.means / block.clips
    factor = torch.linalg.cholesky(covariance)
    apart = torch.linalg.solve_triangular(factor, (block.means - centre).T, upper=False).T
    half = torch.linalg.solve_triangular(factor, block.covariance, upper=False)
    variances = torch.linalg.eigvalsh(torch.linalg.solve_triangular(factor, half.T, upper=False)).clamp(min=0)
    noise = variances * block.clips / max(block.clips - classes, 1)

    _, lengths, directions = torch.linalg.svd(counts.sqrt()[:, None] * apart, full_matrices=False)
    aspect = len(factor) / max(classes - 1, 1)
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
    weight = torch.linalg.solve_triangular(factor.T, moved.T, upper=True).T
    return weight, -(weight @ centre) - moved.square().sum(dim=1) / 2
