"""The map of tokens: the same every time, and near is what is alike."""

import pytest
import torch
from torch import Tensor

from essential.analysis.exemplars import embed
from essential.records.analysis import Embedding


def _tokens(noise: float) -> tuple[Tensor, Tensor]:
    """Return the tokens of three classes of ten exemplars, and their slots."""
    slots = torch.arange(3).repeat_interleave(10)
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 16, generator=generator)
    return centres[slots] + noise * torch.randn(30, 16, generator=generator), slots


def _map() -> Embedding:
    dense, slots = _tokens(0.1)
    found = embed({"dense": dense, "sparse": 5 * dense + 0.05}, slots, of_exemplars=99)
    assert found is not None
    return found


def test_what_is_alike_is_near_and_the_map_is_the_same_every_time() -> None:
    found = _map()
    assert found == _map()
    assert found.of_exemplars == 99
    assert [(one.kind, one.slot, one.exemplar) for one in found.points] == [
        (kind, exemplar // 10, exemplar) for kind in ("dense", "sparse") for exemplar in range(30)
    ]
    places = torch.tensor([(one.x, one.y) for one in found.points])
    assert places.abs().max() == 1
    slots = torch.tensor([one.slot for one in found.points])
    apart = torch.cdist(places, places).fill_diagonal_(torch.inf)
    assert torch.equal(slots[apart.argmin(dim=1)], slots)


@pytest.mark.parametrize("exemplars", [1, 2, 3])
def test_too_few_points_make_no_map(exemplars: int) -> None:
    tokens, slots = _tokens(1)
    assert embed({"dense": tokens[:exemplars]}, slots[:exemplars], of_exemplars=exemplars) is None


@pytest.mark.parametrize(
    "tokens", [torch.zeros(9, 4), torch.ones(9, 4), torch.ones(9, 4) * torch.arange(1, 10)[:, None]]
)
def test_tokens_that_are_all_alike_make_no_map(tokens: Tensor) -> None:
    assert embed({"dense": tokens}, torch.zeros(9, dtype=torch.long), of_exemplars=9) is None


def test_four_points_on_a_line_make_a_map() -> None:
    tokens = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [1.0, 0.3]])
    found = embed({"sparse": tokens}, torch.zeros(4, dtype=torch.long), of_exemplars=4)
    assert found is not None
    assert len({(one.x, one.y) for one in found.points}) == 4
