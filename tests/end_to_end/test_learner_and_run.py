"""A learner that holds nothing out learns what a run learns from the same clips, to the last bit."""

from pathlib import Path

import pytest
import torch

from essential import VideoLearner
from essential.engine.run import train
from essential.engine.run_folder import RunFolder
from essential.progress import Progress
from small_runs import small_config, small_overrides
from threads import THREADS


@pytest.mark.numeric
@pytest.mark.parametrize("between", ["in memory", "through a file"])
def test_a_learner_is_a_run_whose_tasks_come_from_its_user(
    small_data: Path, small_store: Path, tmp_path: Path, between: str
) -> None:
    same = ("protocol.order_seed=null", "features.views=0", "training.epochs=2")
    train(
        small_config("essential", small_data, small_store.parent / "plain", *same),
        tmp_path / "run",
        resume=False,
        progress=Progress(),
    )
    overrides = small_overrides(small_data, small_store, *same)
    learner = VideoLearner(config="moving-digits/essential", overrides=overrides, held_out_per_class=0)
    folders = sorted((small_data / "train").iterdir())
    assert len(folders) == 8
    for first in range(0, 8, 2):
        learner.learn({folder.name: sorted(folder.iterdir()) for folder in folders[first : first + 2]})
        if between == "through a file":
            learner.save(tmp_path / "a.bundle")
            learner = VideoLearner.load(tmp_path / "a.bundle", overrides=[f"training.threads={THREADS}"])
    of_run = RunFolder(tmp_path / "run").read_checkpoint(3)
    of_learner = learner.labelled_predictor.predictor.state_dict()
    assert of_run.keys() == of_learner.keys()
    for name, tensor in of_run.items():
        assert torch.equal(tensor, of_learner[name]), name
