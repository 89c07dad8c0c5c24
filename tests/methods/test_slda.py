"""SLDA against scikit-learn's discriminant analysis, which has the same covariance and adds the classes' shares."""

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from essential.methods.slda import Slda, SldaConfig
from pooled_tasks import learn_all, make_pool, pooled_tasks

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]


def _scores(config: SldaConfig, tests: torch.Tensor) -> torch.Tensor:
    features, labels = make_pool()
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
    scores = _scores(SldaConfig(clip=clip, shrinkage=shrinkage), tests)
    assert np.allclose(scores, _expected(shrinkage, clip, tests), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("clip", ["mean", "side-by-side"])
def test_the_shrinkage_is_that_of_all_clips_about_their_means(clip: str) -> None:
    (features, labels), tests = make_pool(), make_pool(seed=1)[0]
    vectors = _vectors(features, clip)
    centred = vectors - np.stack([vectors[labels == label].mean(axis=0) for label in range(6)])[labels]
    _, shrinkage = ledoit_wolf(centred, assume_centered=True)
    assert 0.001 < shrinkage < 0.9
    assert np.allclose(_scores(SldaConfig(clip=clip), tests), _expected(shrinkage, clip, tests), rtol=1e-4, atol=1e-4)


def _cosines(frames: int) -> np.ndarray:
    rows = [[np.cos(np.pi * (t + 0.5) * k / frames) for t in range(frames)] for k in range(frames)]
    return np.array([np.array(row) / np.linalg.norm(row) for row in rows])


def _damped(train: np.ndarray, labels: np.ndarray, test: np.ndarray, shrinkage: float) -> np.ndarray:
    """Score one block by loops over the clips: the posterior means of classes that differ alike in every direction."""
    classes, clips = range(6), len(train)
    counts = np.array([(labels == label).sum() for label in classes])
    means = np.stack([train[labels == label].mean(axis=0) for label in classes])
    spread = sum(np.outer(x - means[label], x - means[label]) for x, label in zip(train, labels, strict=True)) / clips
    inverse = np.linalg.inv((1 - shrinkage) * spread + shrinkage * np.trace(spread) / len(spread) * np.eye(len(spread)))
    noise = sum((x - means[label]) @ inverse @ (x - means[label]) for x, label in zip(train, labels, strict=True))
    noise /= clips - len(classes)
    centre = train.mean(axis=0)
    apart = sum(n * (mean - centre) @ inverse @ (mean - centre) for n, mean in zip(counts, means, strict=True))
    between = max(0.0, (apart - (len(classes) - 1) * noise) / (clips - (counts**2).sum() / clips))
    kept = between / (between + noise / counts)
    centre = (kept / kept.sum()) @ means
    drawn = centre + kept[:, None] * (means - centre)
    distances = [
        [(x - mean) @ inverse @ (x - mean) - (x - centre) @ inverse @ (x - centre) for mean in drawn] for x in test
    ]
    return -0.5 * np.array(distances)


@pytest.mark.parametrize("coefficients", [1, 2, 3])
@pytest.mark.parametrize("shrinkage", [0.01, 0.4])
def test_a_spectrum_is_a_sum_over_its_coefficients(coefficients: int, shrinkage: float) -> None:
    (features, labels), tests = make_pool(), make_pool(seed=1)[0]
    config = SldaConfig(clip="dct", coefficients=coefficients, shrinkage=shrinkage)
    expected = np.zeros((len(tests), 6))
    for row in _cosines(3)[:coefficients]:
        train, test = (np.einsum("t,ntd->nd", row, clips.double().numpy()) for clips in (features, tests))
        expected += _damped(train, labels.numpy(), test, shrinkage)
    assert np.allclose(_scores(config, tests), expected, rtol=1e-4, atol=1e-4)
