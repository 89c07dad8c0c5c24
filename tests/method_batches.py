"""A method in the middle of its second task, and one batch of clips of old and new slots: what tests of losses need."""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import TypeAdapter

from essential.contract.synthetic_tasks import SyntheticTask, make_tasks
from essential.methods import MethodConfig, build_method
from essential.methods.contract import Batch, LossTerm, Method

SIZES = (3, 2)
CLASSIFIER = {"heads": 4, "init_scale": 100.0}


def second_task(**settings: Any) -> tuple[Method, SyntheticTask]:
    """Return a method, in evaluation, that has finished a task of 3 slots and begun one of 2, untrained in both."""
    section = settings if "base" in settings else {"classifier": CLASSIFIER, **settings}
    config = TypeAdapter(MethodConfig).validate_python(section)
    method = build_method(config, dim=24, frames=8, seed=0)
    first, second = make_tasks(SIZES)
    method.begin(first)
    method.finish(first)
    method.begin(second)
    # What has trained differs from what was kept.
    stir(method.predictor)
    method.network.eval()
    return method, second


def stir(network: torch.nn.Module, *, by: float = 0.1, seed: int = 3) -> None:
    """Move every parameter a little, as training would: any new values do."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=by)


def batch_of(method: Method, task: SyntheticTask, clips: int = 6) -> Batch:
    """Return the first `clips` of a shuffle of what the first stage of `task` learns from."""
    table = method.stages(task)[0].data().epoch(0)
    order = torch.randperm(len(table), generator=torch.Generator().manual_seed(1))
    return table.rows(order[:clips])


def values(terms: Sequence[LossTerm]) -> dict[str, float]:
    """Return the value of every term by its name; no two have the same."""
    by_name = {term.name: term.value.item() for term in terms}
    assert len(by_name) == len(terms)
    return by_name


def weights(terms: Sequence[LossTerm]) -> dict[str, float]:
    """Return the weight of every term by its name."""
    return {term.name: term.weight for term in terms}
