"""Exemplars in few bits: the file, the ledger, the budget and the codes that stay what they were."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from essential.errors import CheckpointError
from essential.files.sealed import Array
from essential.memory.budget import Budget
from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import total_by_kind
from essential.memory.packing import PACKED, Bits
from essential.memory.quantiser import levels, rotated

KEPT, DIM = 3, 21


def arrived(classes: range, per_class: int = 4, *, dim: int = DIM, logits: int = 0) -> EpisodicMemory:
    """Return exemplars as a task gives them, far from zero, as an encoder's features are."""
    count = per_class * len(classes)
    generator = torch.Generator().manual_seed(classes.start)
    slots = torch.arange(classes.start, classes.stop).repeat_interleave(per_class)
    return EpisodicMemory(
        5 + torch.randn(count, KEPT, dim, generator=generator) * torch.rand(dim, generator=generator),
        torch.arange(KEPT).expand(count, -1),
        slots,
        torch.full((count,), classes.start),
        tuple(f"{slot}/{place}.mp4" for place, slot in enumerate(slots.tolist())),
        torch.randn(count, logits, generator=generator),
    )


def packed(*parts: EpisodicMemory, bits: Bits = 4, seed: int = 0) -> EpisodicMemory:
    memory = EpisodicMemory.empty(kept=KEPT, dim=parts[0].features.shape[2], bits=bits, seed=seed)
    for part in parts:
        memory = memory.extended(part)
    return memory


def same(a: EpisodicMemory, b: EpisodicMemory) -> bool:
    """Whether two memories are equal to the bit, and their files too."""
    files = a.arrays(), b.arrays()
    return (
        torch.equal(a.features, b.features)
        and torch.equal(a.logits.nan_to_num(-99), b.logits.nan_to_num(-99))
        and files[0].keys() == files[1].keys()
        and all(np.array_equal(files[0][name], files[1][name]) for name in files[0])
    )


@pytest.mark.parametrize("bits", PACKED)
@pytest.mark.parametrize("dim", [1, 2, 21, 64])
def test_the_file_holds_the_codes_and_the_ledger_counts_them(bits: Bits, dim: int, tmp_path: Path) -> None:
    memory = packed(arrived(range(2), dim=dim), arrived(range(2, 3), dim=dim), bits=bits)
    size = memory.write(tmp_path / "m.safetensors")
    assert same(EpisodicMemory.read(tmp_path / "m.safetensors"), memory)
    assert size == (tmp_path / "m.safetensors").stat().st_size == memory.stored_bytes
    assert total_by_kind(memory.ledger())["total"] == size
    counted = {entry.name: entry.bytes for entry in memory.ledger()}
    # Each frame has its codes, which begin a byte of their own, and a scale of two bytes; once: bits, seed and centre.
    assert memory.exemplar_bytes == KEPT * ((dim * bits + 7) // 8 + 2)
    assert counted["frame features"] == 12 * memory.exemplar_bytes + 16 + dim * 4
    assert [entry.name for entry in memory.ledger() if entry.in_paper_figure] == ["frame features"]


def test_a_memory_of_32_bits_is_the_features_as_they_are(tmp_path: Path) -> None:
    raw = arrived(range(3), logits=3)
    memory = packed(raw, bits=32)
    assert same(memory, raw)
    assert set(memory.arrays()) == {"features", "logits", "positions", "slots", "tasks", "names"}
    raw.write(tmp_path / "raw.safetensors")
    memory.write(tmp_path / "kept.safetensors")
    assert (tmp_path / "raw.safetensors").read_bytes() == (tmp_path / "kept.safetensors").read_bytes()


@pytest.mark.parametrize("bits", PACKED)
@given(st.data())
@settings(max_examples=15, deadline=None)
def test_cutting_joining_and_reading_change_no_exemplar(bits: Bits, data: st.DataObject) -> None:
    whole = packed(arrived(range(2), logits=2), arrived(range(2, 5), logits=5), bits=bits)
    chosen = data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, unique=True))
    part = whole.take(torch.tensor(chosen))
    assert torch.equal(part.features, whole.features[chosen])
    assert torch.equal(part.logits.nan_to_num(-99), whole.logits[chosen].nan_to_num(-99))
    read = EpisodicMemory.from_arrays(part.arrays())
    width = read.logits.shape[1]
    assert torch.equal(read.features, part.features)
    assert torch.equal(read.logits.nan_to_num(-99), part.logits[:, :width].nan_to_num(-99))
    assert part.logits[:, width:].isnan().all()
    later = arrived(range(5, 6), logits=6)
    assert same(read.extended(later), EpisodicMemory.from_arrays(part.extended(later).arrays()))
    assert torch.equal(part.extended(later).features[: len(part)], part.features)
    assert same(part.extended(whole).take(torch.arange(len(part), len(part) + len(whole))), whole)


