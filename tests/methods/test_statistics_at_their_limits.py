"""Statistics at the limits of their numbers: no variance, few dimensions in few bits, features that are too large."""

import pytest
import torch
from torch import Tensor

from essential.errors import DataError
from essential.methods.contract import Method
from essential.methods.fecam import Fecam, FecamConfig
from essential.methods.slda import Slda, SldaConfig
from essential.methods.spectral import Spectral, SpectralConfig
from pooled_tasks import PooledTable, PooledTask

pytestmark = pytest.mark.numeric


def _learn(method: Method, features: Tensor, labels: Tensor) -> Method:
    task = PooledTask(0, range(int(labels.max()) + 1), PooledTable(features, labels))
    method.begin(task)
    method.finish(task)
    return method


def _methods(*, dim: int, frames: int) -> list[Method]:
    return [
        Slda(SldaConfig(), dim=dim, frames=frames, seed=0),
        Fecam(FecamConfig(covariance="shared"), dim=dim, frames=frames, seed=0),
        Spectral(SpectralConfig(), dim=dim, frames=frames, seed=0),
    ]


def test_classes_on_a_line_whose_clips_are_equal_are_told_apart() -> None:
    # Along the line they differ, across it by rounding alone, and there is no noise to compare with.
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(6).repeat_interleave(4)
    along, across = torch.randn(8, 5, generator=generator), torch.randn(8, 5, generator=generator)
    features = across + (labels - 2.5)[:, None, None] * along
    for method in _methods(dim=5, frames=8):
        scores = _learn(method, features, labels).predictor(features)
        assert scores.isfinite().all()
        if not isinstance(method, Fecam):  # whose vectors have length 1, and lie on a line no more
            assert scores.argmax(dim=1).equal(labels)


def test_many_clips_of_three_dimensions_in_wide_features_in_16_bits() -> None:
    # So many clips ask for a shrinkage below what 16 bits change the eigenvalues by, some of which fall below 0.
    generator = torch.Generator().manual_seed(0)
    labels, turn = torch.arange(3).repeat_interleave(3000), torch.randn(3, 400, generator=generator)
    lines = torch.eye(3)[labels][:, None] * 6 + torch.randn(len(labels), 1, 3, generator=generator)
    config = SldaConfig(statistics_bits=16)
    # A fixed shrinkage, below the rounding, does not stop it either.
    for method in (
        Slda(config, dim=400, frames=1, seed=0),
        Slda(config.model_copy(update={"shrinkage": 1e-9}), dim=400, frames=1, seed=0),
    ):
        scores = _learn(method, lines @ turn, labels).predictor((lines @ turn)[::20])
        # In three dimensions the nearest mean, 8.5 deviations away, is that of a clip's own class but for one in 10^4.
        assert (scores.argmax(dim=1) == labels[::20]).float().mean() > 0.98


def test_features_whose_statistics_leave_float32_are_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat_interleave(4)
    features = torch.randn(12, 4, 5, generator=generator) * 1e25
    method = Spectral(SpectralConfig(), dim=5, frames=4, seed=0)
    with pytest.raises(DataError, match="so large that statistics of them leave float32"):
        _learn(method, features, labels)
    scores = _learn(Spectral(SpectralConfig(), dim=5, frames=4, seed=0), features / 1e15, labels).predictor(features)
    assert scores.isfinite().all()
