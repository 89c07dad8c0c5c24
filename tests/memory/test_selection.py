"""Which clips are kept: every rule against a plain loop that follows its source word for word."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from essential.memory.selection import (
    herded_clips,
    most_confident_clips,
    nearest_to_mean_clips,
    uniform_positions,
)

SLOTS = torch.tensor([3, 1, 3, 1, 1, 3, 3, 1, 3, 7])


def tokens(seed: int = 0) -> Tensor:
    return torch.randn(len(SLOTS), 6, generator=torch.Generator().manual_seed(seed)) + 1


def _members(slot: int) -> list[int]:
    return [index for index, each in enumerate(SLOTS.tolist()) if each == slot]


def _unit(rows: Tensor) -> list[Tensor]:
    return [row / row.pow(2).sum().sqrt() for row in rows]


def _herding(rows: Tensor, slot: int, count: int) -> list[int]:
    """iCaRL, algorithm 4: p_k is the clip that brings the mean of p_1..p_k nearest to the class mean."""
    unit, left, picked = _unit(rows), _members(slot), []
    mean = sum(unit[i] for i in left) / len(left)
    while left and len(picked) < count:
        best = min(left, key=lambda i: float(((sum(unit[j] for j in [*picked, i]) / (len(picked) + 1)) - mean).norm()))
        picked.append(best)
        left.remove(best)
    return picked


def _nearest(rows: Tensor, slot: int, count: int) -> list[int]:
    unit, members = _unit(rows), _members(slot)
    mean = sum(unit[i] for i in members) / len(members)
    return sorted(members, key=lambda i: -float(unit[i] @ mean))[:count]


@pytest.mark.parametrize(("rule", "brute"), [(herded_clips, _herding), (nearest_to_mean_clips, _nearest)])
@pytest.mark.parametrize("count", [1, 3, 9])
def test_rules_by_tokens(rule: Callable[..., Tensor], brute: Callable[..., list[int]], count: int) -> None:
    for seed in range(5):
        expected = [i for slot in (1, 3, 7) for i in brute(tokens(seed), slot, count)]
        assert rule(tokens(seed), SLOTS, count).tolist() == expected


def test_herding_is_not_nearest_to_mean() -> None:
    differ = [
        herded_clips(tokens(s), SLOTS, 3).tolist() != nearest_to_mean_clips(tokens(s), SLOTS, 3).tolist()
        for s in range(5)
    ]
    assert any(differ)


def test_herding_keeps_its_order_when_it_keeps_fewer() -> None:
    many, few = herded_clips(tokens(), SLOTS, 4), herded_clips(tokens(), SLOTS, 2)
    first = [index for slot in (1, 3, 7) for index in [i for i in many.tolist() if SLOTS[i] == slot][:2]]
    assert few.tolist() == first


def test_the_most_confident_are_those_with_the_highest_logit_of_their_own_class() -> None:
    logits = torch.randn(len(SLOTS), 8, generator=torch.Generator().manual_seed(1))
    expected = [i for slot in (1, 3, 7) for i in sorted(_members(slot), key=lambda i, s=slot: -float(logits[i, s]))[:2]]
    assert most_confident_clips(logits, SLOTS, 2).tolist() == expected


@pytest.mark.parametrize(
    ("kept", "frames", "expected"),
    [
        (1, 8, [4]),
        (2, 8, [2, 6]),
        (4, 8, [1, 3, 5, 7]),
        (8, 8, list(range(8))),
        (8, 2, [0] * 4 + [1] * 4),
        (3, 8, [1, 4, 6]),
    ],
)
def test_uniform_positions_are_the_middles_of_equal_segments(kept: int, frames: int, expected: list[int]) -> None:
    assert uniform_positions(kept, frames).tolist() == expected
