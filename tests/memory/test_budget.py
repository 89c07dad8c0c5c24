"""Caps of a memory: never passed, and as full as they allow."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from essential.errors import ConfigError
from essential.memory.budget import Budget, even_quotas
from essential.memory.episodic import EpisodicMemory


def memory_of(counts: list[int], kept: int = 2, dim: int = 4) -> EpisodicMemory:
    slots = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    slots = slots[torch.randperm(len(slots), generator=torch.Generator().manual_seed(0))]
    total = len(slots)
    return EpisodicMemory(
        torch.randn(total, kept, dim),
        torch.zeros(total, kept, dtype=torch.long),
        slots,
        torch.zeros(total, dtype=torch.long),
        tuple(f"clip {index:03}" for index in range(total)),
    )


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_an_equal_quota_is_the_total_by_the_classes(counts: list[int], total: int) -> None:
    memory, budget = memory_of(counts), Budget(exemplars=total)
    if total < len(counts):
        with pytest.raises(ConfigError, match=rf"leaves {total} exemplars.*{len(counts)} classes takes {len(counts)}"):
            budget.with_equal_quotas(memory)
        return
    kept = budget.with_equal_quotas(memory).slots.bincount().tolist()
    assert kept == [min(total // len(counts), count) for count in counts]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(5, 50))
@settings(max_examples=60, deadline=None)
def test_balanced_quotas_use_all_there_is_and_differ_by_one_at_most(counts: list[int], total: int) -> None:
    memory = memory_of(counts)
    kept = Budget(exemplars=total).with_balanced_quotas(memory).slots.bincount().tolist()
    assert sum(kept) == min(total, sum(counts))
    # A class with clips left over has as many as any other, or one less.
    cut = [number for number, count in zip(kept, counts, strict=True) if number < count]
    assert all(number >= max(kept) - 1 for number in cut)


def test_quotas_against_handing_out_one_by_one() -> None:
    counts = torch.tensor([3, 0, 7, 1, 5])
    for total in range(20):
        quotas = [0] * 5
        for _ in range(min(total, 16)):
            takers = [slot for slot in range(5) if quotas[slot] < counts[slot]]
            quotas[min(takers, key=lambda slot: (quotas[slot], slot))] += 1
        assert even_quotas(counts, total).tolist() == quotas


def test_the_first_exemplars_of_each_class_are_kept_in_their_order() -> None:
    memory = memory_of([5, 5])
    kept = Budget(per_class=2).with_equal_quotas(memory)
    for slot in (0, 1):
        names = [name for name, each in zip(memory.names, memory.slots.tolist(), strict=True) if each == slot]
        assert [n for n, each in zip(kept.names, kept.slots.tolist(), strict=True) if each == slot] == names[:2]


@pytest.mark.parametrize(
    ("budget", "quota"), [(Budget(frames=13), 3), (Budget(frames=13, per_class=2), 2), (Budget(exemplars=7), 3)]
)
def test_all_caps_hold_together(budget: Budget, quota: int) -> None:
    assert budget.with_equal_quotas(memory_of([9, 9])).slots.bincount().tolist() == [quota, quota]


def test_bytes_are_those_of_the_file(tmp_path) -> None:
    memory = memory_of([9, 9, 2])
    for cap in range(memory.at_most_per_class(1).stored_bytes, memory.stored_bytes, 101):
        for cut in (Budget(bytes=cap).with_equal_quotas(memory), Budget(bytes=cap).with_balanced_quotas(memory)):
            assert cut.write(tmp_path / "m.safetensors") <= cap
            assert len(cut.slots.unique()) == 3


def test_every_cap_that_is_too_small_is_named() -> None:
    with pytest.raises(ConfigError) as failure:
        Budget(exemplars=1, frames=3, bytes=10).with_equal_quotas(memory_of([2, 2]))
    where, _, message = str(failure.value).partition(": ")
    assert where == "method.budget_bytes and total_frames and total_exemplars"
    assert all(f"{cap} {unit}" in message for cap, unit in ((10, "bytes"), (3, "frames"), (1, "exemplars")))
    assert message.endswith("raise them")


@pytest.mark.parametrize(
    ("budget", "classes", "share"),
    [
        (Budget(), 4, None),
        (Budget(per_class=5), 4, 5),
        (Budget(exemplars=20), 4, 5),
        (Budget(exemplars=20), 1, 20),
        (Budget(frames=41, per_class=9), 4, 5),
        (Budget(bytes=8000), 4, 20),
        (Budget(exemplars=2), 4, 1),
    ],
)
def test_each_class_has_its_share(budget: Budget, classes: int, share: int | None) -> None:
    # The features of an exemplar have 2 x 12 x 4 bytes; in 4 bits, and a scale per frame, 2 x (6 + 2).
    assert budget.quota(classes, EpisodicMemory.empty(kept=2, dim=12)) == share
    if budget.bytes is not None:
        assert budget.quota(classes, EpisodicMemory.empty(kept=2, dim=12, bits=4)) == budget.bytes // 16 // classes


def test_no_class_has_more_than_its_share_where_others_have_too_few() -> None:
    assert Budget(exemplars=10).with_equal_quotas(memory_of([2, 20])).slots.bincount().tolist() == [2, 5]
    assert Budget(exemplars=30).with_equal_quotas(memory_of([2, 20])).slots.bincount().tolist() == [2, 15]
