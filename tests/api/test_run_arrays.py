"""Arrays in memory are learned as a run learns them from its store: the same numbers, to the last bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import essential as es
from essential.engine.ranking import named_arrays
from essential.engine.run import train
from essential.engine.run_folder import RunFolder
from essential.engine.settings import RunConfig
from essential.engine.workspace import open_workspace
from essential.progress import Progress
from essential.protocols.protocol import Video
from essential.records import Record
from small_runs import small_overrides

NO_AUGMENTATION = ("features.views=0", "training.epochs=3")


def _arrays(config: RunConfig) -> tuple[tuple[Any, Any], tuple[Any, Any], list[int], list[str], list[str]]:
    """Return what is in a run's store as arrays, and its classes in order."""
    workspace = open_workspace(config.with_absolute_paths(), Progress())
    protocol = workspace.protocol
    source = workspace.stored(protocol.videos)

    def both(videos: list[Video]) -> tuple[Any, Any]:
        features = source.view(videos, 0).rows(torch.arange(len(videos)))
        return features.numpy(), np.array([video.label for video in videos])

    training = [video for task in protocol.tasks for video in task.train]
    sizes = [len(task.classes) for task in protocol.tasks]
    classes = [name for task in protocol.tasks for name in task.classes]
    tests = [video for task in protocol.tasks for video in task.test]
    return both(training), both(tests), sizes, classes, [video.key for video in training]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("icarl", {"exemplars_per_class": 2}),
        ("essential", {"exemplars_per_class": 2, "rehearsal_epochs": 4, "frames_kept": 4}),
        ("slda", {}),
        ("joint", {}),
    ],
)
def test_arrays_of_a_runs_features_give_the_runs_numbers(
    name: str, settings: dict[str, Any], small_data: Path, small_store: Path, tmp_path: Path
) -> None:
    overrides = [*NO_AUGMENTATION, *(f"method.{key}={value}" for key, value in settings.items())]
    config = es.load_config("moving-digits/essential", _overrides(small_data, small_store, overrides), method=name)
    record = train(config, tmp_path, resume=False, progress=Progress())
    (X, y), test, sizes, order, names = _arrays(config)

    own = config.method.model_dump(exclude={"name"})
    tasks = es.tasks_from_arrays(X, y, sizes=sizes, test=test, order=order, names=names)
    method = es.build_method(name, dim=X.shape[2], frames=X.shape[1], seed=config.seed, **own)
    result = es.run(method, tasks, training=config.training)

    _same(result, record, RunFolder(tmp_path))


def _overrides(data: Path, store: Path, more: list[str]) -> list[str]:
    return small_overrides(data, store.parent / "plain", *more, rehearsal=False)


def _same(result: es.Result, record: Record, folder: RunFolder) -> None:
    expected = np.array(record.accuracy, dtype=np.float64)
    assert np.array_equal(result.accuracy, expected, equal_nan=True)
    assert result.metrics == record.metrics.model_dump()
    assert result.reading == record.reading
    assert [*result.memory_bytes_by_task] == [*record.memory_bytes_by_task]
    for task, predictions in enumerate(result.predictions):
        of_run = folder.read_predictions(task)
        assert np.array_equal(predictions.slots, of_run.slots)
        assert predictions.rankings.keys() == of_run.rankings.keys()
        for name, array in named_arrays(predictions.rankings).items():
            assert np.array_equal(array, named_arrays(of_run.rankings)[name])
