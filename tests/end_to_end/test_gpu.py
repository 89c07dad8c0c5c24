"""On a GPU: the same answers as on a CPU, and a run that goes on as if it had not stopped.

The other tests train on the GPU too where there is one, all methods among them (`tests/cli/test_features.py`). What a
GPU and a CPU train is compared in float64 (`in_float64.py`).
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from essential.encoders import EncoderConfig, build_encoder
from essential.engine.run import train
from essential.errors import CheckpointError
from essential.features.pipeline import ClipEncoder
from essential.files.sealed import read_sealed
from essential.learner import VideoLearner
from essential.progress import Progress
from small_runs import StopAt, record_without_seconds, run_command, run_ranks, small_config, small_overrides
from small_video_networks import ARGUMENTS
from small_video_networks import small_config as small_network

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here"),
]
QUIET = Progress()
# In float64, as derived in `test_ranks.py`, with a hundredfold for a device that computes exponentials in its own way.
_APART = 1e-6
EXACT = "training.mixed_precision=false"


def _scores(run: Path) -> dict[str, np.ndarray]:
    files = sorted((run / "predictions").glob("*.safetensors"))
    assert files
    return {
        f"{file.name} {name}": array for file in files for name, array in read_sealed(file, CheckpointError)[0].items()
    }


@pytest.mark.usefixtures("float64")
def test_a_gpu_scores_as_a_cpu_does(small_data: Path, tmp_path: Path) -> None:
    for device in ("cpu", "cuda"):
        # Without what is drawn where the clips are: a GPU draws other numbers.
        config = small_config(
            "replay-sparse",
            small_data,
            tmp_path / "features",
            EXACT,
            f"training.device={device}",
            "method.classifier.dropout=0",
            "method.classifier.drop_path=0",
        )
        train(config, tmp_path / device, resume=False, progress=QUIET)
    on_cpu, on_gpu = _scores(tmp_path / "cpu"), _scores(tmp_path / "cuda")
    assert on_cpu.keys() == on_gpu.keys()
    for name, scores in on_cpu.items():
        np.testing.assert_allclose(on_gpu[name], scores, rtol=2.0**-23, atol=_APART, err_msg=name)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(
    "method",
    [
        "essential",
        "essential method.memory_mode=identity",
        "essential method.memory_mode=global",
        "essential method.reading=released",
        "replay-sparse",
        "replay-dense method.rehearsal=mixed",
        "finetune",
        "joint",
    ],
)
def test_recorded_steps_give_what_steps_as_they_come_do(
    small_data: Path, small_store: Path, tmp_path: Path, method: str, mixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two whole batches in an epoch of the first task and one that is not.
    settings = ("training.device=cuda", f"training.mixed_precision={mixed}", "training.drop_last=false")
    name, *overrides = method.split()
    config = small_config(name, small_data, small_store, *settings, "training.batch_size=3", *overrides)
    replayed = []
    replay = torch.cuda.CUDAGraph.replay
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", lambda graph: replayed.append(replay(graph)))
    train(config, tmp_path / "recorded", resume=False, progress=QUIET)
    assert replayed
    replayed.clear()
    monkeypatch.setattr("essential.engine.cuda_graph._BEFORE", 10**9)
    train(config, tmp_path / "as they come", resume=False, progress=QUIET)
    assert not replayed
    assert record_without_seconds(tmp_path / "recorded") == record_without_seconds(tmp_path / "as they come")
    expected = _scores(tmp_path / "as they come")
    for name, scores in _scores(tmp_path / "recorded").items():
        np.testing.assert_array_equal(scores, expected[name], err_msg=name)


def test_a_loss_that_looks_at_the_cpu_is_not_recorded(small_data: Path, small_store: Path, tmp_path: Path) -> None:
    settings = [part for each in small_overrides(small_data, small_store, rehearsal=False) for part in ("-s", each)]
    arguments = ("--config", "moving-digits/finetune", "--method", "replay-tc", "--out", tmp_path / "run")
    ended = run_command("train", *arguments, *settings)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("retrieve", ["once", "every-step"])
def test_a_stopped_run_goes_on_to_the_same_numbers(
    small_data: Path, small_store: Path, tmp_path: Path, retrieve: str, mixed: bool
) -> None:
    settings = ("training.device=cuda", f"method.retrieve={retrieve}", f"training.mixed_precision={mixed}")
    config = small_config("essential", small_data, small_store, *settings)
    train(config, tmp_path / "whole", resume=False, progress=QUIET)
    with pytest.raises(StopAt.Stopped):
        train(config, tmp_path / "run", resume=False, progress=StopAt("task 2 of 4: rehearsal"))
    train(config, tmp_path / "run", resume=True, progress=QUIET)
    assert record_without_seconds(tmp_path / "run") == record_without_seconds(tmp_path / "whole")
    expected = _scores(tmp_path / "whole")
    for name, scores in _scores(tmp_path / "run").items():
        np.testing.assert_array_equal(scores, expected[name], err_msg=name)


@pytest.mark.usefixtures("float64")
def test_ranks_that_share_a_gpu_do_what_one_process_does(small_data: Path, tmp_path: Path) -> None:
    settings = [EXACT, "training.device=cuda", "method.classifier.dropout=0", "method.classifier.drop_path=0"]
    store = tmp_path / "features"
    train(small_config("essential", small_data, store, *settings), tmp_path / "one", resume=False, progress=QUIET)
    overrides = [part for each in small_overrides(small_data, store, *settings) for part in ("-s", each)]
    ended = run_ranks("train", "--config", "moving-digits/essential", "--out", tmp_path / "two", *overrides)
    assert ended.returncode == 0, ended.stderr
    expected = _scores(tmp_path / "one")
    for name, scores in _scores(tmp_path / "two").items():
        np.testing.assert_allclose(scores, expected[name], rtol=2.0**-23, atol=_APART, err_msg=name)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["tiny", *ARGUMENTS])
def test_a_gpu_encodes_as_a_cpu_does(name: str, precision: str) -> None:
    torch.manual_seed(0)
    config = small_network(name) if name in ARGUMENTS else EncoderConfig(name=name)
    one = build_encoder(config)
    size = one.pixel_format.size
    clips = torch.rand(5, 2, one.frames_read(8), 3, size, size)
    found = {}
    for device in ("cpu", "cuda"):
        encoder = build_encoder(config).to(device)
        used = precision if device == "cuda" else "float32"
        batches = ClipEncoder(encoder, frames=8, batch_clips=3, precision=used)
        features = [each for place, video in enumerate(clips) for each in batches.add(place, video)]
        found[device] = dict([*features, *batches.finish()])
    assert found["cpu"].keys() == found["cuda"].keys() == set(range(5))
    for place, features in found["cpu"].items():
        off = np.linalg.norm(found["cuda"][place] - features) / np.linalg.norm(features)
        assert off < (1e-3 if precision == "float32" else 0.03)


def test_a_learner_taught_on_a_gpu_answers_on_a_cpu(small_data: Path, tmp_path: Path) -> None:
    folders = sorted((small_data / "train").iterdir())
    overrides = ["training.epochs=20", "method.rehearsal_epochs=20", "features.views=0"]
    learner = VideoLearner(config="moving-digits/essential", overrides=overrides)
    for some in (folders[:2], folders[2:4]):
        learner.learn({folder.name: sorted(folder.iterdir()) for folder in some})
    learner.save(tmp_path / "gpu.bundle")
    test = sorted((small_data / "test").rglob("*.mp4"))
    on_cpu = VideoLearner.load(tmp_path / "gpu.bundle", overrides=["training.device=cpu"]).predict(test)
    on_gpu = learner.predict(test)
    assert len(on_cpu) == len(test) >= 8
    for one, other in zip(on_gpu, on_cpu, strict=True):
        assert dict(one.top) == pytest.approx(dict(other.top), abs=0.02)
