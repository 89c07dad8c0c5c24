"""Parts of a batch: every row once, and the random numbers of the whole batch whoever computes it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import stochastic_depth

from essential.models.whole_batch import Dropout, DropPath, Part, batch_beside, drawn, part_of_batch, whole_rows

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]

LAYERS: dict[str, tuple[nn.Module, Callable[[Tensor], Tensor]]] = {
    "dropout": (Dropout(0.3), lambda x: nn.functional.dropout(x, 0.3)),
    "drop path": (DropPath(0.3), lambda x: stochastic_depth(x, 0.3, "row")),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
@pytest.mark.parametrize("whole", [1, 2, 5, 24])
def test_the_parts_hold_every_row_and_their_fractions_are_one(ranks: int, whole: int) -> None:
    parts = [Part(rank, ranks, whole) for rank in range(ranks)]
    rows = [row for part in parts for row in range(whole)[part.rows]]
    assert rows == list(range(whole)) * (ranks if whole < ranks else 1)
    assert sum(part.fraction for part in parts) == pytest.approx(1)
    assert min(part.at_hand for part in parts) >= 1
    if whole >= ranks:
        assert max(part.at_hand for part in parts) - min(part.at_hand for part in parts) <= 1


@every_layer
def test_what_is_left_out_is_what_torch_leaves_out(name: str) -> None:
    layer, of_torch = LAYERS[name]
    x = torch.randn(9, 4, 16, requires_grad=True)
    results = []
    for function in (layer.train(), of_torch):
        torch.manual_seed(3)
        result = function(x)
        (gradient,) = torch.autograd.grad(result.square().sum(), x)
        results.append((result, gradient, torch.rand(1)))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*results, strict=True))
    assert (results[0][0] == 0).any()


@every_layer
@pytest.mark.parametrize("whole", [1, 5])
def test_a_rank_leaves_out_what_one_process_does_in_its_rows(name: str, whole: int) -> None:
    layer = LAYERS[name][0].train()
    x = torch.randn(whole, 4, 16)
    torch.manual_seed(1)
    expected = layer(x), layer(x)
    for rank in range(2):
        part = Part(rank, 2, whole)
        torch.manual_seed(1)
        with part_of_batch(part):
            assert torch.equal(layer(x[part.rows]), expected[0][part.rows])
            assert torch.equal(layer(x[part.rows]), expected[1][part.rows]), "the generators are in step"


@every_layer
def test_in_evaluation_nothing_is_drawn(name: str) -> None:
    layer, x = LAYERS[name][0].eval(), torch.randn(3, 4)
    before = torch.random.get_rng_state()
    assert layer(x) is x
    assert torch.equal(before, torch.random.get_rng_state())


def test_another_batch_is_split_by_its_own_size() -> None:
    numbers = torch.arange(100)
    with part_of_batch(Part(1, 2, 5)):
        assert whole_rows(3) == 5
        assert drawn(lambda rows: numbers[:rows], 3).tolist() == [2, 3, 4]
        with batch_beside(8) as rows:
            assert drawn(lambda rows: numbers[:rows], 4).tolist() == list(range(8))[rows] == [4, 5, 6, 7]
        assert whole_rows(3) == 5
    with batch_beside(8) as rows:
        assert list(range(8))[rows] == list(range(8))


def test_drawing_for_other_rows_than_those_at_hand_is_refused() -> None:
    with part_of_batch(Part(0, 2, 6)), pytest.raises(RuntimeError, match=r"2 rows, where .* of a batch of 6"):
        DropPath(0.5).train()(torch.randn(2, 4))
