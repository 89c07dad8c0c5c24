"""What version 0.1.0 wrote is read as before: runs, a store, features, a bundle, and memories in few bits."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from essential.engine.run import train
from essential.engine.run_folder import RunFolder
from essential.engine.score import evaluate
from essential.features.store import open_store, read_provenance
from essential.learner import VideoLearner
from essential.learner.bundle import Bundle
from essential.memory.episodic import EpisodicMemory
from essential.progress import Progress
from essential.records import Record
from ranked_scores import matrix_of

KEPT = Path(__file__).with_name("kept")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return a copy of the samples; runs name the place of their features."""
    copy = tmp_path / "kept"
    shutil.copytree(KEPT, copy)
    for config in copy.glob("run-*/config.yaml"):
        config.write_text(config.read_text().replace("FEATURES", str(copy / "features")))
    return copy


@pytest.mark.parametrize("name", ["essential", "icarl"])
def test_a_complete_run_is_read_and_scored_again(kept: Path, name: str) -> None:
    run = kept / f"run-{name}"
    record = Record.read(run / "record.json")
    stored = RunFolder(run).read_predictions(1)
    (run / "predictions" / "task-01.safetensors").unlink()
    assert evaluate(run, progress=Progress()).protocol == record.protocol
    train(RunFolder(run).config(), run, resume=True, progress=Progress())
    assert Record.read(run / "record.json") == record
    assert matrix_of(stored.decided).shape == (8, 4)


@pytest.mark.parametrize("name", ["essential", "icarl"])
def test_a_run_of_now_may_be_compared_with_an_old_one(kept: Path, name: str) -> None:
    run = kept / f"run-{name}"
    assert Record.read(run / "record.json").config == RunFolder(run).config().identity()


def test_scores_of_old_checkpoints_are_those_that_were_stored(kept: Path) -> None:
    run = kept / "run-essential"
    stored = RunFolder(run).read_predictions(1)
    (run / "record.json").unlink()
    (run / "predictions" / "task-01.safetensors").unlink()
    train(RunFolder(run).config(), run, resume=True, progress=Progress())
    again = RunFolder(run).read_predictions(1)
    assert (again.videos, again.reading) == (stored.videos, stored.reading)
    # Float32 sums of 4 x 8 numbers of size 1, in whatever order a processor adds them.
    np.testing.assert_allclose(matrix_of(again.decided), matrix_of(stored.decided), rtol=1e-4, atol=1e-4)


def test_a_run_that_was_stopped_inside_a_stage_goes_on(kept: Path) -> None:
    run = kept / "run-stopped"
    before = _epochs(run)
    record = train(RunFolder(run).config(), run, resume=True, progress=Progress())
    assert len(record.accuracy) == 2
    # An epoch after the last saved state is done again, and another processor rounds its loss differently.
    after = _epochs(run)
    assert after[: len(before)] == before
    assert (1, "task", 2) in after[len(before) :]


def _epochs(run: Path) -> list[tuple[int, str, int]]:
    """Return task, stage and epoch of every epoch in a run's log."""
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(event["task"], event["stage"], event["epoch"]) for event in events if event["event"] == "epoch"]


def test_the_shards_of_a_store_are_read(kept: Path) -> None:
    store = open_store(kept / "store", read_provenance(kept / "store"))
    assert all(store.is_done(shard) for shard in store.plan())
    read = [store.read(shard) for shard in store.plan()]
    assert {features.shape[-2:] for features, _ in read} == {(2, 128)}
    assert sum(len(note.videos) for _, note in read) == 48
    assert all(np.isfinite(features).all() for features, _ in read)


def test_a_bundle_predicts_and_counts_its_bytes(kept: Path) -> None:
    learner = VideoLearner.load(kept / "slda.bundle", overrides=["training.device=cpu"])
    assert len(learner.classes) == 8
    assert [lesson.classes for lesson in learner.lessons] == [learner.classes]
    labels, probabilities, _ = learner.labelled_predictor.answers(np.ones((2, 8, 128), np.float32))
    assert labels == learner.classes
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    bundle = Bundle.read(kept / "slda.bundle")
    assert bundle.model.labels == learner.classes
    # SLDA keeps for 8 classes of width 128, since then in 32 bits: counts, means, half of a symmetric scatter, scales
    # of means and scatter, one sum.
    assert sum(entry.bytes for entry in learner.memory) == 8 * 4 + 8 * 129 * 4 + (128 * 129 // 2 + 128) * 4 + 8


@pytest.mark.parametrize(("bits", "most"), [(2, 1.31), (4, 0.39), (8, 0.022), (16, 0.0001)])
def test_codes_in_few_bits_stand_for_the_features_that_were_stored(bits: int, most: float) -> None:
    memory = EpisodicMemory.read(KEPT / f"memory-{bits}-bits.safetensors")
    assert memory.names == ("clip 0", "clip 1", "clip 0", "clip 1", "clip 2")
    assert memory.packing is not None
    assert memory.packing.bits == bits
    assert memory.logits.isnan().sum(dim=1).tolist() == [3, 3, 0, 0, 0]
    # Two clips of a task, then three of another; 2 frames of 20 numbers each. With another rotation frames are 4 off.
    for start, stop in ((0, 2), (2, 5)):
        places = torch.arange((stop - start) * 2 * 20, dtype=torch.float64) + start * 100
        features = (3 + (places * places / 7).sin()).reshape(-1, 2, 20)
        off = (memory.features[start:stop] - features).norm(dim=2)
        assert off.max() <= most
        logits = (torch.arange((stop - start) * stop, dtype=torch.float64) * 1.7).cos().reshape(-1, stop)
        assert (memory.logits[start:stop, :stop] - logits).norm(dim=1).max() <= most
