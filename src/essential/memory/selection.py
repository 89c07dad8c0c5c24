"""Which clips and which of their frames the memory keeps."""

import torch
from jaxtyping import Int
from torch import Tensor


def random_clips(slots: Int[Tensor, " clips"], per_class: int, *, generator: torch.Generator) -> Int[Tensor, " chosen"]:
    """Choose at most `per_class` clips of every class at random, as ESSENTIAL does; classes in ascending order."""
    shuffled = torch.randperm(len(slots), generator=generator)
    chosen = [shuffled[slots[shuffled] == slot][:per_class] for slot in slots.unique()]
    return torch.cat(chosen) if chosen else shuffled


def random_positions(clips: int, *, kept: int, frames: int, generator: torch.Generator) -> Int[Tensor, "clips kept"]:
    """Draw for every clip `kept` different positions of `frames`, in ascending order."""
    order = torch.rand(clips, frames, generator=generator).argsort(dim=1)
    return order[:, :kept].sort(dim=1).values
