"""What a record says of predictions, by whichever reading, and of what was trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from essential.contract.synthetic_tasks import SyntheticTable, make_tasks
from essential.engine.evaluate import Predictions, scored
from essential.engine.ranking import Ranking
from essential.engine.run import count_trainable_parameters
from essential.methods import build_method
from essential.methods.bounds import Finetune, FinetuneConfig
from essential.methods.contract import Stage, TaskData
from essential.methods.essential import Essential, EssentialConfig
from essential.metrics import METRICS
from essential.progress import Progress
from essential.records import MOST_OTHER_METRICS
from essential.registry import Registry
from made_plugins import make_plugin

SLOTS = [[0, 0], [0, 0, 1, 2]]
TASKS = [[0, 0], [0, 0, 1, 1]]
CLASS_COUNTS = [1, 2]
# Right: both, then the first alone.
HEAD = [[[2.0], [1.0]], [[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 1.0, 2.0], [1.0, 0.0, 0.0]]]
# Right: both, then all but the last.
MEANS = [[[1.0], [1.0]], [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]]


def _predictions(task: int, reading: str, scores: list[list[float]], **others: list[list[float]]) -> Predictions:
    slots = torch.tensor(SLOTS[task])
    rankings = {name: Ranking.of(torch.tensor(each), slots) for name, each in {reading: scores, **others}.items()}
    videos = tuple(f"{index}.mp4" for index in range(len(scores)))
    return Predictions(rankings, slots.numpy(), np.array(TASKS[task], np.int64), videos, reading)


def test_a_head_with_means_beside_it_has_both_readings() -> None:
    found = scored((_predictions(t, "cnn", HEAD[t], nme=MEANS[t]) for t in range(2)), class_counts=CLASS_COUNTS)
    assert found["reading"] == "cnn"
    assert found["accuracy"] == ((1.0, None), (0.5, 0.0))
    assert found["class_accuracy"] == (0.5, 0.0, 0.0)
    metrics = found["metrics"]
    assert metrics.final_accuracy == 0.25
    assert metrics.average_incremental_accuracy == metrics.average_incremental_accuracy_cnn == (1 + 0.25) / 2
    assert metrics.average_incremental_accuracy_nme == (1 + 0.75) / 2
    assert metrics.vclimb_accuracy == pytest.approx(0.5 / 3)
    assert metrics.vclimb_accuracy_unweighted == 0.25
    assert metrics.vclimb_bwf == metrics.backward_forgetting == metrics.tcd_forgetting == 0.5


BROKEN_METRICS = """
from essential.metrics import Metric

def named(compute):
    return Metric("One", compute, "a metric of a test", "this test")

def raising(run):
    run.matrix[0][0] = 0.123
    raise ZeroDivisionError("of a\\nplug-in")

class Silent(Exception):
    def __str__(self):
        raise self

class Own(BaseException):
    pass

class Unhashable(str):
    def __hash__(self):
        raise Silent

def silent(run):
    raise Silent

def own(run):
    raise Own("of a plug-in")

