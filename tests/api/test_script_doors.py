"""What scripts get back: in memory and from a run's folder, as numbers, arrays and tables."""

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from test_arrays import QUICK, features

import essential as es
from essential.api.listings import Catalogue, Table
from essential.engine.evaluate import TaskReport
from essential.errors import CheckpointError, RunError, TrainingError
from essential.metrics import METRICS, Scores
from essential.records.training_log import EpochReport
from small_runs import small_config

EPOCHS = 6


@pytest.fixture(scope="module")
def told() -> list[Any]:
    return []


@pytest.fixture(scope="module")
def run(small_data: Path, small_store: Path, tmp_path_factory: pytest.TempPathFactory, told: list[Any]) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "a"
    config = small_config("replay-sparse", small_data, small_store)
    es.train(config, folder, on_epoch=told.append, on_task=told.append)
    return folder


def least(scores: Scores) -> float | None:
    """Return the smallest accuracy after the last task: a metric of one's own."""
    return min(value for value in scores.matrix[-1] if value is not None)


def test_a_run_in_a_folder_is_read_as_arrays(run: Path) -> None:
    saved = es.read_run(run)
    record = json.loads((run / "record.json").read_text())
    expected = [[np.nan if value is None else value for value in row] for row in record["accuracy"]]
    assert np.array_equal(saved.accuracy, expected, equal_nan=True)
    assert np.array_equal(saved.class_accuracy, record["class_accuracy"])
    assert saved.metrics == saved.record.metrics.model_dump()
    assert least(saved.scores) == min(record["accuracy"][-1])
    assert len(saved.classes) == 8
    assert saved.predictions[3].decided.scores.shape == (16, 8)
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    rates = [event["learning_rate"] for event in events if event["event"] == "epoch"]
    assert saved.epochs["learning_rate"].tolist() == rates
    assert len(saved.epochs["task"]) == len(rates) == 4 * EPOCHS + 4 * 4
    assert len(saved.memory) == saved.record.exemplars == 16
    assert saved.config.training.epochs == EPOCHS


def test_callbacks_are_told_every_epoch_and_every_task_in_order(run: Path, told: list[Any]) -> None:
    saved = es.read_run(run)
    assert [each for each in told if isinstance(each, EpochReport)] == saved.log
    tasks = [each for each in told if isinstance(each, TaskReport)]
    assert [each.task for each in tasks] == [0, 1, 2, 3]
    assert [each.accuracy for each in tasks] == saved.accuracy_on_seen
    assert [each.memory_bytes["total"] for each in tasks] == [each.total for each in saved.memory_bytes_by_task]
    assert np.array_equal(tasks[3].predictions.decided.scores, saved.predictions[3].decided.scores)
    assert isinstance(told[-1], TaskReport)


def test_a_callback_that_raises_ends_the_run_which_can_be_resumed(
    run: Path, small_data: Path, small_store: Path, tmp_path: Path
) -> None:
    def stop(report: TaskReport) -> None:
        if report.task == 1:
            raise KeyboardInterrupt

    config = small_config("replay-sparse", small_data, small_store)
    with pytest.raises(KeyboardInterrupt):
        es.train(config, tmp_path / "b", on_task=stop)
    later: list[TaskReport] = []
    es.train(config, tmp_path / "b", resume=True, on_task=later.append)
    assert [report.task for report in later] == [2, 3]
    assert np.array_equal(es.read_run(tmp_path / "b").accuracy, es.read_run(run).accuracy, equal_nan=True)


