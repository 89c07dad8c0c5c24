"""Methods that are made small, and how tests of the contract let them learn, stop them and restart them."""

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from essential.contract.synthetic_tasks import DIM, FRAMES, SyntheticTask, clips_of, make_tasks
from essential.engine.learn_task import EpochDone, Start, learn_task, optimizer_state
from essential.engine.settings import TrainingConfig
from essential.engine.turns import turn
from essential.files.sealed import Array
from essential.methods import METHODS, MethodConfig, build_method, method_section, method_summaries
from essential.methods.contract import Method
from essential.records.training_log import EpochReport

# What makes a method small, where it has such a setting.
SMALL: dict[str, Any] = {"classifier": {"heads": 4}, "exemplars_per_class": 3, "random_features": 150}
SMALL |= {"rehearsal_epochs": 2, "bias_epochs": 3, "balance_epochs": 2}
TRAINING = TrainingConfig(epochs=2, batch_size=8, warmup_epochs=1, scale_learning_rate=False, device="cpu", threads=1)
# One epoch of everything, for what does not depend on more.
SHORT = TRAINING.model_copy(update={"epochs": 1, "warmup_epochs": 0})
ONE_EPOCH = {"rehearsal_epochs": 1, "balance_epochs": 1, "bias_epochs": 1}


def small(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return a method's settings, and those of its base if it has one, with what makes it small."""
    known = METHODS[section["name"]].Config.model_fields
    nested = {"base": small(section["base"])} if "base" in section else {}
    return {key: value for key, value in SMALL.items() if key in known} | dict(section) | nested


_SECTION: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)
CONFIGS = {name: small(method_section(name)) for name in method_summaries()}


def build(name: str, *, seed: int = 0, **changes: Any) -> Method:
    """Build a small method; changes go to where it has such settings, itself or its base."""

    def changed(section: dict[str, Any]) -> dict[str, Any]:
        if "base" in section:
            return section | {"base": changed(section["base"])}
        known = METHODS[section["name"]].Config.model_fields
        return section | {key: value for key, value in changes.items() if key in known}

    config = _SECTION.validate_python(changed(CONFIGS[name]))
    return build_method(config, dim=DIM, frames=FRAMES, seed=seed)


def tasks_for(method: Method, sizes: Sequence[int], **clips: Any) -> list[SyntheticTask]:
    """Return tasks with so many classes each, with the clips of all tasks so far if the method needs them."""
    return make_tasks(sizes, all_tasks=method.needs_all_tasks, **clips)


def begin(method: Method, task: SyntheticTask) -> None:
    """Begin a task with as many threads as it is learned with: another number rounds differently."""
    with turn(TRAINING.threads):
        method.begin(task)


def learn(
    method: Method, task: SyntheticTask, *, training: TrainingConfig = TRAINING, **further: Any
) -> list[EpochReport]:
    """Let it learn a task, or what is left of it; return what the epochs gave."""
    reports: list[EpochReport] = []
    learn_task(method, task, training, on_epoch=lambda done: reports.append(done.report), **further)
    return reports


class _Stopped(Exception):
    """The run was stopped on purpose."""


def stopped(name: str, method: Method, task: SyntheticTask, stage: int, *, inside: bool) -> tuple[Method, Start]:
    """Stop a stage after its first epoch or its last; return the method restarted there, and how the stage goes on."""
    saved: list[Start] = []

    def stop(done: EpochDone) -> None:
        if inside or done.last:
            optimizer = copy.deepcopy(optimizer_state(done.optimizer))
            saved.append(Start(task.index, stage, done.report.epoch + 1, optimizer))
            raise _Stopped

    with pytest.raises(_Stopped):
        learn_task(method, task, TRAINING, start=Start(task.index, stage), on_epoch=stop)
    return restarted(name, method.state_dict()), saved[0]


def restarted(name: str, state: Mapping[str, Array]) -> Method:
    """Return a method that was made anew and is what a state says."""
    method = build(name)
    method.load_state_dict(copy.deepcopy(dict(state)))
    return method


@cache
def learned(name: str) -> Method:
    """Return a method that has learned two tasks, the same one for all tests that only ask."""
    method = build(name)
    for task in tasks_for(method, [2, 3]):
        learn(method, task)
    return method


def scores(method: Method, slots: int) -> torch.Tensor:
    """Return the scores of one dense clip of each of so many classes."""
    method.predictor.eval()
    with torch.no_grad():
        result: torch.Tensor = method.predictor(clips_of(torch.arange(slots), seed=9))
    return result
