"""Counts, means and scatter against loops over the clips, and in any division into additions."""

import pytest
import torch

from essential.memory.ledger import total_by_kind
from essential.methods.statistics import ClassStatistics
from essential.models.closed_form import unpack_symmetric

CLASSES = [torch.randn(n, 4, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in (1, 3, 8)]


def _statistics(*groups: list[torch.Tensor]) -> ClassStatistics:
    statistics = ClassStatistics(4)
    for group in groups:
        statistics.add(group)
    return statistics


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_the_sums_are_those_of_loops_over_the_clips() -> None:
    statistics = _statistics(CLASSES)
    scatter, fourth = torch.zeros(4, 4, dtype=torch.float64), 0.0
    for slot, vectors in enumerate(CLASSES):
        mean = sum(vectors) / len(vectors)
        assert statistics.counts[slot] == len(vectors)
        assert torch.allclose(statistics.means[slot].double(), mean, atol=1e-6)
        for vector in vectors:
            scatter += torch.outer(vector - mean, vector - mean)
            fourth += float((vector - mean) @ (vector - mean)) ** 2
    assert torch.allclose(unpack_symmetric(statistics.scatter), scatter)
    assert torch.allclose(statistics.covariance(), scatter / 12)
    assert float(statistics.fourth) == pytest.approx(fourth)
    assert statistics.clips == 12


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_it_does_not_matter_what_is_added_together() -> None:
    whole, parts = _statistics(CLASSES), _statistics(CLASSES[:1], [], CLASSES[1:])
    for name, value in whole.state_dict().items():
        assert torch.allclose(value, parts.state_dict()[name], rtol=1e-13)


def test_a_state_of_other_classes_can_be_taken_on() -> None:
    state, fresh = _statistics(CLASSES).state_dict(), ClassStatistics(4)
    fresh.load_state_dict(state)
    assert torch.equal(fresh.means, state["means"])
    assert fresh.clips == 12


def test_equal_clips_are_no_variance_and_others_are() -> None:
    equal = _statistics([torch.full((7, 4), 0.1, dtype=torch.float64)])
    assert float(equal.covariance().trace()) <= equal.negligible
    unlike = _statistics([0.1 + 1e-6 * CLASSES[2]])
    assert float(unlike.covariance().trace()) > unlike.negligible


def test_every_byte_is_counted_as_stored() -> None:
    statistics = _statistics(CLASSES)
    stored = sum(tensor.numpy().nbytes for tensor in statistics.state_dict().values())
    assert stored == 3 * 8 + 3 * 4 * 4 + 10 * 8 + 8
    ledger = statistics.ledger()
    assert total_by_kind(ledger)["statistics"] == total_by_kind(ledger)["total"] == stored
    assert not any(entry.in_paper_figure for entry in ledger)
