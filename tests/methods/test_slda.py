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
