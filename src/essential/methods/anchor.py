"""What holds parameters near the values they had: the penalty that EWC and MAS share.

The penalty is quadratic, sum over p of importance_p * (theta_p - centre_p)^2 + constant, and a sum of such penalties is
another one. So any number of tasks, each with its own importances and its own values, is held exactly by two numbers
per parameter: the sum of the importances, and the mean of the values weighted by them. The constant, which no gradient
sees, makes the penalty's value the same as well.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from essential.memory.ledger import LedgerEntry
from essential.models.state_names import below

_NAME = "anchor"


class NamedBuffers(nn.Module):
    """Tensors under the names of a network's parameters, saved and moved as buffers."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            # Torch allows no dot in the name of a buffer.
            self.register_buffer(name.replace(".", "/"), tensor)

    def tensors(self) -> dict[str, Tensor]:
        """Return them by name."""
        return {key.replace("/", "."): tensor for key, tensor in self.named_buffers()}

    @property
    def bytes(self) -> int:
        """Bytes as stored."""
        return sum(tensor.nbytes for tensor in self.buffers())


class Anchor(nn.Module):
    """The penalty of a network's parameters for leaving the values that they had. See the top of this file.

    A parameter that has grown since is held in its first rows alone; what is new is free.

    Attributes:
        importance: how firmly each number is held, >= 0.
        centre: where it is held.
    """

    constant: Tensor

    def __init__(
        self,
        importance: Mapping[str, Tensor],
        centre: Mapping[str, Tensor],
        constant: Float[Tensor, ""],
    ) -> None:
        super().__init__()
        self.importance = NamedBuffers(importance)
        self.centre = NamedBuffers(centre)
        self.register_buffer("constant", constant)

    @classmethod
    def free(cls) -> "Anchor":
        """Return the anchor before the first task: it holds nothing."""
        return cls({}, {}, torch.zeros(()))

    @classmethod
    def shaped_like(cls, state: Mapping[str, Tensor]) -> "Anchor":
        """Return an anchor of the shapes that `state`, the state of one, has; the values come later."""

        def zeros(part: str) -> dict[str, Tensor]:
            return {name.replace("/", "."): torch.zeros_like(value) for name, value in below(part, state).items()}

        return cls(zeros("importance."), zeros("centre."), torch.zeros(()))

    def forward(self, parameters: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        """Return the penalty of `parameters`, by name: zero or more."""
        penalty, centre = self.constant, self.centre.tensors()
        for name, importance in self.importance.tensors().items():
            offset = parameters[name][: len(importance)] - centre[name]
            penalty = penalty + (importance * offset.square()).sum()
        return penalty

    def with_penalty(self, importance: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> "Anchor":
        """Return the anchor whose penalty is this one's plus that of `importance` around `parameters`."""
        held, centre = self._grown_to(parameters)
        constant = self.constant
        total, middle = {}, {}
        for name, value in parameters.items():
            total[name] = held[name] + importance[name]
            # Where nothing is held, the middle has no meaning: it stays what it was.
            share = (importance[name] / total[name]).nan_to_num(nan=0.0)
            offset = value.detach() - centre[name]
            middle[name] = centre[name] + share * offset
            constant = constant + (held[name] * share * offset.square()).sum()
        return Anchor(total, middle, constant)

    def moved(self, importance: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> "Anchor":
        """Return an anchor at `parameters`, with this one's importances plus `importance`."""
        held, _ = self._grown_to(parameters)
        total = {name: held[name] + importance[name] for name in parameters}
        centre = {name: value.detach().clone() for name, value in parameters.items()}
        return Anchor(total, centre, torch.zeros_like(self.constant))

    def ledger(self) -> list[LedgerEntry]:
        """Count the bytes of the importances and of the values they hold to; nothing before the first task."""
        parts = [("importances", self.importance.bytes), ("anchors", self.centre.bytes + self.constant.nbytes)]
        held = self.importance.bytes > 0
        return [LedgerEntry("statistics", name, size, in_paper_figure=False) for name, size in parts if held]

    def _grown_to(self, parameters: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return _grown(self.importance.tensors(), parameters), _grown(self.centre.tensors(), parameters)


def _grown(tensors: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `tensors` in the shapes of `parameters`, with zeros in the rows, and tensors, that are missing."""
    grown = {}
    for name, parameter in parameters.items():
        old = tensors.get(name, parameter.new_zeros(0, *parameter.shape[1:]))
        missing = parameter.new_zeros(len(parameter) - len(old), *parameter.shape[1:])
        grown[name] = torch.cat([old, missing])
    return grown


def anchor_of(network: nn.ModuleDict) -> Anchor:
    """Return the anchor that `network` holds."""
    anchor = network[_NAME]
    assert isinstance(anchor, Anchor)
    return anchor


def set_anchor(network: nn.ModuleDict, anchor: Anchor) -> None:
    """Have `network` hold `anchor`, in place of the one it held."""
    network[_NAME] = anchor


def resize_anchor(network: nn.ModuleDict, state: Mapping[str, Tensor]) -> None:
    """Have `network` hold an anchor of the shapes that `state`, a state of it, has."""
    set_anchor(network, Anchor.shaped_like(below(f"{_NAME}.", state)))
