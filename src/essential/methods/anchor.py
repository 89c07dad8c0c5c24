"""What EWC and MAS share: how much each parameter matters for a task, and what holds it near the value that it had.

The penalty is quadratic, sum over p of importance_p * (theta_p - centre_p)^2 + constant, and a sum of such penalties is
another one. So two numbers per parameter hold any number of tasks exactly: the sum of the importances, and the mean of
the values weighted by them. The constant makes the penalty's value the same as well.

Importances are taken per clip, as the papers define them, where gradients of opposite sign do not cancel; or
accumulated, as vCLIMB's code does (Villa et al., CVPR 2022): the gradient is summed over the whole task first. Both see
the clips without augmentation, in evaluation.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from essential.memory.ledger import LedgerEntry
from essential.methods.contract import Batch, BatchTable, LossTerm, TaskData
from essential.methods.exemplars import judge
from essential.methods.trained import Trained, TrainedConfig, cross_entropy, logits_of
from essential.models.classifier import ClipClassifier
from essential.models.growing import Growing
from essential.products import plain
from essential.seeded import in_evaluation

# Of logits and slots of a batch, the mean over the batch.
Objective = Callable[[Float[Tensor, "batch slots"], Int[Tensor, " batch"]], Float[Tensor, ""]]

_GRADIENT_NUMBERS_AT_ONCE = 2**25
_VCLIMB_BATCH = 64


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

    def grown_to(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return them in the shapes of `parameters`, with zeros in the rows, and tensors, that are missing."""
        grown, tensors = {}, self.tensors()
        for name, parameter in parameters.items():
            old = tensors.get(name, parameter.new_zeros(0, *parameter.shape[1:]))
            grown[name] = torch.cat([old, parameter.new_zeros(len(parameter) - len(old), *parameter.shape[1:])])
        return grown

    @property
    def bytes(self) -> int:
        """Bytes as stored."""
        return sum(tensor.nbytes for tensor in self.buffers())


class Anchor(nn.Module):
    """The penalty of a network's parameters for leaving the values that they had; rows added since are free.

    Attributes:
        importance: the weight of each number, >= 0.
        centre: where it is held.
    """

    constant: Tensor

    def __init__(
        self, importance: Mapping[str, Tensor], centre: Mapping[str, Tensor], constant: Float[Tensor, ""]
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
        held, centre = self.importance.grown_to(parameters), self.centre.grown_to(parameters)
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
        held = self.importance.grown_to(parameters)
        total = {name: held[name] + importance[name] for name in parameters}
        centre = {name: value.detach().clone() for name, value in parameters.items()}
        return Anchor(total, centre, torch.zeros_like(self.constant))

    def ledger(self) -> list[LedgerEntry]:
        """Count the bytes of the importances and of the values they hold to; nothing before the first task."""
        parts = [("importances", self.importance.bytes), ("anchors", self.centre.bytes + self.constant.nbytes)]
        held = self.importance.bytes > 0
        return [LedgerEntry("statistics", name, size, in_paper_figure=False) for name, size in parts if held]


class AnchoredConfig(TrainedConfig):
    """The settings of the penalty; without a weight it has the method's for that importance."""

    importance: str
    weight: float | None = None


Settings = TypeVar("Settings", bound=AnchoredConfig)


class Anchored(Trained[Settings]):
    """A method with a penalty and without exemplars; `weights` are the penalty's, by importance, if none is set."""

    weights: ClassVar[Mapping[str, float]]

    def __init__(self, config: Settings, *, dim: int, frames: int, seed: int) -> None:
        super().__init__(config, dim=dim, frames=frames, seed=seed)
        self.weight = self.weights[config.importance] if config.weight is None else config.weight
        self.anchor = Anchor.free()

    @property
    def anchor(self) -> Anchor:
        """The penalty of the tasks before."""
        anchor = self.network["anchor"]
        assert isinstance(anchor, Anchor)
        return anchor

    @anchor.setter
    def anchor(self, anchor: Anchor) -> None:
        self.network["anchor"] = anchor

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Sequence[LossTerm]:  # noqa: ARG002
        classification = cross_entropy(logits_of(self.classifier, batch), batch.slots)
        penalty = self.anchor(dict(self.classifier.named_parameters()))
        return [LossTerm("classification", classification), LossTerm("penalty", penalty, self.weight)]

    def finish(self, task: TaskData) -> None:
        """Hold to the values that the task has left, by its importances; see `Anchor.with_penalty`."""
        self.anchor = self.anchor.with_penalty(self.importances(task), dict(self.classifier.named_parameters()))

    @abstractmethod
    def importances(self, task: TaskData) -> dict[str, Tensor]:
        """Return the weight of each number of the classifier in the task's penalty, by the parameter's name."""

    def ledger(self) -> list[LedgerEntry]:
        return self.anchor.ledger()


def mean_over_clips(
    measure: Callable[[Tensor], Tensor],
    objective: Objective,
    *,
    classifier: ClipClassifier,
    table: BatchTable,
    slots: Int[Tensor, " clips"],
) -> dict[str, Tensor]:
    """Return, by parameter, the mean over clips of `measure` of the gradient that one clip, with its slot, gives."""
    parameters = _parameters(classifier)
    device = classifier.exemplar_means.device

    def of_one_clip(parameters: dict[str, Tensor], features: Tensor, slot: Tensor) -> Tensor:
        return objective(functional_call(classifier, parameters, (features[None],)), slot[None])

    gradients = vmap(grad(of_one_clip), in_dims=(None, 0, 0))
    at_once = max(1, _GRADIENT_NUMBERS_AT_ONCE // sum(value.numel() for value in parameters.values()))
    sums = {name: torch.zeros_like(value) for name, value in parameters.items()}
    with in_evaluation(classifier), plain():
        for indices in torch.arange(len(table)).split(at_once):
            batch = table.rows(indices).to(device)
            per_clip = gradients(parameters, batch.features, slots[indices].to(device))
            sums = {name: total + measure(per_clip[name]).sum(dim=0) for name, total in sums.items()}
    return {name: total / len(table) for name, total in sums.items()}


def accumulated_gradient(
    objective: Objective, *, classifier: ClipClassifier, table: BatchTable
) -> dict[str, Float[Tensor, "..."]]:
    """Return, by parameter, the sum over batches of 64 of the gradient; it grows with the number of batches."""
    parameters = _parameters(classifier)
    device = classifier.exemplar_means.device

    def of_a_batch(parameters: dict[str, Tensor], features: Tensor, slots: Tensor) -> Tensor:
        return objective(functional_call(classifier, parameters, (features,)), slots)

    sums = {name: torch.zeros_like(value) for name, value in parameters.items()}
    with in_evaluation(classifier), plain():
        for indices in torch.arange(len(table)).split(_VCLIMB_BATCH):
            batch = table.rows(indices).to(device)
            gradient = grad(of_a_batch)(parameters, batch.features, batch.slots)
            sums = {name: total + gradient[name] for name, total in sums.items()}
    return sums


def drawn_slots(classifier: ClipClassifier, table: BatchTable, *, generator: torch.Generator) -> Int[Tensor, " clips"]:
    """Draw for every clip one slot, with the probabilities that the classifier gives the slots."""
    probabilities = judge(classifier, table)[1].softmax(dim=1)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]


def _parameters(classifier: ClipClassifier) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in classifier.named_parameters()}
