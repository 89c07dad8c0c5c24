from pathlib import Path

import pytest
import torch

from essential.errors import CheckpointError, ConfigError
from essential.memory.budget import Budget
from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import total_by_kind
from essential.memory.selection import random_clips, random_positions


def make_memory(per_class: int = 4, classes: int = 3, kept: int = 2, dim: int = 16) -> EpisodicMemory:
    count = per_class * classes
    generator = torch.Generator().manual_seed(0)
    return EpisodicMemory(
        torch.randn(count, kept, dim, generator=generator),
        random_positions(count, kept=kept, frames=8, generator=generator),
        torch.arange(classes).repeat_interleave(per_class),
        torch.arange(classes).repeat_interleave(per_class) // 2,
        tuple(f"klasse ü\n{index}.mp4" for index in range(count)),
    )


def same(a: EpisodicMemory, b: EpisodicMemory) -> bool:
    tensors = ("features", "positions", "slots", "tasks")
    return a.names == b.names and all(torch.equal(getattr(a, name), getattr(b, name)) for name in tensors)


def test_the_file_gives_back_the_memory_and_has_the_bytes_that_the_ledger_counts(tmp_path: Path) -> None:
    memory = make_memory()
    size = memory.write(tmp_path / "m.safetensors")
    assert same(memory, EpisodicMemory.read(tmp_path / "m.safetensors"))
    assert size == (tmp_path / "m.safetensors").stat().st_size == memory.stored_bytes
    assert total_by_kind(memory.ledger())["total"] == size
    counted = {entry.name: entry.bytes for entry in memory.ledger()}
    assert counted["frame features"] == 12 * 2 * 16 * 4
    assert [entry.name for entry in memory.ledger() if entry.in_paper_figure] == ["frame features"]


def test_the_papers_figure_for_ssv2() -> None:
    # 174 classes x 4 clips x 4 frames x 768 x 4 bytes = 8.156 MiB; with 10 tasks' prompts 8.39, with 19 tasks' 8.60.
    exemplars = 174 * 4
    memory = EpisodicMemory(
        torch.zeros(exemplars, 4, 768),
        torch.zeros(exemplars, 4, dtype=torch.long),
        torch.arange(174).repeat_interleave(4),
        torch.zeros(exemplars, dtype=torch.long),
        ("v",) * exemplars,
    )
    features = sum(entry.bytes for entry in memory.ledger() if entry.in_paper_figure)
    prompts = 8 * 768 * 4
    assert round((features + 10 * prompts) / 2**20, 2) == 8.39
    assert round((features + 19 * prompts) / 2**20, 2) == 8.60


def test_an_empty_memory_survives_the_file_and_costs_nothing(tmp_path: Path) -> None:
    memory = EpisodicMemory.empty(kept=2, dim=16)
    memory.write(tmp_path / "m.safetensors")
    assert same(memory, EpisodicMemory.read(tmp_path / "m.safetensors"))
    assert memory.ledger() == []


def test_extending_keeps_both_in_order() -> None:
    first, second = make_memory(), make_memory(per_class=1)
    both = first.extended(second)
    assert both.names == first.names + second.names
    assert torch.equal(both.features[12:], second.features)
    assert len(first) == 12


def test_the_budget_is_as_full_as_an_equal_quota_allows() -> None:
    memory = make_memory(per_class=9)
    for budget in range(memory.at_most_per_class(1).stored_bytes, memory.stored_bytes + 100, 97):
        kept = Budget(bytes=budget).with_equal_quotas(memory)
        quotas = [quota for quota in range(1, 10) if memory.at_most_per_class(quota).stored_bytes <= budget]
        assert kept.stored_bytes <= budget
        assert kept.slots.bincount().tolist() == [max(quotas)] * 3
        assert kept.names[0] == memory.names[0]


def test_a_budget_too_small_for_one_exemplar_per_class_says_what_is_needed() -> None:
    memory = make_memory()
    needed = memory.at_most_per_class(1).stored_bytes
    with pytest.raises(ConfigError, match=rf"leaves 500 bytes.* 3 classes takes {needed}; raise"):
        Budget(bytes=500).with_equal_quotas(memory)


def test_a_damaged_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    make_memory().write(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"m\.safetensors is damaged"):
        EpisodicMemory.read(path)


def test_random_clips_takes_what_there_is_of_each_class_without_repeats() -> None:
    slots = torch.tensor([5, 2, 5, 5, 2, 9, 5])
    chosen = random_clips(slots, 2, generator=torch.Generator().manual_seed(1))
    assert slots[chosen].tolist() == [2, 2, 5, 5, 9]
    assert len(set(chosen.tolist())) == 5
    picks = {tuple(random_clips(slots, 1, generator=torch.Generator().manual_seed(s)).tolist()) for s in range(40)}
    assert len(picks) == 2 * 4 * 1


def test_random_positions_are_sorted_different_and_cover_everything() -> None:
    positions = random_positions(500, kept=3, frames=8, generator=torch.Generator().manual_seed(0))
    assert (positions[:, 1:] > positions[:, :-1]).all()
    assert positions.unique().tolist() == list(range(8))
    # All 56 subsets should turn up about equally often.
    assert len({tuple(row) for row in positions.tolist()}) == 56


def test_a_class_is_taken_out_whole() -> None:
    slots = torch.tensor([0, 1, 0, 2])
    memory = EpisodicMemory(
        torch.arange(8.0).reshape(4, 1, 2), torch.zeros(4, 1, dtype=torch.long), slots, slots, ("a", "b", "c", "d")
    )
    left = memory.without(0)
    assert left.names == ("b", "d")
    assert left.slots.tolist() == [1, 2]
    assert torch.equal(left.features, memory.features[[1, 3]])
    assert len(memory.without(7)) == 4


@pytest.mark.usefixtures("shapes_checked_elsewhere")
def test_a_memory_refuses_shapes_that_do_not_fit_each_other() -> None:
    two, three = torch.zeros(2, dtype=torch.long), torch.zeros(3, dtype=torch.long)
    with pytest.raises(ValueError, match=r"features of shape \(2, 1, 4\) beside \[\(2, 1\), \(3,\), \(2,\)\]"):
        EpisodicMemory(torch.zeros(2, 1, 4), torch.zeros(2, 1, dtype=torch.long), three, two, ("a", "b"))
