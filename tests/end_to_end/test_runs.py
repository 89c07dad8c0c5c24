"""Whole runs on real video files: the record, the files of a run, and that nothing depends on luck."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from essential.engine.run import extract, train
from essential.engine.run_folder import RunFolder
from essential.engine.score import evaluate
from essential.errors import CheckpointError, ConfigError, DataError, RunError, StoreError
from essential.files.sealed import read_sealed
from essential.memory.episodic import EpisodicMemory
from essential.progress import Progress
from essential.records import Record
from ranked_scores import matrix_of
from small_runs import StopAt, record_without_seconds, small_config

ARMS = ("essential", "joint", "finetune", "replay-dense", "replay-sparse")
QUIET = Progress()


@pytest.fixture(scope="module")
def runs(small_data: Path, small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for arm in ARMS:
        train(small_config(arm, small_data, small_store), folder / arm, resume=False, progress=QUIET)
    return {arm: folder / arm for arm in ARMS}


@pytest.mark.parametrize("arm", ARMS)
def test_the_record_says_what_was_done(runs: dict[str, Path], arm: str) -> None:
    record = json.loads((runs[arm] / "record.json").read_text())
    assert record["schema_version"] == 3
    assert [len(task["classes"]) for task in record["protocol"]["tasks"]] == [2, 2, 2, 2]
    assert [task["train_videos"] for task in record["protocol"]["tasks"]] == [8, 8, 8, 8]
    assert [task["test_videos"] for task in record["protocol"]["tasks"]] == [4, 4, 4, 4]
    assert record["method"]["name"] == arm.split("-", maxsplit=1)[0]
    assert record["method"]["config"]["needs_all_tasks"] is (arm == "joint")
    assert record["encoder"]["name"] == "tiny"
    for row, values in enumerate(record["accuracy"]):
        assert [value is None for value in values] == [column > row for column in range(4)]
    assert record["skipped_videos"] == []
    assert record["seconds"].keys() == {"extract", "train", "evaluate"}
    assert record["exemplars"] == (16 if arm in {"essential", "replay-dense", "replay-sparse"} else 0)
    assert record["reading"] == "cnn"
    arrays, _ = read_sealed(runs[arm] / "checkpoints" / "task-03.safetensors", CheckpointError)
    predictor = sum(array.size for name, array in arrays.items() if name != "exemplar_means")
    assert (record["trainable_parameters"] > predictor) is (arm == "essential"), "its MR module, and only the last"
    assert arm == "essential" or record["trainable_parameters"] == predictor


@pytest.mark.parametrize("arm", ARMS)
def test_the_metrics_follow_from_the_stored_predictions(runs: dict[str, Path], arm: str) -> None:
    record = Record.read(runs[arm] / "record.json")
    seen_accuracies, matrix = [], []
    for task in range(4):
        predictions = RunFolder(runs[arm]).read_predictions(task)
        scores = matrix_of(predictions.decided)
        assert scores.shape == (4 * (task + 1), 2 * (task + 1))
        right = [int(np.argmax(row)) == slot for row, slot in zip(scores, predictions.slots, strict=True)]
        seen_accuracies.append(sum(right) / len(right))
        matrix.append([sum(right[4 * j : 4 * j + 4]) / 4 for j in range(task + 1)])
    assert record.metrics.final_accuracy == pytest.approx(seen_accuracies[-1])
    assert record.metrics.average_incremental_accuracy == pytest.approx(sum(seen_accuracies) / 4)
    bwf = sum(matrix[j][j] - matrix[3][j] for j in range(3)) / 3
    assert record.metrics.backward_forgetting == pytest.approx(bwf)
    best = sum(max(matrix[i][j] for i in range(j, 4)) - matrix[3][j] for j in range(3)) / 3
    assert record.metrics.forgetting_from_best == pytest.approx(best)
    # All tasks have as many classes and as many test videos.
    assert record.metrics.vclimb_accuracy == record.metrics.vclimb_accuracy_unweighted
    assert record.metrics.vclimb_accuracy == pytest.approx(sum(matrix[3]) / 4)
    assert record.metrics.vclimb_bwf == pytest.approx(bwf)
    steps = [sum(matrix[i][j] - matrix[i + 1][j] for j in range(i + 1)) / (i + 1) for i in range(3)]
    assert record.metrics.tcd_forgetting == pytest.approx(sum(steps) / 3)
    of_class = [[each for each, slot in zip(right, predictions.slots, strict=True) if slot == s] for s in range(8)]
    assert record.class_accuracy == tuple(sum(each) / len(each) for each in of_class)


@pytest.mark.parametrize("arm", ARMS)
def test_methods_with_exemplars_are_also_scored_by_their_means(runs: dict[str, Path], arm: str) -> None:
    metrics = Record.read(runs[arm] / "record.json").metrics
    assert metrics.average_incremental_accuracy_cnn == metrics.average_incremental_accuracy
    predictions = [RunFolder(runs[arm]).read_predictions(task) for task in range(4)]
    if arm in {"joint", "finetune"}:
        assert metrics.average_incremental_accuracy_nme is None
        assert [list(each.rankings) for each in predictions] == [["cnn"]] * 4
        return
    shares = [float((matrix_of(each.rankings["nme"]).argmax(axis=1) == each.slots).mean()) for each in predictions]
    assert metrics.average_incremental_accuracy_nme == pytest.approx(sum(shares) / 4)


def test_memory_is_counted_to_the_byte(runs: dict[str, Path]) -> None:
    for arm in ("essential", "replay-dense", "replay-sparse"):
        record = Record.read(runs[arm] / "record.json")
        assert record.memory_bytes.episodic == (runs[arm] / "memory.safetensors").stat().st_size
    essential = Record.read(runs["essential"] / "record.json").memory_bytes
    assert essential.semantic == 4 * 8 * 128 * 4
    assert essential.retrieval_modules > essential.episodic
    assert Record.read(runs["joint"] / "record.json").memory_bytes.total == 0


def test_the_memory_file_holds_the_plain_features_of_the_kept_frames(runs: dict[str, Path]) -> None:
    from essential.engine.workspace import open_workspace

    memory = EpisodicMemory.read(runs["essential"] / "memory.safetensors")
    workspace = open_workspace(RunFolder(runs["essential"]).config(), QUIET)
    videos = {video.key: video for video in workspace.protocol.videos}
    source = workspace.source(workspace.protocol.videos, QUIET)
    for index, name in enumerate(memory.names):
        dense = source.view([videos[name]], 0).rows(torch.tensor([0]))[0]
        assert torch.equal(memory.features[index], dense[memory.positions[index]])
        assert workspace.protocol.slots[videos[name].label] == memory.slots[index]


@pytest.mark.numeric
def test_the_same_seed_gives_the_same_record_and_another_seed_another(
    runs: dict[str, Path], small_data: Path, small_store: Path, tmp_path: Path
) -> None:
    train(small_config("essential", small_data, small_store), tmp_path / "same", resume=False, progress=QUIET)
    assert record_without_seconds(tmp_path / "same") == record_without_seconds(runs["essential"])
    assert (tmp_path / "same/state.safetensors").read_bytes()[-4096:] == (
        runs["essential"] / "state.safetensors"
    ).read_bytes()[-4096:]
    train(small_config("essential", small_data, small_store, "seed=1"), tmp_path / "b", resume=False, progress=QUIET)
    ours, theirs = (RunFolder(path).read_predictions(3).decided.scores for path in (tmp_path / "b", runs["essential"]))
    assert not np.array_equal(ours, theirs)


@pytest.mark.numeric
def test_live_and_stored_features_give_the_same_record(small_data: Path, tmp_path: Path) -> None:
    # Two epochs read views 1 and 2; a store of as many views holds the very same pixels.
    names = ("stored", "live")
    for name in names:
        more = (f"features.mode={name}", "features.views=2", "training.epochs=2")
        config = small_config("essential", small_data, tmp_path / "store", *more)
        train(config, tmp_path / name, resume=False, progress=QUIET)
    stored, live = (record_without_seconds(tmp_path / name) for name in names)
    assert stored["accuracy"] == live["accuracy"]
    scores = [RunFolder(tmp_path / name).read_predictions(3).decided.scores for name in names]
    np.testing.assert_array_equal(*scores)


@pytest.mark.numeric
def test_evaluation_from_the_checkpoints_alone_gives_the_same_accuracies(runs: dict[str, Path], tmp_path: Path) -> None:
    for arm in ARMS:
        copy = tmp_path / arm
        shutil.copytree(runs[arm], copy)
        for name in ("state.safetensors", "memory.safetensors"):
            (copy / name).unlink(missing_ok=True)
        shutil.rmtree(copy / "predictions")
        record = evaluate(copy, progress=QUIET)
        assert record.accuracy == Record.read(runs[arm] / "record.json").accuracy
        assert record == Record.read(runs[arm] / "record.json")


class _StopInside(Progress):
    """Stops a run after the third epoch of the third task's first stage."""

    class Stopped(Exception):
        """The epoch ended."""

    def start(self, title: str, total: int) -> None:  # noqa: ARG002
        self._title = title

    def advance(self, done: int, note: str = "", *, total: int | None = None) -> None:  # noqa: ARG002
        if (self._title, done) == ("task 3 of 4: task", 3):
            raise self.Stopped


