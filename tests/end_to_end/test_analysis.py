"""The analysis of whole runs on real video files, also when things are gone since."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from essential.analysis import analyse
from essential.cli.runs import analysis_of
from essential.engine.run import train
from essential.engine.run_folder import RunFolder
from essential.errors import CheckpointError, InUseError, RunError
from essential.files.atomic import folder_lock
from essential.files.sealed import read_sealed, write_sealed
from essential.progress import Progress
from essential.records import Record
from essential.records.analysis import Analysis
from small_runs import StopAt, small_config
from threads import THREADS

QUIET = Progress()
ARMS = ("essential", "finetune", "replay-dense")


@pytest.fixture(scope="module")
def runs(small_data: Path, small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("analysed")
    for arm in ARMS:
        train(small_config(arm, small_data, small_store), folder / arm, resume=False, progress=QUIET)
        analyse(folder / arm, progress=QUIET)
    return {arm: folder / arm for arm in ARMS}


@pytest.mark.parametrize("arm", ARMS)
def test_it_agrees_with_the_record_and_the_predictions(runs: dict[str, Path], arm: str) -> None:
    record, analysis = Record.read(runs[arm] / "record.json"), Analysis.read(runs[arm] / "analysis.json")
    assert analysis.protocol_id == record.protocol.id
    assert analysis.class_names == tuple(name for task in record.protocol.tasks for name in task.classes)
    assert analysis.class_tasks == (0, 0, 1, 1, 2, 2, 3, 3)
    assert analysis.class_accuracy_by_task[-1] == record.class_accuracy
    for task, row in enumerate(analysis.class_accuracy_by_task):
        assert [value is None for value in row] == [slot >= 2 * (task + 1) for slot in range(8)]
        of_tasks = [(row[slot], row[slot + 1]) for slot in range(0, 2 * task + 2, 2)]
        assert [sum(map(float, pair)) / 2 for pair in of_tasks] == list(record.accuracy[task][: task + 1])
    right = sum(analysis.confusion[slot][slot] for slot in range(8))
    assert sum(map(sum, analysis.confusion)) == 16
    assert right / 16 == record.metrics.final_accuracy
    # The predictor reads all frames of all test clips: the run's own accuracy.
    assert [each.frames for each in analysis.frames_kept] == list(range(1, 9))
    assert {each.clips for each in analysis.frames_kept} == {16}
    assert analysis.frames_kept[-1].accuracy == record.metrics.final_accuracy


def test_what_was_forgotten_is_named_and_shown(runs: dict[str, Path]) -> None:
    analysis = Analysis.read(runs["finetune"] / "analysis.json")
    folder = RunFolder(runs["finetune"])
    predictions = [folder.read_predictions(task) for task in range(4)]
    assert analysis.forgotten_count == len(analysis.forgotten) >= 2

    def taken_for(video: str, task: int) -> str:
        place = predictions[task].videos.index(video)
        return analysis.class_names[predictions[task].decided.slots[place, 0]]

    for clip in analysis.forgotten:
        assert taken_for(clip.video, clip.known_after_task) == clip.label
        for task in range(clip.lost_after_task, 4):
            assert taken_for(clip.video, task) != clip.label
        assert taken_for(clip.video, 3) == clip.predicted
        assert len(clip.frames) == 4
    margins = [clip.margin for clip in analysis.forgotten]
    assert margins == sorted(margins, reverse=True)


def test_exemplars_are_compared_as_they_were_as_kept_and_as_rebuilt(runs: dict[str, Path]) -> None:
    analysis = Analysis.read(runs["essential"] / "analysis.json")
    memory = RunFolder(runs["essential"]).state()
    assert memory is not None
    assert analysis.distances is not None
    assert analysis.notes == ()
    slots = memory.method["memory.slots"].tolist()
    assert [each.slot for each in analysis.distances.by_slot] == sorted(set(slots))
    assert analysis.distances.overall.exemplars == 16
    assert analysis.distances.overall.retrieved is not None
    retrieved = [each.retrieved_accuracy for each in analysis.frames_kept]
    assert [number for number, value in enumerate(retrieved, start=1) if value is not None] == [2]


def test_what_there_is_not_is_said(runs: dict[str, Path]) -> None:
    bare, whole = (Analysis.read(runs[arm] / "analysis.json") for arm in ("finetune", "replay-dense"))
    assert bare.notes == ("The run keeps no exemplars: there are no distances of them.",)
    assert whole.notes == ("Exemplars are kept with all their frames: nothing is sparse, and there are no distances.",)


def _copy(run: Path, to: Path) -> Path:
    shutil.copytree(run, to)
    (to / "analysis.json").unlink()
    return to


@pytest.mark.numeric
def test_the_same_run_gives_the_same_bytes_also_resumed(
    runs: dict[str, Path], small_data: Path, small_store: Path, tmp_path: Path
) -> None:
    again, resumed = _copy(runs["essential"], tmp_path / "again"), tmp_path / "resumed"
    torch.set_num_threads(2)
    try:
        analyse(again, progress=QUIET)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(THREADS)
    config = small_config("essential", small_data, small_store)
    with pytest.raises(StopAt.Stopped):
        train(config, resumed, resume=False, progress=StopAt("task 3 of 4: rehearsal"))
    train(config, resumed, resume=True, progress=QUIET)
    analyse(resumed, progress=QUIET)
    expected = (runs["essential"] / "analysis.json").read_bytes()
    assert (again / "analysis.json").read_bytes() == (resumed / "analysis.json").read_bytes() == expected


def test_an_analysis_that_is_there_is_read_and_the_run_is_left_as_it_is(runs: dict[str, Path], tmp_path: Path) -> None:
    run = _copy(runs["essential"], tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    first = analyse(run, progress=QUIET)
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert {path.name for path in after.keys() - before.keys()} == {"analysis.json"}
    assert {path: after[path] for path in before} == before
    (run / "state.safetensors").unlink()
    assert analyse(run, progress=QUIET) == first


def _elsewhere(run: Path, **places: str) -> None:
    """Have a run look for its data elsewhere."""
    config = RunFolder(run).config()
    data = config.data.model_copy(update={"root": Path(places["root"])} if "root" in places else {})
    features = config.features.model_copy(update={"store": Path(places["store"])} if "store" in places else {})
    RunFolder(run).write_config(config.model_copy(update={"data": data, "features": features}))


def _other_encoder(run: Path, tmp_path: Path) -> None:  # noqa: ARG001
    content = json.loads((run / "protocol.json").read_text())
    content["features"]["fingerprint"] = "0" * 64
    (run / "protocol.json").write_text(json.dumps(content))


def _no_store(run: Path, tmp_path: Path) -> None:
    _elsewhere(run, store=str(tmp_path / "nowhere"))


def _no_state(run: Path, tmp_path: Path) -> None:  # noqa: ARG001
    (run / "state.safetensors").unlink()


def _damaged_state(run: Path, tmp_path: Path) -> None:  # noqa: ARG001
    path = run / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("harm", [_no_store, _other_encoder])
def test_features_that_are_gone_cost_the_figures_that_need_them(
    runs: dict[str, Path], tmp_path: Path, harm: Callable[[Path, Path], None]
) -> None:
    run = _copy(runs["essential"], tmp_path / "run")
    harm(run, tmp_path)
    analysis = analyse(run, progress=QUIET)
    assert analysis.distances is None
    assert analysis.frames_kept == ()
    assert [note.split(" not stored")[0] for note in analysis.notes] == [
        "The features of the exemplars' videos are",
        "The features of the test videos are",
    ]
    again = "Once they are back, delete analysis.json, and report makes it again."
    assert all(note.endswith(again) for note in analysis.notes)
    assert not (tmp_path / "nowhere").exists(), "nothing is extracted"
    whole = Analysis.read(runs["essential"] / "analysis.json")
    assert analysis.forgotten == whole.forgotten
    assert analysis.confusion == whole.confusion


def _newer_features(run: Path, tmp_path: Path) -> None:  # noqa: ARG001
    content = json.loads((run / "protocol.json").read_text())
    content["features"]["of_a_newer_version"] = 1
    (run / "protocol.json").write_text(json.dumps(content))


@pytest.mark.parametrize("harm", [_no_state, _damaged_state, _newer_features])
def test_without_what_was_learned_the_predictions_still_say_what_became_of_the_clips(
    runs: dict[str, Path], tmp_path: Path, harm: Callable[[Path, Path], None]
) -> None:
    run = _copy(runs["essential"], tmp_path / "run")
    harm(run, tmp_path)
    analysis = analyse(run, progress=QUIET)
    assert (analysis.distances, analysis.frames_kept) == (None, ())
    assert len(analysis.notes) == 1
    assert analysis.notes[0].startswith("What the run has learned is not in its folder any more")
    assert analysis.confusion == Analysis.read(runs["essential"] / "analysis.json").confusion
    assert (run / "log.jsonl").stat().st_size > 0, "the log is not cut"


def test_features_told_in_another_way_are_one_clear_error(runs: dict[str, Path], tmp_path: Path) -> None:
    run = _copy(runs["finetune"], tmp_path / "run")
    _newer_features(run, tmp_path)
    with pytest.raises(RunError, match=r"protocol\.json is damaged \(.*of_a_newer_version.*\); train again"):
        RunFolder(run).origin()


def test_weights_that_are_no_numbers_cost_the_figures_of_exemplars_and_no_more(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    run = _copy(runs["essential"], tmp_path / "run")
    arrays, note = read_sealed(run / "state.safetensors", CheckpointError)
    names = [name for name, array in arrays.items() if "predictor" in name and array.dtype.kind == "f"]
    assert names
    broken = {name: np.full_like(array, np.nan) if name in names else array for name, array in arrays.items()}
    write_sealed(run / "state.safetensors", broken, note)
    analysis = analyse(run, progress=QUIET)
    assert analysis.distances is None
    assert analysis.notes[0].startswith("What the run has learned makes no finite numbers of its exemplars")
    assert analysis.confusion == Analysis.read(runs["essential"] / "analysis.json").confusion


def test_an_analysis_or_predictions_of_another_run_are_refused(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = _copy(runs["essential"], tmp_path / "run")
    shutil.copy(runs["finetune"] / "analysis.json", run)
    with pytest.raises(RunError, match=r"run is of another run \(by its accuracies of the classes\).*; delete it"):
        analyse(run, progress=QUIET)
    assert analysis_of(run) is None
    assert "note: no analysis of" in capsys.readouterr().err
    (run / "analysis.json").unlink()
    for path in (runs["finetune"] / "predictions").iterdir():
        shutil.copy(path, run / "predictions")
    with pytest.raises(RunError, match=r"the predictions in .*run are of another run than its record"):
        analyse(run, progress=QUIET)
    assert not (run / "analysis.json").exists()


def test_videos_that_moved_away_have_no_pictures(runs: dict[str, Path], tmp_path: Path) -> None:
    run = _copy(runs["finetune"], tmp_path / "run")
    _elsewhere(run, root=str(tmp_path / "moved"))
    analysis, whole = analyse(run, progress=QUIET), Analysis.read(runs["finetune"] / "analysis.json")
    count = len(whole.forgotten)
    assert [clip.model_copy(update={"frames": ()}) for clip in whole.forgotten] == list(analysis.forgotten)
    assert analysis.notes[-1] == (
        f"The videos of {count} of the {count} forgotten clips shown are not there, or not any more. "
        "Once they are back, delete analysis.json, and report makes it again."
    )
    assert analysis.frames_kept == whole.frames_kept, "the features are in the store"
    assert str(tmp_path) not in (run / "analysis.json").read_text()


def test_a_run_that_cannot_be_analysed_says_why(runs: dict[str, Path], tmp_path: Path) -> None:
    run = _copy(runs["essential"], tmp_path / "run")
    with folder_lock(run), pytest.raises(InUseError, match="is in use by process"):
        analyse(run, progress=QUIET)
    (run / "predictions" / "task-02.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"task-02.safetensors is missing"):
        analyse(run, progress=QUIET)
    record = Record.read(run / "record.json")
    other = record.protocol.model_copy(update={"id": "another"})
    record.model_copy(update={"protocol": other}).write(run / "record.json")
    with pytest.raises(RunError, match="holds the record of another protocol than its own"):
        analyse(run, progress=QUIET)
    (run / "record.json").unlink()
    with pytest.raises(RunError, match=r"record.json is missing; .* let the run end first"):
        analyse(run, progress=QUIET)
    assert not (run / "analysis.json").exists()


def test_commands_take_the_analysis_that_came_with_a_record_and_miss_none_without(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(runs["essential"] / "record.json", tmp_path)
    assert analysis_of(tmp_path) is None
    shutil.copy(runs["essential"] / "analysis.json", tmp_path)
    assert analysis_of(tmp_path) == Analysis.read(runs["essential"] / "analysis.json")
    assert capsys.readouterr().err == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["analysis.json", "record.json"]