silent, own, unhashable = named(silent), named(own), Metric("One", own, "a metric", "this test", Unhashable("cnn"))
raises, ends, good = named(raising), named(lambda run: exit(3)), named(lambda run: run.seen[-1])
nan, infinite = named(lambda run: float("nan")), named(lambda run: float("inf"))
text, truth, nothing = named(lambda run: "0.5"), named(lambda run: True), named(lambda run: None)
"""


def _with_plugins(
    metrics: dict[str, str], modules: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Registry[Any], Progress, list[str]]:
    """Install metrics; return the registry that is used from here on, and a progress with the list of its notes."""
    make_plugin(folder, "more-metrics", {"essential.metrics": metrics}, modules=modules)
    monkeypatch.syspath_prepend(folder)
    found = Registry("essential.metrics", METRICS.built_in, fault=METRICS._fault)
    monkeypatch.setattr("essential.engine.evaluate.METRICS", found)
    notes: list[str] = []
    progress = Progress()
    monkeypatch.setattr(progress, "say", notes.append)
    return found, progress, notes


def test_a_plug_in_metric_without_a_value_is_none_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("ends", "good", "infinite", "nan", "nothing", "own", "raises", "silent", "text", "truth", "unhashable")
    metrics = {name: f"broken_metrics:{name}" for name in names} | {"two words": "broken_metrics:good"}
    found, progress, notes = _with_plugins(metrics, {"broken_metrics": BROKEN_METRICS}, tmp_path, monkeypatch)
    predictions = [_predictions(t, "cnn", HEAD[t]) for t in range(2)]
    content = scored(predictions, class_counts=CLASS_COUNTS, progress=progress)
    assert content["accuracy"] == ((1.0, None), (0.5, 0.0))
    values = content["metrics"].model_dump()
    assert values["final_accuracy"] == values["good"] == 0.25
    assert [name for name in names if values[name] is None] == [name for name in names if name != "good"]
    reasons = {
        "ends": "raised SystemExit: 3",
        "infinite": "gave inf, no finite number",
        "nan": "gave nan, no finite number",
        "own": "raised Own: of a plug-in",
        "raises": "raised ZeroDivisionError: of a plug-in",
        "silent": "raised Silent: its message cannot be read",
        "text": "gave '0.5', no finite number",
        "truth": "gave True, no finite number",
        "unhashable": "raised Silent: its message cannot be read",
    }
    assert notes == [f"the plug-in metric {name!r} has no value: it {reason}" for name, reason in reasons.items()]
    assert "two words" not in values
    assert "'two words' is no name of a metric; use letters, digits" in found.broken()["two words"]
    assert scored(predictions, class_counts=CLASS_COUNTS)["metrics"].model_dump() == values


def test_more_metrics_of_plug_ins_than_a_record_holds_are_left_out_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"m{number:03}" for number in range(MOST_OTHER_METRICS + 2)]
    metrics = {name: "many_metrics:one" for name in names}
    source = "from essential.metrics import Metric\none = Metric('One', lambda run: 0.5, 'a metric', 'this test')"
    _, progress, notes = _with_plugins(metrics, {"many_metrics": source}, tmp_path, monkeypatch)
    values = scored([_predictions(0, "cnn", HEAD[0])], class_counts=[1], progress=progress)["metrics"].model_dump()
    assert [name for name in names if name in values] == names[:MOST_OTHER_METRICS]
    assert notes == ["a record holds 100 metrics of plug-ins; left out: 'm100', 'm101'"]


def test_a_method_that_decides_by_means_has_its_accuracies_from_them() -> None:
    found = scored([_predictions(t, "nme", MEANS[t], cnn=HEAD[t]) for t in range(2)], class_counts=CLASS_COUNTS)
    assert found["reading"] == "nme"
    assert found["class_accuracy"] == (1.0, 1.0, 0.0)
    metrics = found["metrics"]
    assert metrics.final_accuracy == 0.75
    assert metrics.average_incremental_accuracy == metrics.average_incremental_accuracy_nme == (1 + 0.75) / 2
    assert metrics.average_incremental_accuracy_cnn == (1 + 0.25) / 2


def test_a_reading_that_there_is_not_after_every_task_is_none() -> None:
    closed = scored([_predictions(t, "closed-form", HEAD[t]) for t in range(2)], class_counts=CLASS_COUNTS)
    assert closed["reading"] == "closed-form"
    assert closed["metrics"].average_incremental_accuracy_cnn is None
    assert closed["metrics"].average_incremental_accuracy_nme is None
    assert closed["metrics"].average_incremental_accuracy == (1 + 0.25) / 2
    late = [_predictions(0, "cnn", HEAD[0]), _predictions(1, "cnn", HEAD[1], nme=MEANS[1])]
    assert scored(late, class_counts=CLASS_COUNTS)["metrics"].average_incremental_accuracy_nme is None


@dataclass(frozen=True)
class _Unreadable:
    """A task whose clips must not be asked for."""

    index: int
    slots: range
    words: None = None

    def epoch(self, epoch: int) -> SyntheticTable:
        raise AssertionError(f"epoch {epoch} was read")

    def plain(self) -> SyntheticTable:
        raise AssertionError("the clips were read")


class _Computed(Finetune):
    def stages(self, task: TaskData) -> Sequence[Stage]:
        del task
        return []


def test_what_several_stages_train_is_counted_once_and_no_clip_is_read() -> None:
    config = EssentialConfig.model_validate({"classifier": {"heads": 4}, "frames_kept": 2, "exemplars_per_class": 2})
    method = build_method(config, dim=24, frames=8, seed=0)
    assert isinstance(method, Essential)
    tasks = make_tasks([2, 3])
    for task in tasks:
        method.begin(task)
    last = _Unreadable(1, tasks[1].slots)
    assert len(method.stages(last)) == 2
    sizes = {name: parameter.numel() for name, parameter in method.network.named_parameters()}
    expected = sum(size for name, size in sizes.items() if name.startswith(("predictor.", "retrieval.1.")))
    assert 0 < expected < sum(sizes.values())
    assert count_trainable_parameters(method, last) == expected


def test_a_method_that_is_computed_trains_nothing() -> None:
    config = FinetuneConfig.model_validate({"classifier": {"heads": 4}})
    method = _Computed(config, dim=24, frames=8, seed=0)
    method.begin(make_tasks([2])[0])
    assert count_trainable_parameters(method, _Unreadable(0, range(2))) == 0
