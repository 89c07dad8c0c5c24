"""Statistics of all classes seen, kept instead of exemplars; `discriminant` and `ridge` compute scores from them alone.

They are each class's count and mean, and for each block of the clips' numbers one scatter of all clips about their
class's mean; none depends on the order of the classes or on their split into tasks, but for the rounding to their bits.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from essential.errors import ConfigError, DataError
from essential.memory.ledger import LedgerEntry
from essential.methods.directions import directions_of, leading_directions, packed_signs
from essential.models.closed_form import pack_upper, packed_size, reduced, unpack_upper
from essential.models.growing import Growing, below

# Of a mean squared length: what lies below is the rounding of equal vectors, not variance.
NOTHING = 1e-20
# Under a budget fewer numbers of a block are kept, down to so many, before a block is dropped; see docs/methods.md.
_FEW = 16

Bits = Literal[16, 32, 64]
Scatters = Literal["shared", "class", "none"]
_CODES: dict[int, torch.dtype] = {16: torch.int16, 32: torch.int32, 64: torch.int64}


class Form(NamedTuple):
    """How much is kept: bits of a number, blocks of a vector, numbers of a block."""

    bits: int
    blocks: int
    rank: int


@dataclass(frozen=True)
class Block:
    """The statistics of one block of the vectors' numbers, in float64.

    Attributes:
        counts: clips of each slot.
        means: each slot's mean.
        covariance: pooled, within classes: the scatter by the number of clips.
        fourth: the sum over all clips of |x - mean|^4.
        rounding: what an eigenvalue may be off by, of the variances, because of the bits of the covariance.
    """

    counts: Float[Tensor, " slots"]
    means: Float[Tensor, "slots width"]
    covariance: Float[Tensor, "width width"]
    fourth: float
    rounding: float = 0.0

    @property
    def clips(self) -> int:
        """How many vectors have been added."""
        return int(self.counts.sum())

    @property
    def negligible(self) -> float:
        """The trace of a covariance below which it is rounding: there is no variance at all."""
        return NOTHING * float(self.means.square().sum(dim=1).mean())


class ClassStatistics(Growing):
    """Counts, means and, block by block, scatters within classes of vectors, in the form that there is room for.

    A vector has `blocks` blocks of `width` numbers; nothing is kept of the covariance between two blocks. Numbers are
    integers, of so many bits, and the scales that they are fractions of. A class comes in one task, so nothing is added
    to its mean later.

    A smaller form has fewer bits, the first blocks only, or of each block its products with the first of some
    directions. They are the principal ones of all that was added, every number of them rounded to its sign, made
    orthonormal one after the other. What is added later is reduced alike, so sums stay exact; but the fourth powers are
    taken to fall as the square of the variance.

    Args:
        scatters: one for all classes, each class its own, or none.
        directed: fewer numbers are products with directions; otherwise the first ones, where all are alike.

    Attributes:
        form: what is kept now.
        counts: clips of each slot.
        mean_codes: each slot's means, as fractions of `mean_scales`, the largest number of the slot's block.
        scatter_codes: the upper triangles of the sums over all clips of (x - mean)(x - mean)^T, as fractions of the
            products of the two numbers' `deviations`, the roots of their diagonals: as correlations.
        fourth: for each scatter the sum over all clips of |x - mean|^4.
        signs: of the directions, a bit each.
    """

    grows = ("counts", "mean_codes", "mean_scales", "scatter_codes", "deviations", "fourth", "signs")
    counts: Tensor
    mean_codes: Tensor
    mean_scales: Tensor
    scatter_codes: Tensor
    deviations: Tensor
    fourth: Tensor
    signs: Tensor

    def __init__(
        self, width: int, *, blocks: int = 1, bits: Bits = 32, scatters: Scatters = "shared", directed: bool = True
    ) -> None:
        super().__init__()
        self.scatters, self.directed = scatters, directed
        self.form = self.whole = Form(bits, blocks, width)
        for name, (numbers, dtype) in self._layout(self.form, 0).items():
            self.register_buffer(name, torch.zeros(numbers, dtype=dtype))

    def add(self, classes: Iterable[Float[Tensor, "_ numbers"]]) -> None:
        """Add classes behind the present ones, each given by all its vectors (float64), block after block.

        Raises:
            DataError: sums of them do not fit into float32.
        """
        directions, pooled = self.directions(), self._scatter(0) if self.scatters == "shared" else None
        counts, means, scatters, fourths = [], [], [], []
        for vectors in classes:
            numbers = reduced(vectors, self.form[1:], directions).transpose(0, 1)
            mean = numbers.mean(dim=1)
            counts.append(len(vectors))
            means.append(mean)
            if self.scatters == "none":
                continue
            apart = numbers - mean[:, None]
            fourths.append(apart.square().sum(dim=2).square().sum(dim=1))
            if pooled is None:
                scatters.append(apart.mT @ apart)
            else:
                pooled.baddbmm_(apart.mT, apart)
        if not counts:
            return
        self.counts = torch.cat([self.counts, self.counts.new_tensor(counts)])
        self._append("mean_codes", "mean_scales", self._encoded_means(torch.stack(means)))
        if pooled is not None:
            self.scatter_codes, self.deviations = self._encoded_scatters([pooled])
            self.fourth = self.fourth + torch.stack(fourths).sum(dim=0)
        elif scatters:
            self._append("scatter_codes", "deviations", self._encoded_scatters(scatters))
            self.fourth = torch.cat([self.fourth, *fourths])

    @property
    def means(self) -> Float[Tensor, "slots blocks rank"]:
        """Each slot's mean (float64)."""
        codes = _decoded(self.mean_codes).view(-1, self.form.blocks, self.form.rank)
        return codes * self.mean_scales.double().view(-1, self.form.blocks, 1)

    @property
    def step(self) -> float:
        """Between two fractions that are kept."""
        return 1 / _most(self.form.bits)

    @property
    def rounding(self) -> float:
        """What an eigenvalue of correlations of one block may be off by, because of their bits.

        Independent errors of one step make a matrix whose largest eigenvalue is about the root of four widths.
        """
        return 2 * math.sqrt(self.form.rank) * self.step

    def blocks(self, slot: int | None = None) -> Iterator[Block]:
        """Give the statistics of all classes block by block; with scatters of their own, those of one slot."""
        only = slice(None) if slot is None else slice(slot, slot + 1)
        counts, means, group = self.counts[only].double(), self.means[only], slot or 0
        scatter = self._scatter(group) / max(float(counts.sum()), 1.0)
        fourth = self.fourth.view(-1, self.form.blocks)[group].tolist()
        for index in range(self.form.blocks):
            yield Block(counts, means[:, index], scatter[index], fourth[index], self.rounding)

    def widened(self, weight: Float[Tensor, "slots kept"]) -> Float[Tensor, "slots numbers"]:
        """Return weights of a whole vector's numbers for weights of what is kept of them; the others have weight 0."""
        by_block, directions = weight.unflatten(1, (self.form.blocks, self.form.rank)), self.directions()
        if directions is not None:
            by_block = by_block @ directions.T
        missing = (self.whole.rank - by_block.shape[2], self.whole.blocks - self.form.blocks)
        return nn.functional.pad(by_block, (0, missing[0], 0, missing[1])).flatten(1)

    def fit(self, budget_bytes: int, *, most_blocks: int | None = None) -> None:
        """Take on the largest form in which the classes fit: fewer bits, then fewer numbers, then fewer blocks.

        Where fewer bits do not do, blocks beyond `most_blocks` are given up before numbers.

        Raises:
            ConfigError: none fits.
        """
        refuse_small(budget_bytes, self.least_bytes(len(self.counts)), len(self.counts))
        for form in self._smaller_forms(most_blocks):
            if self.bytes_of(len(self.counts), form) <= budget_bytes:
                if form != self.form:
                    self._take(form)
                return

    def least_bytes(self, classes: int) -> int:
        """Return the bytes of so many classes in the smallest form."""
        return self.bytes_of(classes, Form(16, 1, 1))

    def bytes_of(self, classes: int, form: Form | None = None) -> int:
        """Return the bytes of so many classes, as stored, in the present form or another."""
        layout = self._layout(form or self.form, classes).values()
        return sum(numbers * dtype.itemsize for numbers, dtype in layout)

    def ledger(self) -> list[LedgerEntry]:
        titles = {
            "counts": "class counts",
            "mean_codes": "class means",
            "mean_scales": "scales of means",
            "scatter_codes": "scatter within classes",
            "deviations": "deviations",
            "fourth": "sums of fourth powers",
            "signs": "signs of directions",
        }
        kept = {title: getattr(self, name) for name, title in titles.items() if len(getattr(self, name))}
        return statistics_ledger(kept)

    def take_shape(self, state: Mapping[str, Tensor]) -> None:
        """Take on a state's form; a RuntimeError if it is not one of these statistics."""
        if not state:
            return
        classes, codes = len(state["counts"]), state["mean_codes"]
        form = self.form = self.whole
        if classes:
            blocks = len(state["mean_scales"]) // classes
            bits = form.bits if codes.is_meta else 8 * codes.dtype.itemsize
            form = Form(bits, blocks, len(codes) // max(classes * blocks, 1))
        layout = self._layout(form, classes) if form.bits in _CODES else {}
        given = {name: len(tensor) for name, tensor in state.items()}
        fits = given == {name: numbers for name, (numbers, _) in layout.items()}
        if not fits or not 0 < form.blocks <= self.whole.blocks or not 0 < form.rank <= self.whole.rank:
            raise RuntimeError(f"statistics of {given} numbers are none of vectors of {self.whole}")
        self.form = form
        for name, (numbers, dtype) in layout.items():
            setattr(self, name, getattr(self, name).new_zeros(numbers, dtype=dtype))

    def _layout(self, form: Form, classes: int) -> dict[str, tuple[int, torch.dtype]]:
        """Return the numbers of every buffer, and their type."""
        groups = {"shared": 1, "class": classes, "none": 0}[self.scatters] * form.blocks
        directions = form.rank if self.directed and form.rank < self.whole.rank else 0
        return {
            "counts": (classes, torch.int32),
            "mean_codes": (classes * form.blocks * form.rank, _CODES[form.bits]),
            "mean_scales": (classes * form.blocks, torch.float32),
            "scatter_codes": (groups * packed_size(form.rank), _CODES[form.bits]),
            "deviations": (groups * form.rank, torch.float32),
            "fourth": (groups, torch.float64),
            "signs": (directions * -(-self.whole.rank // 8), torch.uint8),
        }

    def _smaller_forms(self, most_blocks: int | None) -> Iterator[Form]:
        bits, most, rank = self.form
        yield from (Form(fewer, most, rank) for fewer in (64, 32, 16) if fewer <= bits)
        for blocks in range(min(most, most_blocks or most), 0, -1):
            yield from (Form(16, blocks, fewer) for fewer in range(rank, min(_FEW, rank) - 1, -1))
        yield from (Form(16, 1, fewer) for fewer in range(min(_FEW, rank), 0, -1))

    def _take(self, form: Form) -> None:
        """Take on a smaller form."""
        old, turn = deepcopy(self), None
        if form.rank < self.whole.rank and self.directed and not len(self.signs):
            self.signs = packed_signs(self._principal(form.rank))
            turn = self.directions()
        self.form = form
        self.signs = self.signs[: self._layout(form, 0)["signs"][0]]
        # Along directions that are new, or else the first numbers.
        means, groups = old.means[:, : form.blocks], range(len(old.fourth) // old.form.blocks)
        scatters = (old._scatter(group)[: form.blocks] for group in groups)
        if turn is None:
            means, scatters = means[..., : form.rank], (each[:, : form.rank, : form.rank] for each in scatters)
        else:
            means, scatters = means @ turn, (turn.T @ each @ turn for each in scatters)
        self.mean_codes, self.mean_scales = self._encoded_means(means)
        self.scatter_codes, self.deviations = self._encoded_scatters(scatters)
        of_block = [
            each.double().view(-1, shape.rank).square().sum(dim=1).view(-1, shape.blocks)[:, : form.blocks]
            for each, shape in ((self.deviations, form), (old.deviations, old.form))
        ]
        share = of_block[0] / of_block[1].where(of_block[1] > 0, 1.0)
        self.fourth = (old.fourth.view(-1, old.form.blocks)[:, : form.blocks] * share.square()).flatten()

    def _principal(self, number: int) -> Float[Tensor, "width number"]:
        """Return principal directions of all vectors about their mean, all blocks taken together."""
        means, counts = self.means, self.counts.double()
        apart = means - (counts @ means.flatten(1) / counts.sum()).view_as(means[0])
        between = (apart * counts[:, None, None]).flatten(0, 1).T @ apart.flatten(0, 1)
        groups = range(len(self.fourth) // self.form.blocks)
        total = sum((self._scatter(group).sum(dim=0) for group in groups), start=between)
        return leading_directions(total, number)

    def directions(self) -> Float[Tensor, "width rank"] | None:
        """Return what the signs say; None where all numbers are kept."""
        if not len(self.signs):
            return None
        return directions_of(self.signs, self.whole.rank)

    def _scatter(self, group: int) -> Float[Tensor, "blocks rank rank"]:
        """Return the scatters of the clips of all classes, or with scatters of their own of one class."""
        blocks, rank = self.form.blocks, self.form.rank
        scatter = unpack_upper(_decoded(self.scatter_codes.view(-1, blocks, packed_size(rank))[group]))
        scatter += scatter.triu(1).mT
        deviations = self.deviations.view(-1, blocks, rank)[group].double()
        return scatter.mul_(deviations[:, :, None]).mul_(deviations[:, None])

    def _encoded_scatters(self, scatters: Iterable[Float[Tensor, "blocks rank rank"]]) -> tuple[Tensor, Tensor]:
        codes, deviations = [self.scatter_codes[:0].to(_CODES[self.form.bits])], [self.deviations[:0]]
        for scatter in scatters:
            deviation = _at_least(scatter.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt())
            by = deviation.double().where(deviation > 0, 1.0)
            correlations = pack_upper(scatter / by[:, :, None] / by[:, None])
            codes.append(_encoded(correlations, self.form.bits).flatten())
            deviations.append(deviation.flatten())
        return torch.cat(codes), torch.cat(deviations)

    def _encoded_means(self, means: Float[Tensor, "new blocks rank"]) -> tuple[Tensor, Tensor]:
        scales = _at_least(means.abs().amax(dim=2))
        fractions = means / scales.double().where(scales > 0, 1.0)[..., None]
        return _encoded(fractions, self.form.bits).flatten(), scales.flatten()

    def _append(self, codes: str, scales: str, new: tuple[Tensor, Tensor]) -> None:
        for name, tensor in zip((codes, scales), new, strict=True):
            setattr(self, name, torch.cat([getattr(self, name), tensor]))

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *args: Any, **kwargs: Any) -> None:
        own = below(prefix, state_dict)
        if "scatter" in own:
            state_dict = {f"{prefix}{name}": value for name, value in self._of_version_0_1(own).items()}
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _of_version_0_1(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the state for one that holds means and one scatter in floating point."""
        layout = self._layout(self.whole, len(state["counts"]))
        if state["scatter"].is_meta:
            return {name: state["counts"].new_zeros(numbers) for name, (numbers, _) in layout.items()}
        encoded = deepcopy(self)
        encoded.form = self.whole
        upper = unpack_upper(state["scatter"])[None]
        encoded.mean_codes, encoded.mean_scales = encoded._encoded_means(state["means"].double()[:, None])
        encoded.scatter_codes, encoded.deviations = encoded._encoded_scatters([upper + upper.triu(1).mT])
        return {**encoded.state_dict(), "counts": state["counts"], "fourth": state["fourth"]}


def _at_least(numbers: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    # A scale in float32 is not below what it scales.
    scales: Tensor = (numbers * (1 + 2**-22)).float()
    if not scales.isfinite().all():
        raise DataError(
            "features are so large that statistics of them leave float32",
            remedy="divide all features by one number, such as 1e10",
        )
    return scales


def _encoded(fractions: Float[Tensor, "*any"], bits: int) -> Int[Tensor, "*any"]:
    most = _most(bits)
    return (fractions * most).round().clamp(-most, most).to(_CODES[bits])


def _decoded(codes: Int[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    return codes.double() / _most(8 * codes.dtype.itemsize)


def _most(bits: int) -> int:
    # What float64 holds exactly: more than 53 bits are in no number here.
    most: int = 2 ** (min(bits, 54) - 1) - 1
    return most


def refuse_small(budget_bytes: int, least: int, classes: int) -> None:
    """Raise a ConfigError if the smallest statistics of so many classes, `least` bytes, do not fit."""
    if least > budget_bytes:
        raise ConfigError(
            f"{budget_bytes} bytes do not hold {classes} classes, whose smallest statistics take {least}",
            where="method.budget_bytes",
            remedy=f"give {least} or more; every further class takes more",
        )


def statistics_ledger(kept: Mapping[str, Tensor]) -> list[LedgerEntry]:
    """Return an entry for each tensor that is kept instead of exemplars; no paper's memory figure counts such."""
    return [LedgerEntry("statistics", name, tensor.nbytes, in_paper_figure=False) for name, tensor in kept.items()]
