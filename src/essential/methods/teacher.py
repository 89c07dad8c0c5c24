"""The classifier as it was before the task, kept frozen while the task is learned: what distillation compares with.

It is no memory: a copy of what is carried anyway, made when a task begins and dropped when it ends.
"""

import copy
from collections.abc import Mapping

from torch import Tensor, nn

from essential.models.classifier import Predictor
from essential.models.state_names import below

_NAME = "teacher"


def keep_teacher(network: nn.ModuleDict, predictor: Predictor) -> None:
    """Keep a frozen copy of `predictor` in `network`."""
    network[_NAME] = copy.deepcopy(predictor).requires_grad_(False).eval()


def drop_teacher(network: nn.ModuleDict) -> None:
    """Forget the copy, if there is one."""
    if _NAME in network:
        del network[_NAME]


def teacher_of(network: nn.ModuleDict) -> Predictor | None:
    """Return the copy; None in the first task."""
    teacher = dict(network.items()).get(_NAME)
    assert teacher is None or isinstance(teacher, Predictor)
    return teacher


def resize_teacher(network: nn.ModuleDict, predictor: Predictor, state: Mapping[str, Tensor]) -> None:
    """Have a copy of the shapes that `state`, a state of `network`, has; none if it has none."""
    held = below(f"{_NAME}.", state)
    drop_teacher(network)
    if held:
        keep_teacher(network, predictor)
        teacher = network[_NAME]
        assert isinstance(teacher, Predictor)
        teacher.resize(held)
