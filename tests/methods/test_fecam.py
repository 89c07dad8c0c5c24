"""FeCAM against Mahalanobis distances in explicit loops, with numpy's own covariances."""

import numpy as np
import pytest
import torch

from essential.methods.fecam import Fecam, FecamConfig, correlations
from pooled_tasks import learn_all, make_pool, pooled_tasks


def _unit_vectors(features: torch.Tensor, clip: str) -> np.ndarray:
    vectors = (features.double().mean(dim=1) if clip == "mean" else features.double().flatten(1)).numpy()
    return np.array([vector / np.linalg.norm(vector) for vector in vectors])


def _correlations(covariance: np.ndarray, added: float) -> np.ndarray:
    width = len(covariance)
    raised = covariance + added * np.mean(np.diag(covariance)) * np.eye(width)
    result = np.empty_like(raised)
    for i in range(width):
        for j in range(width):
            result[i, j] = raised[i, j] / (raised[i, i] ** 0.5 * raised[j, j] ** 0.5)
    return result


def _learned(config: FecamConfig) -> Fecam:
    features, labels = make_pool()
    method = Fecam(config, dim=5, frames=3, seed=0)
    learn_all(method, pooled_tasks(features, labels, range(6), [2, 3, 1]))
    return method


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("clip", ["mean", "side-by-side"])
@pytest.mark.parametrize("added", [0.2, 1.0])
def test_each_class_measures_by_its_own_correlations(clip: str, added: float) -> None:
    (features, labels), tests = make_pool(), make_pool(seed=1)[0]
    scores = _learned(FecamConfig(clip=clip, shrinkage=added)).predictor(tests)
    train, test = _unit_vectors(features, clip), _unit_vectors(tests, clip)
    for label in range(6):
        own = train[labels == label]
        inverse = np.linalg.inv(_correlations(np.cov(own.T), added))
        for row in range(0, len(test), 5):
            apart = test[row] - own.mean(axis=0)
            assert float(scores[row, label]) == pytest.approx(-apart @ inverse @ apart, rel=1e-5, abs=1e-6)


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("clip", ["mean", "side-by-side"])
def test_a_shared_covariance_orders_classes_by_the_same_distance(clip: str) -> None:
    (features, labels), tests = make_pool(), make_pool(seed=1)[0]
    scores = _learned(FecamConfig(clip=clip, covariance="shared", means="plain")).predictor(tests)
    train, test = _unit_vectors(features, clip), _unit_vectors(tests, clip)
    means = np.stack([train[labels == label].mean(axis=0) for label in range(6)])
    centred = train - means[labels]
    inverse = np.linalg.inv(_correlations(centred.T @ centred / len(train), 1.0))
    distances = np.array([[(x - mean) @ inverse @ (x - mean) for mean in means] for x in test])
    expected = -0.5 * (distances - distances[:, :1])
    assert np.allclose(scores - scores[:, :1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_correlations_have_ones_on_the_diagonal_and_no_variance_gives_the_identity() -> None:
    spread = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = correlations(spread.T @ spread, added=0.1, negligible=0.0)
    assert torch.allclose(matrix.diagonal(), torch.ones(4, dtype=torch.float64))
    assert float(matrix.triu(1).abs().max()) > 0.1
    none = torch.zeros(4, 4, dtype=torch.float64)
    assert torch.equal(correlations(none, added=0.1, negligible=0.0), torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("covariance", "expected"),
    [("class", 6 * (4 + 6 * 4 + 15 * 4 + 5 * 4 + 8)), ("shared", 6 * (4 + 6 * 4) + 15 * 4 + 5 * 4 + 8)],
)
def test_every_byte_that_is_kept_is_counted(covariance: str, expected: int) -> None:
    method = _learned(FecamConfig(covariance=covariance))
    assert sum(entry.bytes for entry in method.ledger()) == expected
    kept = [tensor for name, tensor in method.network.state_dict().items() if name.startswith("statistics.")]
    assert sum(tensor.nbytes for tensor in kept) == expected
