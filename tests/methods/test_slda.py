"""SLDA against scikit-learn's discriminant analysis, which has the same covariance and adds the classes' shares."""

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from essential.methods.slda import Slda, SldaConfig
from pooled_tasks import learn_all, make_pool, pooled_tasks

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]


def _scores(
    config: SldaConfig, tests: torch.Tensor, pool: tuple[torch.Tensor, torch.Tensor] | None = None
) -> torch.Tensor:
    features, labels = pool or make_pool()
    method = Slda(config, dim=5, frames=3, seed=0)
    learn_all(method, pooled_tasks(features, labels, range(6), [2, 3, 1]))
    scores: torch.Tensor = method.predictor(tests)
    return scores


def _vectors(features: torch.Tensor, clip: str) -> np.ndarray:
    return (features.double().mean(dim=1) if clip == "mean" else features.double().flatten(1)).numpy()


def _expected(shrinkage: float, clip: str, tests: torch.Tensor) -> np.ndarray:
    features, labels = make_pool()
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(_vectors(features, clip), labels)
    return lda.decision_function(_vectors(tests, clip)) - np.log(lda.priors_)


@pytest.mark.parametrize("clip", ["mean", "side-by-side"])
@pytest.mark.parametrize("shrinkage", [0.01, 0.4, 1.0])
def test_it_is_the_discriminant_analysis_of_all_clips(clip: str, shrinkage: float) -> None:
    tests = make_pool(seed=1)[0]
    scores = _scores(SldaConfig(clip=clip, shrinkage=shrinkage, means="plain"), tests)
    assert np.allclose(scores, _expected(shrinkage, clip, tests), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("clip", ["mean", "side-by-side"])
def test_the_shrinkage_is_that_of_all_clips_about_their_means(clip: str) -> None:
    (features, labels), tests = make_pool(), make_pool(seed=1)[0]
    vectors = _vectors(features, clip)
    centred = vectors - np.stack([vectors[labels == label].mean(axis=0) for label in range(6)])[labels]
    _, shrinkage = ledoit_wolf(centred, assume_centered=True)
    assert 0.001 < shrinkage < 0.9
    assert np.allclose(
        _scores(SldaConfig(clip=clip, means="plain"), tests), _expected(shrinkage, clip, tests), rtol=1e-4, atol=1e-4
    )


def _cosines(frames: int) -> np.ndarray:
    rows = [[np.cos(np.pi * (t + 0.5) * k / frames) for t in range(frames)] for k in range(frames)]
    return np.array([np.array(row) / np.linalg.norm(row) for row in rows])


def _one_block(train: np.ndarray, labels: np.ndarray, test: np.ndarray, shrinkage: float) -> np.ndarray:
    """Score one block by minus half the distances, whitened by a symmetric root, to what is expected of every mean."""
    classes, clips, width = labels.max() + 1, len(train), train.shape[1]
    counts = np.bincount(labels)
    means = np.stack([train[labels == label].mean(axis=0) for label in range(classes)])
    spread = sum(np.outer(x - means[label], x - means[label]) for x, label in zip(train, labels, strict=True)) / clips
    covariance = (1 - shrinkage) * spread + shrinkage * np.trace(spread) / width * np.eye(width)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors / np.sqrt(values) @ vectors.T
    train, means, test = train @ root, means @ root, test @ root
    noise = sum(np.sum((x - means[label]) ** 2) for x, label in zip(train, labels, strict=True))
    left_out = max(1 - (1 - shrinkage) * noise / clips / (clips - classes), 0.05)
    noise /= (clips - classes) * width * left_out
    effective = (clips - np.sum(counts**2) / clips) / (classes - 1)
    apart = means - train.mean(axis=0)
    sample = sum(n * np.outer(row, row) for n, row in zip(counts, apart, strict=True)) / (effective * (classes - 1))
    values, vectors = np.linalg.eigh(sample)
    few, many = sorted((classes - 1, width))
    values, vectors = values[::-1][:few], vectors[:, ::-1][:, :few]
    # In a matrix of so many rows and columns with entries of variance 1, singular values lie about the root of `many`.
    per_entry = values * (classes - 1) / many
    bulk = max(np.median(per_entry) / (1 - few / many / 3), noise / effective)
    scores = np.zeros((len(test), classes))
    for j, value in enumerate(per_entry):
        y, beta = np.sqrt(value / bulk), few / many
        shrunk = np.sqrt(max((y**2 - beta - 1) ** 2 - 4 * beta, 0)) / y if y > 1 + np.sqrt(beta) else 0.0
        # Strength of the outlying part beside the bulk, as a ratio of variances.
        ratio = shrunk / y / (1 - shrunk / y)
        along, tests = means @ vectors[:, j], test @ vectors[:, j]
        gains = []
        for n in counts:
            rest = (bulk - noise / effective) / (bulk - noise / effective + noise / n)
            first = ratio * bulk / (ratio * bulk + bulk - noise / effective + noise / n)
            gains.append(first + (1 - first) * rest)
        centre = np.average(along, weights=gains)
        expected = centre + np.array(gains) * (along - centre)
        scores += -0.5 * (tests[:, None] - expected) ** 2 + 0.5 * (tests[:, None] - centre) ** 2
    return scores


@pytest.mark.parametrize("coefficients", [1, 2, 3])
@pytest.mark.parametrize("shrinkage", [0.01, 0.4])
@pytest.mark.parametrize("few", [None, 2])
def test_a_spectrum_is_a_sum_over_its_coefficients(coefficients: int, shrinkage: float, few: int | None) -> None:
    (features, labels), tests = make_pool(), make_pool(seed=1)[0]
    kept = torch.cat([(labels == label).nonzero()[: few if label > 2 else None, 0] for label in range(6)])
    features, labels = features[kept], labels[kept]
    config = SldaConfig(clip="dct", coefficients=coefficients, shrinkage=shrinkage)
    expected = np.zeros((len(tests), 6))
    for row in _cosines(3)[:coefficients]:
        train, test = (np.einsum("t,ntd->nd", row, clips.double().numpy()) for clips in (features, tests))
        expected += _one_block(train, labels.numpy(), test, shrinkage)
    assert np.allclose(_scores(config, tests, (features, labels)), expected, rtol=1e-4, atol=1e-4)
