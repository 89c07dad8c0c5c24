"""Teach a video classifier new action classes, group after group, without keeping the old videos."""

from typing import TYPE_CHECKING, Any

from essential.version import __version__

if TYPE_CHECKING:
    from essential.api.arrays import ArrayTask as ArrayTask
    from essential.api.arrays import tasks_from_arrays as tasks_from_arrays
    from essential.api.compare import compare as compare
    from essential.api.listings import list_datasets as list_datasets
    from essential.api.listings import list_encoders as list_encoders
    from essential.api.listings import list_methods as list_methods
    from essential.api.listings import list_metrics as list_metrics
    from essential.api.listings import list_protocols as list_protocols
    from essential.api.outcomes import SavedRun as SavedRun
    from essential.api.outcomes import read_run as read_run
    from essential.api.run_arrays import Result as Result
    from essential.api.run_arrays import build_method as build_method
    from essential.api.run_arrays import run as run
    from essential.engine.config import load_config as load_config
    from essential.engine.learn_task import learn_task as learn_task
    from essential.engine.ray_pool import RayCluster as RayCluster
    from essential.engine.run import train as train
    from essential.engine.score import evaluate as evaluate
    from essential.engine.settings import RunConfig as RunConfig
    from essential.engine.settings import TrainingConfig as TrainingConfig
    from essential.learner import VideoLearner as VideoLearner
    from essential.models.text_scores import Words as Words
    from essential.progress import Progress as Progress
    from essential.records import Record as Record


# A name is looked up when it is first used: torch takes seconds to import, and `essential --help` has no use for it.
_MODULES = {
    "ArrayTask": "api.arrays",
    "tasks_from_arrays": "api.arrays",
    "compare": "api.compare",
    "list_datasets": "api.listings",
    "list_encoders": "api.listings",
    "list_methods": "api.listings",
    "list_metrics": "api.listings",
    "list_protocols": "api.listings",
    "SavedRun": "api.outcomes",
    "read_run": "api.outcomes",
    "Result": "api.run_arrays",
    "build_method": "api.run_arrays",
    "run": "api.run_arrays",
    "load_config": "engine.config",
    "learn_task": "engine.learn_task",
    "RayCluster": "engine.ray_pool",
    "train": "engine.run",
    "evaluate": "engine.score",
    "RunConfig": "engine.settings",
    "TrainingConfig": "engine.settings",
    "VideoLearner": "learner",
    "Words": "models.text_scores",
    "Progress": "progress",
    "Record": "records",
}
__all__ = [*_MODULES, "__version__"]  # noqa: PLE0604 - all of them are


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "sklearn":
        return import_module("essential.sklearn")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"essential.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "sklearn"])
