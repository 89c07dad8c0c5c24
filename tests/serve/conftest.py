"""A bundle that knows three classes of moving digits, taught once for all tests of the service."""

from pathlib import Path

import pytest
from running_service import TAUGHT

from essential.learner import VideoLearner


@pytest.fixture(scope="session")
def taught_bundle(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle, which is to be copied: a service changes it."""
    path = tmp_path_factory.mktemp("taught") / "actions.bundle"
    learner = VideoLearner(
        encoder="tiny",
        method="slda-temporal",
        overrides=["features.workers=0", "features.views=0", "training.threads=1"],
    )
    learner.learn({name: sorted((small_data / "train" / name).iterdir()) for name in TAUGHT})
    learner.save(path)
    return path
