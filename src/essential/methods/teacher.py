"""The classifier as it was before the task, kept frozen while the task is learned: what distillation compares with.

It is no memory: a copy of what is carried anyway, made when a task begins and dropped when it ends.
"""

import copy
from collections.abc import Mapping
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from essential.models.classifier import Predictor

_NAME = "teacher"
_TEMPERATURE = 2.0
Kind = TypeVar("Kind", bound=Predictor)


def keep_teacher(network: nn.ModuleDict, predictor: Predictor) -> None:
    """Keep a frozen copy of `predictor` in `network`."""
    network[_NAME] = copy.deepcopy(predictor).requires_grad_(False).eval()


def drop_teacher(network: nn.ModuleDict) -> None:
    """Forget the copy, if there is one."""
    if _NAME in network:
        del network[_NAME]


def teacher_of(network: nn.ModuleDict, kind: type[Kind]) -> Kind | None:
    """Return the copy, which is of that kind; None in the first task."""
    teacher = dict(network.items()).get(_NAME)
    assert teacher is None or isinstance(teacher, kind)
    return teacher


def hold_teacher(network: nn.ModuleDict, predictor: Predictor, state: Mapping[str, Tensor]) -> None:
    """Hold a copy if `state`, a state of `network` that is to be loaded, has one; none otherwise."""
    drop_teacher(network)
    if any(name.startswith(f"{_NAME}.") for name in state):
        keep_teacher(network, predictor)


def distillation(logits: Float[Tensor, "batch old"], wanted: Float[Tensor, "batch old"]) -> Float[Tensor, ""]:
    """Mean cross-entropy between the probabilities of `wanted`, a teacher's logits, and of `logits`, at temperature 2.

    Source: equations 2 and 3 of LwF (ECCV 2016), equation 1 of BiC (CVPR 2019); raising probabilities to 1/T and
    dividing by their sum is a softmax of logits / T. No factor T^2.
    """
    return nn.functional.cross_entropy(logits / _TEMPERATURE, (wanted / _TEMPERATURE).softmax(dim=1))
