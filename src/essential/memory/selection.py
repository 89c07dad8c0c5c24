"""Which clips and which of their frames the memory keeps.

Every rule returns indices of clips, classes in ascending order and the best first within a class, so that a memory
that has to shrink keeps the first ones.
"""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Policy = Literal["random", "reservoir", "herding", "nearest-to-mean", "highest-confidence"]


def random_clips(slots: Int[Tensor, " clips"], per_class: int, *, generator: torch.Generator) -> Int[Tensor, " chosen"]:
    """Choose at most `per_class` clips of every class at random, as ESSENTIAL does."""
    shuffled = torch.randperm(len(slots), generator=generator)
    chosen = [shuffled[slots[shuffled] == slot][:per_class] for slot in slots.unique()]
    return torch.cat(chosen) if chosen else shuffled


def herded_clips(
    tokens: Float[Tensor, "clips dim"], slots: Int[Tensor, " clips"], per_class: int
) -> Int[Tensor, " chosen"]:
    """Choose clips one by one so that the mean of the chosen stays nearest to the class mean.

    Source: Rebuffi et al., iCaRL, CVPR 2017, algorithm 4, on L2-normalised tokens.
    """

    def order(normalised: Tensor) -> Tensor:
        mean, total = normalised.mean(dim=0), torch.zeros_like(normalised[0])
        free = torch.ones(len(normalised), dtype=torch.bool, device=normalised.device)
        picked: list[int] = []
        for count in range(1, min(per_class, len(normalised)) + 1):
            distances = (mean - (total + normalised) / count).norm(dim=1)
            best = int(torch.where(free, distances, torch.inf).argmin())
            picked.append(best)
            free[best] = False
            total = total + normalised[best]
        return torch.tensor(picked)

    return _class_by_class(torch.nn.functional.normalize(tokens, dim=1), slots, order)


def nearest_to_mean_clips(
    tokens: Float[Tensor, "clips dim"], slots: Int[Tensor, " clips"], per_class: int
) -> Int[Tensor, " chosen"]:
    """Choose the clips whose L2-normalised token has the largest inner product with the class mean: TCD's "herding"."""

    def order(normalised: Tensor) -> Tensor:
        return (normalised @ normalised.mean(dim=0)).argsort(descending=True, stable=True)[:per_class]

    return _class_by_class(torch.nn.functional.normalize(tokens, dim=1), slots, order)


def most_confident_clips(
    logits: Float[Tensor, "clips slots"], slots: Int[Tensor, " clips"], per_class: int
) -> Int[Tensor, " chosen"]:
    """Choose the clips with the highest logit of their own class.

    Source: a routine in ESSENTIAL's code (`save_rehearsal_from_selected_frame_in_training`).
    """
    own = logits.gather(1, slots.to(logits.device)[:, None])
    return _class_by_class(own, slots, lambda rows: rows[:, 0].argsort(descending=True, stable=True)[:per_class])


def random_positions(
    clips: int, *, kept: int, frames: int, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Int[Tensor, "clips kept"]:
    """Draw for every clip `kept` positions of `frames`, ascending; without `generator`, by torch's of `device`."""
    order = torch.rand(clips, frames, generator=generator, device=device).argsort(dim=1)
    return order[:, :kept].sort(dim=1).values


def uniform_positions(kept: int, frames: int) -> Int[Tensor, " kept"]:
    """Return the centres of `kept` equal segments of `frames` positions, as vCLIMB; with more `kept` they repeat."""
    return ((2 * torch.arange(kept) + 1) * frames) // (2 * kept)


def _class_by_class(
    rows: Tensor, slots: Int[Tensor, " clips"], order: Callable[[Tensor], Tensor]
) -> Int[Tensor, " chosen"]:
    chosen = []
    for slot in slots.unique():
        members = (slots == slot).nonzero()[:, 0]
        chosen.append(members[order(rows[members.to(rows.device)]).cpu()])
    return torch.cat(chosen) if chosen else torch.zeros(0, dtype=torch.long)
