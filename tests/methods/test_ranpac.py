"""RanPAC against a ridge regression on the projected clips themselves, and what it takes to score alone."""

import pytest
import torch

from essential.errors import CheckpointError
from essential.methods.ranpac import Ranpac, RanpacConfig
from pooled_tasks import learn_all, make_pool, pooled_tasks


def _learned(seed: int, **settings: float) -> Ranpac:
    features, labels = make_pool()
    method = Ranpac(RanpacConfig(random_features=40, **settings), dim=5, frames=3, seed=seed)
    learn_all(method, pooled_tasks(features, labels, range(6), [2, 3, 1]))
    return method


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_it_is_a_ridge_regression_on_the_projected_clips() -> None:
    (features, labels), tests = make_pool(), make_pool(seed=1)[0]
    method = _learned(0, ridge=2.0)
    hidden, test = (
        (clips.double().mean(dim=1) @ method.random.projection.double()).clamp(min=0) for clips in (features, tests)
    )
    targets = torch.nn.functional.one_hot(labels).double()
    centred = hidden - hidden.mean(dim=0)
    # In the form of the kernel, which has as many rows as clips.
    kernel = centred @ centred.T + 2.0 * torch.eye(len(centred), dtype=torch.float64)
    dual = torch.linalg.solve(kernel, targets - targets.mean(dim=0))
    expected = (test - hidden.mean(dim=0)) @ centred.T @ dual + targets.mean(dim=0)
    assert torch.allclose(method.predictor(tests), expected, atol=1e-5)


def test_the_projection_is_made_from_its_seed_which_alone_is_stored() -> None:
    tests = make_pool(seed=1)[0]
    method, other = _learned(0), _learned(1)
    assert not torch.equal(method.random.projection, other.random.projection)
    state = method.predictor.state_dict()
    assert state["vectors.1.seed"].nbytes == 8
    assert not [name for name in state if "projection" in name]
    other.load_predictor(state)
    assert torch.equal(method.predictor(tests), other.predictor(tests))
    by_name = {entry.name: entry.bytes for entry in method.ledger()}
    assert by_name["scatter within classes"] == 40 * 41 // 2 * 8
    assert sum(by_name.values()) == method.statistics.bytes_of(6)


def test_a_projection_that_version_0_1_stored_is_made_again_or_refused() -> None:
    method, fresh = _learned(0), Ranpac(RanpacConfig(random_features=40), dim=5, frames=3, seed=0)
    stored = "network.predictor.vectors.1.projection"
    state = {name: array for name, array in method.state_dict().items() if not name.endswith(".seed")}
    fresh.load_state_dict(state | {stored: method.random.projection.numpy()})
    assert torch.equal(fresh.random.projection, method.random.projection)
    with pytest.raises(CheckpointError, match="a random projection of another seed"):
        fresh.load_state_dict(state | {stored: _learned(1).random.projection.numpy()})