@pytest.mark.numeric
@pytest.mark.parametrize("bits", PACKED)
def test_features_are_off_by_what_the_levels_leave(bits: Bits) -> None:
    raw = arrived(range(2))
    memory = packed(raw, bits=bits)
    assert memory.packing is not None
    centre = raw.features.double().mean(dim=(0, 1))
    torch.testing.assert_close(memory.packing.centre.double(), centre, rtol=2**-23, atol=0)
    turned = rotated(raw.features.double() - memory.packing.centre, memory.packing.seed)
    scales = memory.codes["features_scales"].view(torch.bfloat16).double()[..., None]
    table = levels(bits)
    least = (turned[..., None] - table * scales[..., None]).abs().amin(dim=-1).square().sum(dim=-1)
    off = (memory.features.double() - raw.features).square().sum(dim=-1)
    # A rotation keeps lengths; sums in float32 of numbers of size 10 at most have the rest.
    torch.testing.assert_close(off.sqrt(), least.sqrt(), rtol=0, atol=40 * 10 * 2**-24 * DIM**0.5)


@pytest.mark.parametrize("bits", PACKED)
def test_equal_clips_are_kept_exactly(bits: Bits) -> None:
    constant = torch.tensor([0.1, -7.3e5, 3.0, 0.0, 1e-20])
    clips = EpisodicMemory(
        constant.expand(6, KEPT, 5),
        torch.zeros(6, KEPT, dtype=torch.long),
        torch.arange(6),
        torch.zeros(6, dtype=torch.long),
        ("a",) * 6,
    )
    memory = packed(clips, bits=bits)
    assert torch.equal(memory.features, clips.features)
    assert torch.equal(EpisodicMemory.from_arrays(memory.arrays()).features, clips.features)
    later = memory.extended(arrived(range(6, 7), dim=5))
    assert torch.equal(later.features[:6], clips.features)
    assert later.features.isfinite().all()


@pytest.mark.parametrize("bits", PACKED)
def test_an_empty_memory_costs_nothing_and_is_read_back(bits: Bits) -> None:
    for memory in (packed(arrived(range(0)), bits=bits), packed(arrived(range(1)), bits=bits).without(0)):
        assert memory.ledger() == []
        read = EpisodicMemory.from_arrays(memory.arrays())
        assert read.features.shape == (0, KEPT, DIM)
        later = arrived(range(2))
        assert same(read.extended(later), packed(later, bits=bits))


@pytest.mark.parametrize("bits", PACKED)
def test_one_exemplar_alone_and_features_beyond_float16(bits: Bits) -> None:
    one = arrived(range(1), per_class=1)
    huge = EpisodicMemory(one.features * 1e9, one.positions, one.slots, one.tasks, one.names)
    for raw in (one, huge):
        memory = packed(raw, bits=bits)
        assert len(memory) == 1
        # The centre is the mean of its frames, so what is rounded is no longer than the frames lie apart.
        apart = (raw.features - raw.features.mean(dim=1, keepdim=True)).norm()
        assert (memory.features - raw.features).norm() <= apart
    assert EpisodicMemory.from_arrays(packed(huge, bits=bits).arrays()).features.abs().max() > 65504


