"""Counts, means and scatters against loops over the clips, in any division into additions and as old versions wrote."""

import pytest
import torch

from essential.errors import CheckpointError
from essential.memory.ledger import total_by_kind
from essential.methods.slda import Slda, SldaConfig
from essential.methods.statistics import Bits, ClassStatistics
from essential.models.closed_form import pack_upper

CLASSES = [torch.randn(n, 4, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in (1, 3, 8)]


def _statistics(*groups: list[torch.Tensor], blocks: int = 1, bits: Bits = 32) -> ClassStatistics:
    statistics = ClassStatistics(4 // blocks, blocks=blocks, bits=bits)
    for group in groups:
        statistics.add(group)
    return statistics


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("blocks", [1, 2, 4])
@pytest.mark.parametrize("bits", [16, 32, 64])
def test_the_sums_are_those_of_loops_over_the_clips_of_each_block(blocks: int, bits: Bits) -> None:
    width = 4 // blocks
    # Half a step for each addition, of a fraction of the largest; a scale is at most 2^-21 above what it must be.
    step = 1.01 * 0.5 / 2 ** (min(bits, 50) - 1) * len(CLASSES)
    found = list(_statistics(CLASSES, blocks=blocks, bits=bits).blocks())
    assert len(found) == blocks
    for index, block in enumerate(found):
        scatter, fourth = torch.zeros(width, width, dtype=torch.float64), 0.0
        for slot, whole in enumerate(CLASSES):
            vectors = whole[:, index * width : (index + 1) * width]
            mean = sum(vectors) / len(vectors)
            assert block.counts[slot] == len(vectors)
            assert float((block.means[slot] - mean).abs().max()) <= step * float(mean.abs().max()) + 1e-15
            for vector in vectors:
                scatter += torch.outer(vector - mean, vector - mean)
                fourth += float((vector - mean) @ (vector - mean)) ** 2
        products = torch.outer(scatter.diagonal().sqrt(), scatter.diagonal().sqrt())
        assert float(((block.covariance * 12 - scatter).abs() / products).max()) <= step + 1e-14
        assert block.fourth == pytest.approx(fourth)
        assert block.clips == 12


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("blocks", [1, 2])
def test_it_does_not_matter_what_is_added_together(blocks: int) -> None:
    whole = _statistics(CLASSES, blocks=blocks).blocks()
    parts = _statistics(CLASSES[:1], [], CLASSES[1:], blocks=blocks).blocks()
    for one, other in zip(whole, parts, strict=True):
        assert torch.equal(one.means, other.means)
        assert torch.allclose(one.covariance, other.covariance, rtol=1e-8)


def test_a_state_of_other_classes_can_be_taken_on() -> None:
    state, fresh = _statistics(CLASSES).state_dict(), ClassStatistics(4)
    fresh.load_state_dict(state)
    assert torch.equal(fresh.mean_codes, state["mean_codes"])
    assert int(fresh.counts.sum()) == 12


def _of_version_0_1() -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    scatter = torch.zeros(4, 4, dtype=torch.float64)
    for vectors in CLASSES:
        apart = vectors - vectors.mean(dim=0)
        scatter += apart.T @ apart
    means = torch.stack([vectors.mean(dim=0) for vectors in CLASSES]).float()
    fourth = torch.tensor([2.0], dtype=torch.float64)
    return {
        "counts": torch.tensor([1, 3, 8]),
        "means": means,
        "scatter": pack_upper(scatter),
        "fourth": fourth,
    }, scatter


@pytest.mark.numeric
def test_what_version_0_1_wrote_is_read() -> None:
    state, scatter = _of_version_0_1()
    fresh = ClassStatistics(4)
    fresh.load_state_dict(dict(state))
    (block,) = fresh.blocks()
    assert torch.allclose(block.means.float(), state["means"])
    assert torch.allclose(block.covariance, scatter / 12)
    assert block.fourth == 2


def test_what_version_0_1_wrote_of_another_width_is_refused() -> None:
    state, _ = _of_version_0_1()
    method = Slda(SldaConfig(), dim=5, frames=3, seed=0)
    arrays = {f"network.statistics.{name}": tensor.numpy() for name, tensor in state.items()}
    arrays |= {name: array for name, array in method.state_dict().items() if ".statistics." not in name}
    with pytest.raises(CheckpointError, match="does not fit this method's configuration"):
        method.load_state_dict(arrays)


def test_equal_clips_are_no_variance_and_others_are() -> None:
    (equal,) = _statistics([torch.full((7, 4), 0.1, dtype=torch.float64)]).blocks()
    assert float(equal.covariance.trace()) <= equal.negligible
    (unlike,) = _statistics([0.1 + 1e-6 * CLASSES[2]]).blocks()
    assert float(unlike.covariance.trace()) > unlike.negligible


@pytest.mark.parametrize("bits", [16, 32])
def test_every_byte_is_counted_as_stored(bits: Bits) -> None:
    statistics = _statistics(CLASSES, blocks=2, bits=bits)
    stored = sum(tensor.numpy().nbytes for tensor in statistics.state_dict().values())
    assert stored == 3 * 4 + (3 * 4 + 2 * 3) * bits // 8 + (3 * 2 + 4) * 4 + 2 * 8 == statistics.bytes_of(3)
    ledger = statistics.ledger()
    assert total_by_kind(ledger)["statistics"] == total_by_kind(ledger)["total"] == stored
    assert not any(entry.in_paper_figure for entry in ledger)