@pytest.mark.numeric
def test_a_run_on_plain_and_augmented_views_resumes_with_the_view_whose_turn_it_is(
    runs: dict[str, Path], small_data: Path, small_store: Path, tmp_path: Path
) -> None:
    # The state is of the second epoch, after one of the plain view and one of the first augmented view.
    config = small_config("essential", small_data, small_store, "features.train_on=both")
    train(config, tmp_path / "whole", resume=False, progress=QUIET)
    with pytest.raises(_StopInside.Stopped):
        train(config, tmp_path / "resumed", resume=False, progress=_StopInside())
    train(config, tmp_path / "resumed", resume=True, progress=QUIET)
    of_whole, of_resumed, of_augmented = (
        RunFolder(folder).read_predictions(3).decided.scores
        for folder in (tmp_path / "whole", tmp_path / "resumed", runs["essential"])
    )
    np.testing.assert_array_equal(of_whole, of_resumed)
    assert not np.array_equal(of_whole, of_augmented)


def test_old_videos_and_their_features_are_not_needed_for_the_next_task(
    runs: dict[str, Path], small_data: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(small_data, data)
    config = small_config("essential", data, tmp_path / "store")
    with pytest.raises(StopAt.Stopped):
        train(config, tmp_path / "run", resume=False, progress=StopAt("task 3 of 4: task"))
    tasks = json.loads((tmp_path / "run/protocol.json").read_text())["tasks"]
    gone = [key for task in tasks[:2] for key in task["train"]]
    assert len(gone) == 16
    for key in gone:
        (data / key).unlink()
    shutil.rmtree(tmp_path / "store")
    train(config, tmp_path / "run", resume=True, progress=QUIET)
    assert record_without_seconds(tmp_path / "run") == record_without_seconds(runs["essential"])
    stored = [str(path.read_bytes()) for path in (tmp_path / "store" / "shards").iterdir()]
    assert stored
    assert not any(key in content for key in gone for content in stored)


def test_a_finished_run_is_read_and_not_repeated(runs: dict[str, Path], small_data: Path, small_store: Path) -> None:
    before = (runs["finetune"] / "record.json").stat().st_mtime_ns
    config = small_config("finetune", small_data, small_store)
    train(config, runs["finetune"], resume=True, progress=QUIET)
    assert (runs["finetune"] / "record.json").stat().st_mtime_ns == before
    with pytest.raises(RunError, match="holds a run already; add --resume"):
        train(config, runs["finetune"], resume=False, progress=QUIET)


def test_a_run_resumes_only_with_its_own_config(runs: dict[str, Path], small_data: Path, small_store: Path) -> None:
    config = small_config("essential", small_data, small_store, "training.epochs=7")
    with pytest.raises(RunError, match=r"another config: training\.epochs: there 6, here 7; use the run's own config"):
        train(config, runs["essential"], resume=True, progress=QUIET)


def test_settled_modules_are_written_once_and_refused_when_they_are_others(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(runs["essential"], copy)
    (copy / "record.json").unlink()
    parts = sorted(path.name for path in (copy / "settled").iterdir())
    assert parts == [f"retrieval.{task}.safetensors" for task in range(3)]
    arrays, _ = read_sealed(copy / "state.safetensors", CheckpointError)
    assert {name.split(".")[3] for name in arrays if name.startswith("method.network.retrieval.")} == {"3"}
    saved = RunFolder(copy).state()
    assert saved is not None
    assert {name.split(".")[2] for name in saved.method if name.startswith("network.retrieval.")} == set("0123")
    shutil.copyfile(copy / "settled" / parts[0], copy / "settled" / parts[1])
    with pytest.raises(
        CheckpointError, match=r"retrieval\.1\.safetensors is not the one that .*state\.safetensors names"
    ):
        train(RunFolder(copy).config(), copy, resume=True, progress=QUIET)
    (copy / "settled" / parts[1]).unlink()
    with pytest.raises(CheckpointError, match=r"retrieval\.1\.safetensors is missing"):
        train(RunFolder(copy).config(), copy, resume=True, progress=QUIET)


def test_a_damaged_checkpoint_and_a_damaged_state_are_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(runs["essential"], copy)
    _flip_last_byte(copy / "checkpoints" / "task-02.safetensors")
    with pytest.raises(CheckpointError, match=r"task-02\.safetensors is damaged"):
        evaluate(copy, progress=QUIET)
    (copy / "record.json").unlink()
    _flip_last_byte(copy / "state.safetensors")
    with pytest.raises(CheckpointError, match=r"state\.safetensors is damaged"):
        train(RunFolder(copy).config(), copy, resume=True, progress=QUIET)


def test_a_store_of_another_recipe_is_refused(small_data: Path, small_store: Path, tmp_path: Path) -> None:
    extract(small_config("finetune", small_data, small_store), progress=QUIET)
    config = small_config("finetune", small_data, small_store, "features.views=3", "video.frames=4")
    with pytest.raises(StoreError, match=r"sampling\.frames: 8 in the store, 4 wanted(.|\n)*views: 2 in the store, 3"):
        train(config, tmp_path / "run", resume=False, progress=QUIET)


@pytest.mark.parametrize(
    ("setting", "problem"), [("method.frames_kept=9", "9 is more than"), ("method.budget_bytes=10", "leaves 10 bytes")]
)
def test_settings_that_do_not_fit_make_no_folder(
    small_data: Path, small_store: Path, tmp_path: Path, setting: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        train(small_config("replay-sparse", small_data, small_store, setting), tmp_path / "run", progress=QUIET)

    assert not (tmp_path / "run").exists()


def _flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_run_keeps_to_the_videos_it_began_with(small_data: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(small_data, data)
    broken = sorted((data / "test").glob("*/*"))[0]
    content = broken.read_bytes()
    broken.write_bytes(b"")
    config = small_config(
        "replay-sparse", data, tmp_path / "store", "data.kind=folder", "features.on_broken_video=skip"
    )
    with pytest.raises(StopAt.Stopped):
        train(config, tmp_path / "run", resume=False, progress=StopAt("task 3 of 4: task"))
    broken.write_bytes(content)
    record = train(config, tmp_path / "run", resume=True, progress=QUIET)
    assert [video.video for video in record.skipped_videos] == [broken.relative_to(data).as_posix()]
    counts = [len(RunFolder(tmp_path / "run").read_predictions(task).videos) for task in range(4)]
    assert counts[-1] == 15
    assert sum(task.test_videos for task in record.protocol.tasks) == 15
    assert evaluate(tmp_path / "run", progress=QUIET).accuracy == record.accuracy


def test_a_video_that_breaks_after_the_run_began_stops_it(small_data: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(small_data, data)
    more = ("data.kind=folder", "features.mode=live", "features.on_broken_video=skip")
    config = small_config("finetune", data, tmp_path / "store", *more)
    with pytest.raises(StopAt.Stopped):
        train(config, tmp_path / "run", resume=False, progress=StopAt("task 2 of 4: task"))
    lost = RunFolder(tmp_path / "run").protocol(data).tasks[2].train[0]
    lost.path.unlink()
    with pytest.raises(
        DataError, match=rf"could be read when .*run began and cannot be now: 1\n  {lost.key}: there is"
    ):
        train(config, tmp_path / "run", resume=True, progress=QUIET)


def test_lost_predictions_are_made_again_from_the_checkpoints(runs: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(runs["essential"], copy)
    (copy / "record.json").unlink()
    _flip_last_byte(copy / "predictions" / "task-01.safetensors")
    (copy / "predictions" / "task-02.safetensors").unlink()
    train(RunFolder(copy).config(), copy, resume=True, progress=QUIET)
    assert record_without_seconds(copy) == record_without_seconds(runs["essential"])


def test_a_damaged_config_or_protocol_of_a_run_is_one_clear_error(runs: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(runs["finetune"], copy)
    (copy / "protocol.json").write_text("{")
    with pytest.raises(RunError, match=r"protocol\.json is damaged"):
        evaluate(copy, progress=QUIET)
    (copy / "config.yaml").write_text("data: [")
    with pytest.raises(RunError, match=r"config\.yaml cannot be read"):
        evaluate(copy, progress=QUIET)