def test_the_first_exemplars_after_all_were_forgotten_have_a_new_centre() -> None:
    memory = packed(arrived(range(1)))
    later = memory.without(0).extended(arrived(range(1, 2)))
    assert same(later, packed(arrived(range(1, 2))))


@pytest.mark.parametrize("bits", PACKED)
def test_logits_are_as_near_as_the_bits_allow_and_later_slots_stay_unknown(bits: Bits) -> None:
    parts = arrived(range(2), logits=2), arrived(range(2, 7), logits=7)
    raw, memory = parts[0].extended(parts[1]), packed(*parts, bits=bits)
    assert memory.logits.isnan().equal(raw.logits.isnan())
    off = (memory.logits - raw.logits).nan_to_num(0).norm(dim=1) / raw.logits.nan_to_num(0).norm(dim=1)
    # In 2 bits no number is further from its level than it is large, but for those below half of the lowest level.
    assert off.max() <= {16: 1e-4, 8: 0.02, 4: 0.3, 2: 1.0}[bits]
    counted = {entry.name: entry.bytes for entry in memory.ledger()}
    assert counted["logits"] == 28 * ((7 * bits + 7) // 8 + 2 + 4)
    assert total_by_kind(memory.ledger())["total"] == memory.stored_bytes


def test_a_budget_holds_more_exemplars_in_fewer_bits() -> None:
    raw = arrived(range(3), per_class=60, dim=64)
    for bits, least in {32: 1, 16: 1.5, 8: 2.5, 4: 4, 2: 5}.items():
        memory = packed(raw, bits=bits)  # type: ignore[arg-type]
        kept = Budget(bytes=8_000).with_equal_quotas(memory)
        assert kept.stored_bytes <= 8_000 < memory.stored_bytes
        quota = int(kept.slots.bincount().max())
        assert memory.at_most_per_class(quota + 1).stored_bytes > 8_000
        assert len(kept) >= least * len(Budget(bytes=8_000).with_equal_quotas(raw))


def test_other_bits_and_another_rotation_are_refused() -> None:
    memory = packed(arrived(range(1)), bits=4, seed=1)
    memory.refuse_other_packing(EpisodicMemory.from_arrays(memory.arrays()))
    raw, remedy = arrived(range(1)), "; use the config and the seed it was made with"
    for own, read, message in (
        (memory, raw, "stored in 32 bits a number, and method.memory_bits is 4"),
        (raw, memory, "stored in 4 bits a number, and method.memory_bits is 32"),
        (memory, packed(raw, bits=8, seed=1), "stored in 8 bits a number, and method.memory_bits is 4"),
        (memory, packed(raw, bits=4, seed=2), "stored with another rotation than that of this seed"),
    ):
        with pytest.raises(CheckpointError, match=message + remedy):
            own.refuse_other_packing(read)


def _changed(arrays: dict[str, Array], name: str, value: Any) -> dict[str, Array]:
    return {**arrays, name: value(arrays[name])}


@pytest.mark.usefixtures("shapes_checked_elsewhere")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("packing", lambda array: array - np.array([1, 0])),
        ("packing", lambda array: array + np.array([4, 0])),
        ("centre", lambda array: array[:-1]),
        ("centre", lambda array: array.astype(np.float64)),
        ("centre", lambda array: array * np.float32(np.nan)),
        ("features_codes", lambda array: array[..., :-1]),
        ("features_codes", lambda array: array[:-1]),
        ("features_codes", lambda array: array.astype(np.int8)),
        ("features_scales", lambda array: array | np.int16(0x7F80)),
        ("features_scales", lambda array: array.astype(np.float32)),
        ("logits_codes", lambda array: array[:, :-1]),
        ("logits_known", lambda array: array + np.int32(9)),
        ("logits_known", lambda array: array * np.int32(0)),
        ("slots", lambda array: array[:-1]),
    ],
)
def test_arrays_that_are_of_no_packed_memory_are_refused(name: str, value: Any) -> None:
    arrays = packed(arrived(range(2), logits=2)).arrays()
    with pytest.raises(CheckpointError):
        EpisodicMemory.from_arrays(_changed(arrays, name, value))
