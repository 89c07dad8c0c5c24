"""What holds parameters near the values they had: the penalty that EWC and MAS share.

The penalty is quadratic, sum over p of importance_p * (theta_p - centre_p)^2 + constant, and a sum of such penalties is
another one. So any number of tasks, each with its own importances and its own values, is held exactly by two numbers
per parameter: the sum of the importances, and the mean of the values weighted by them. The constant, which no gradient
sees, makes the penalty's value the same as well.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from essential.memory.ledger import LedgerEntry
from essential.methods.classifier import cross_entropy, logits_of
from essential.methods.contract import Batch, LossTerm, TaskData
from essential.methods.trained import Settings, Trained
from essential.models.growing import Growing


class NamedBuffers(Growing):
    """Tensors under the names of a network's parameters, saved and moved as buffers. A state brings its own."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            # Torch allows no dot in the name of a buffer.
            self.register_buffer(name.replace(".", "/"), tensor)

    def take_shape(self, state: Mapping[str, Tensor]) -> None:
        """Have the tensors that `state` has, and no others."""
        self._buffers.clear()
        for name, tensor in state.items():
            self.register_buffer(name, torch.zeros_like(tensor))

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


class Anchored(Trained[Settings]):
    """A method that holds its classifier to what the tasks before left, without any exemplar.

    Attributes:
        weight: of the penalty.
    """

    def __init__(self, config: Settings, *, dim: int, frames: int, seed: int, weight: float) -> None:
        super().__init__(config, dim=dim, frames=frames, seed=seed)
        self.weight = weight
        self.anchor = Anchor.free()

    @property
    def anchor(self) -> Anchor:
        """What holds the classifier."""
        anchor = self.network["anchor"]
        assert isinstance(anchor, Anchor)
        return anchor

    @anchor.setter
    def anchor(self, anchor: Anchor) -> None:
        self.network["anchor"] = anchor

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Sequence[LossTerm]:  # noqa: ARG002
        """Cross-entropy over all slots seen, and the penalty for leaving what the tasks before left."""
        logits = logits_of(self.classifier, batch)
        penalty = self.anchor(dict(self.classifier.named_parameters()))
        return [
            LossTerm("classification", cross_entropy(logits, batch.slots)),
            LossTerm("penalty", penalty, self.weight),
        ]

    def finish(self, task: TaskData) -> None:
        """Hold to the values that the task has left, by its importances; see `Anchor.with_penalty`."""
        self.anchor = self.anchor.with_penalty(self.importances(task), dict(self.classifier.named_parameters()))

    @abstractmethod
    def importances(self, task: TaskData) -> dict[str, Tensor]:
        """Return how firmly each number of the classifier is to be held for the task, by the parameter's name."""

    def ledger(self) -> list[LedgerEntry]:
        """The importances, and the values they hold to, which are stored though the classifier may have the same."""
        return self.anchor.ledger()
