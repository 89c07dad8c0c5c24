"""A run's figures in TensorBoard and Weights & Biases: all of them, each once, and never at the cost of the run."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from essential.engine.run import train
from essential.engine.settings import RunConfig
from essential.errors import ConfigError
from essential.progress import Progress
from essential.records import Record
from essential.report import WatchPage
from essential.tracking import open_sinks, scalars_of
from small_runs import StopAt, record_without_seconds, small_config

Points = dict[str, list[tuple[int, float]]]


@pytest.fixture
def config(small_data: Path, small_store: Path) -> RunConfig:
    return small_config("essential", small_data, small_store, "training.epochs=3", "method.rehearsal_epochs=2")


def _train(config: RunConfig, out: Path, *, warnings: list[str], progress: Any = None, **asked: Any) -> Record:
    sinks = {"tensorboard": None, "wandb": None, **asked}
    with open_sinks(**sinks, warn=warnings.append) as sink:
        return train(config, out, resume=True, progress=progress or Progress(), sink=sink)


def _stopped(config: RunConfig, out: Path, **asked: Any) -> None:
    """Train until the third task's rehearsal, and fall over there as a crash would."""
    with pytest.raises(StopAt.Stopped):
        _train(config, out, warnings=[], progress=StopAt("task 3 of 4: rehearsal"), **asked)


def _logged(run: Path) -> Points:
    """Return what the log says, by the names that plots have."""
    points: Points = {}
    for step, line in enumerate((run / "log.jsonl").read_text().splitlines()):
        for name, value in scalars_of(json.loads(line)).items():
            points.setdefault(name, []).append((step, value))
    return points


def _shown(folder: Path) -> Points:
    """Return what TensorBoard shows of a folder."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_figures_of_an_epoch_and_of_an_evaluation() -> None:
    epoch = {"event": "epoch", "task": 1, "stage": "task", "epoch": 0, "losses": {"a": 0.5, "b": 1}, "learning_rate": 2}
    assert scalars_of(epoch) == {
        "task": 1,
        "loss/task": 1.5,
        "loss/task/a": 0.5,
        "loss/task/b": 1,
        "learning_rate/task": 2,
    }
    evaluation = {"event": "evaluation", "task": 0, "accuracy": None, "memory_bytes": {"episodic": 7}}
    assert scalars_of(evaluation) == {"task": 0, "memory_bytes/episodic": 7}


def test_tensorboard_shows_what_the_log_says_also_of_a_run_that_was_gone_on_with(
    config: RunConfig, tmp_path: Path
) -> None:
    run, events, warnings = tmp_path / "run", tmp_path / "events", list[str]()
    _stopped(config, run, tensorboard=events)
    # As a kill between two checkpoints leaves it: figures that the next process has not heard of.
    with (run / "log.jsonl").open("a") as log:
        log.write("{}\n")
    with open_sinks(tensorboard=events, wandb=None, warn=warnings.append) as sink:
        lines = len((run / "log.jsonl").read_text().splitlines())
        sink.start(run, {}, first_step=lines)
        sink.write(lines, {"event": "evaluation", "task": 9, "accuracy": 0.123, "memory_bytes": {}})
    record = _train(config, run, warnings=warnings, tensorboard=events)
    logged, shown = _logged(run), _shown(events)
    assert shown.keys() == logged.keys()
    for name, points in logged.items():
        assert [step for step, _ in shown[name]] == [step for step, _ in points], name
        assert [value for _, value in shown[name]] == pytest.approx([value for _, value in points]), name
    assert len(logged["accuracy/seen"]) == 4
    assert logged["accuracy/seen"][-1][1] == record.metrics.final_accuracy
    assert logged["memory_bytes/episodic"][-1][1] == record.memory_bytes.episodic
    assert len(logged["loss/rehearsal"]) == 4 * 2
    assert "learning_rate/task" in logged
    assert warnings == []


class _Run:
    """What `wandb.init` returns, as far as it is used: it refuses steps that have passed, as the real one does."""

    def __init__(self, history: list[tuple[int, dict[str, float]]]) -> None:
        self._history = history
        self.step = history[-1][0] + 1 if history else 0
        self.finished = False

    def log(self, data: Mapping[str, float], *, step: int) -> None:
        assert step >= self.step, "wandb would drop it, with a warning of its own"
        self.step = step
        self._history.append((step, dict(data)))

    def finish(self) -> None:
        self.finished = True


class _Library(SimpleNamespace):
    """A stand-in for the module `wandb`: remembers the runs by their id."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[dict[str, Any]] = []
        self.runs: list[_Run] = []
        self.histories: dict[str, list[tuple[int, dict[str, float]]]] = {}

    def init(self, **arguments: Any) -> _Run:
        self.calls.append(arguments)
        self.runs.append(_Run(self.histories.setdefault(arguments["id"], [])))
        return self.runs[-1]


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> _Library:
    library = _Library()
    monkeypatch.setitem(sys.modules, "wandb", library)
    return library