@pytest.mark.parametrize("remedy", ["lower the rate", None])
def test_an_error_of_the_training_keeps_its_fields(
    remedy: str | None, small_data: Path, small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise TrainingError("is not finite", where="the loss", remedy=remedy)

    monkeypatch.setattr("essential.engine.run.learn_task", fail)
    with pytest.raises(TrainingError) as raised:
        es.train(small_config("finetune", small_data, small_store), tmp_path)
    assert (raised.value.problem, raised.value.where) == ("is not finite", "the loss")
    assert raised.value.remedy == "the last checkpoint is intact" + (f"; {remedy}" if remedy else "")


def test_a_part_of_a_run_that_is_missing_or_damaged_is_named_when_it_is_asked_for(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"record\.json"):
        es.read_run(tmp_path)
    copy = shutil.copytree(run, tmp_path / "copy")
    for name, part, kind in (
        ("log.jsonl", "log", RunError),
        ("config.yaml", "config", RunError),
        ("memory.safetensors", "memory", CheckpointError),
        ("predictions/task-02.safetensors", "predictions", CheckpointError),
    ):
        for content in (b"{", None):
            if content is None:
                (copy / name).unlink()
            else:
                (copy / name).write_bytes(content)
            saved = es.read_run(copy)
            with pytest.raises(kind, match=name.replace(".", r"\.")):
                getattr(saved, part)
    shutil.rmtree(copy / "predictions")
    shutil.copytree(run / "predictions", copy / "predictions")
    shutil.copy(run / "predictions/task-00.safetensors", copy / "predictions/task-01.safetensors")
    with pytest.raises(CheckpointError, match="the predictions are of other test videos than the record counts"):
        assert es.read_run(copy).predictions


def test_a_result_shows_itself_and_gives_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    y = [0, 1, 0, 1]
    tasks = es.tasks_from_arrays(features(y), y, sizes=[1, 1], test=(features(y), y))
    result = es.run(es.build_method("ncm", dim=8, frames=4), tasks, training=QUICK, metrics={"<least>": least})
    assert result.metrics.keys() >= {"final_accuracy", "<least>"}
    text = repr(result)
    assert text.splitlines()[0].split() == ["after", "task", "task", "1", "task", "2", "all", "seen", "bytes", "kept"]
    assert "&lt;least&gt;" in result._repr_html_()
    assert "<least>" not in result._repr_html_()
    monkeypatch.setitem(sys.modules, "pandas", None)
    table = result.to_frame()
    assert table["task 2"][1] == result.accuracy[1, 1]
    assert len(table) == 2
    pandas = ModuleType("pandas")
    pandas.DataFrame = dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    assert result.to_frame()["bytes kept"] == [each.total for each in result.memory_bytes_by_task]
    assert result.epochs["task"].tolist() == []


def test_tables_print_aligned_without_what_steers_a_terminal() -> None:
    table = Table({"a": ["x", "longer\x1b[31m"], "b": [1.0, float("nan")]})
    assert repr(table).splitlines() == [
        "a            b",
        "x            1.0000",
        "longer\N{REPLACEMENT CHARACTER}[31m",
    ]


def test_what_there_is_can_be_listed() -> None:
    methods = es.list_methods()
    assert "iCaRL" in methods["icarl"]
    assert {"slda-temporal", "essential"} <= {*methods}
    assert es.list_metrics().keys() == METRICS.keys()
    assert {"tiny", "clip-vit-b16"} <= {*es.list_encoders()}
    assert "tcd/ucf101-10x5" in es.list_protocols()
    assert {"folder", "ucf101", "features"} <= {*es.list_datasets()}
    broken = Catalogue({"a": "good"}, {"b": "raised ImportError"})
    assert [*broken] == ["a"]
    assert repr(broken).splitlines()[-1] == "b     cannot be used: raised ImportError"


def test_a_comparison_from_a_script(
    small_data: Path, small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from small_runs import SMALL

    monkeypatch.setattr("essential.api.compare.runs_at_once", lambda _: 1)
    overrides = [*SMALL, "training.epochs=1", f"data.root={small_data}", f"features.store={small_store}"]
    begun: list[Any] = []
    records = es.compare(
        "moving-digits",
        tmp_path,
        methods=["ncm", "finetune"],
        overrides=overrides,
        on_run=lambda run, number, count: begun.append((run.method, number, count)),
    )
    assert [name for name, _ in records] == ["ncm", "finetune"]
    assert begun == [("ncm", 1, 2), ("finetune", 2, 2)]
    assert records[0][1] == es.read_run(tmp_path / "runs" / "ncm-0").record


def test_scoring_computes_with_the_threads_that_the_config_asks_for(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from essential.engine import workspace

    predict, threads = workspace.predict, []

    def watched(*args: Any, **settings: Any) -> Any:
        threads.append(torch.get_num_threads())
        return predict(*args, **settings)

    monkeypatch.setattr(workspace, "predict", watched)
    es.evaluate(run, overrides=["training.threads=3"])
    assert threads == [3] * 4