def test_wandb_gets_every_figure_once_under_one_run(config: RunConfig, tmp_path: Path, wandb: _Library) -> None:
    run, warnings = tmp_path / "run", list[str]()
    _stopped(config, run, wandb="clips")
    # As a kill between two checkpoints leaves it: a step that was sent, and comes again.
    ahead = len((run / "log.jsonl").read_text().splitlines())
    (history,) = wandb.histories.values()
    history.append((ahead, {}))
    _train(config, run, warnings=warnings, wandb="clips")
    history.remove((ahead, {}))
    assert warnings == []
    assert len({call["id"] for call in wandb.calls}) == 1
    assert all(one.finished for one in wandb.runs)
    first = wandb.calls[0]
    assert (first["project"], first["name"], first["resume"]) == ("clips", "run", "allow")
    assert first["config"]["training"]["epochs"] == 3
    sent: Points = {}
    for step, figures in history:
        for name, value in figures.items():
            sent.setdefault(name, []).append((step, value))
    assert sent == {name: [point for point in points if point[0] != ahead] for name, points in _logged(run).items()}


def test_a_run_that_starts_anew_is_another_one_there(config: RunConfig, tmp_path: Path, wandb: _Library) -> None:
    for _ in range(2):
        with open_sinks(tensorboard=None, wandb="clips", warn=pytest.fail) as sink:
            sink.start(tmp_path, {}, first_step=0)
    assert len(wandb.histories) == 2
    with open_sinks(tensorboard=None, wandb="other", warn=pytest.fail) as sink:
        sink.start(tmp_path, {}, first_step=3)
    assert len(wandb.histories) == 3
    assert config.seed == 0


@pytest.mark.parametrize("breaks", ["init", "log", "finish"])
def test_a_sink_that_fails_costs_one_warning_and_no_number(
    breaks: str, config: RunConfig, tmp_path: Path, wandb: _Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("the network is down")

    monkeypatch.setattr(wandb if breaks == "init" else _Run, breaks, fail)
    warnings: list[str] = []
    quick = config.model_copy(update={"training": config.training.model_copy(update={"epochs": 1})})
    _train(quick, tmp_path / "run", warnings=warnings, wandb="clips")
    train(quick, tmp_path / "alone", resume=False, progress=Progress())
    assert len(warnings) == 1
    assert warnings[0].startswith(
        "Weights & Biases gets no more of this run's figures (ConnectionError: the network is"
    )
    assert record_without_seconds(tmp_path / "run") == record_without_seconds(tmp_path / "alone")


@pytest.mark.parametrize(
    ("asked", "module", "install"),
    [
        ({"tensorboard": Path("events")}, "torch.utils.tensorboard", r"essential-video\[tensorboard\]"),
        ({"wandb": "clips"}, "wandb", r"essential-video\[wandb\]"),
    ],
)
def test_without_the_library_there_is_one_error_that_says_how_to_get_it(
    asked: dict[str, Any], module: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    sinks = {"tensorboard": None, "wandb": None, **asked}
    with pytest.raises(ConfigError, match=install), open_sinks(**sinks, warn=pytest.fail):
        pass


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events").touch()
    with (
        pytest.raises(ConfigError, match=r"events is a file; give a folder"),
        open_sinks(tensorboard=tmp_path / "events", wandb=None, warn=pytest.fail),
    ):
        pass


def _page(run: Path) -> str:
    return " ".join(
        re.sub("<[^>]+>", " ", (run / "report.html").read_text(encoding="utf-8").split("<body>")[1]).split()
    )


def test_the_page_of_a_run_stops_with_it_and_goes_on_with_it(config: RunConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    page = WatchPage(run / "report.html", StopAt("task 3 of 4: rehearsal"))
    with pytest.raises(StopAt.Stopped):
        _train(config, run, warnings=[], progress=page.progress, page=page)
    assert "Tasks learned 2 of 4" in _page(run)
    assert "stopped: the same command with --resume continues it" in _page(run)
    page, warnings = WatchPage(run / "report.html"), list[str]()
    record = _train(config, run, warnings=warnings, progress=page.progress, page=page)
    assert warnings == []
    shown = _page(run)
    assert "Tasks learned 4 of 4" in shown
    for row in record.accuracy:
        assert " ".join(f"{100 * value:.1f}" for value in row if value is not None) in shown
    # The epochs before and after it stopped, each once.
    assert f"over {4 * (3 + 2)} epochs" in shown
