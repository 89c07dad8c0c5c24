"""How much each parameter of a classifier matters for a task's clips, from gradients of a trained classifier.

Two ways, which differ in more than scale: per clip, as the papers define it, where gradients of opposite sign do not
cancel; and accumulated, as vCLIMB's code does (Villa et al., CVPR 2022), where one gradient is summed over the whole
task first. Both see the clips without augmentation, in evaluation: no dropout, no skipped layer.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from essential.methods.contract import BatchTable
from essential.methods.exemplars import judge
from essential.models.classifier import ClipClassifier
from essential.models.evaluation import in_evaluation

# Of logits and slots of a batch, the mean over the batch.
Objective = Callable[[Float[Tensor, "batch slots"], Int[Tensor, " batch"]], Float[Tensor, ""]]

_GRADIENT_NUMBERS_AT_ONCE = 2**25
_VCLIMB_BATCH = 64


def mean_over_clips(
    measure: Callable[[Tensor], Tensor],
    objective: Objective,
    *,
    classifier: ClipClassifier,
    table: BatchTable,
    slots: Int[Tensor, " clips"],
) -> dict[str, Tensor]:
    """Return, for every parameter by name, the mean over clips of `measure` of the gradient that one clip gives.

    Args:
        measure: of every number of a gradient: its square, or its size.
        objective: what the gradient is of; it gets one clip at a time.
        classifier: not changed.
        table: the clips, dense.
        slots: the class that each clip is taken to have.
    """
    parameters = _parameters(classifier)
    device = classifier.exemplar_means.device

    def of_one_clip(parameters: dict[str, Tensor], features: Tensor, slot: Tensor) -> Tensor:
        return objective(functional_call(classifier, parameters, (features[None],)), slot[None])

    gradients = vmap(grad(of_one_clip), in_dims=(None, 0, 0))
    at_once = max(1, _GRADIENT_NUMBERS_AT_ONCE // sum(value.numel() for value in parameters.values()))
    sums = {name: torch.zeros_like(value) for name, value in parameters.items()}
    # The fused attention kernel of the CPU has no rule for vmap, which would loop over the clips instead.
    with in_evaluation(classifier), sdpa_kernel(SDPBackend.MATH):
        for indices in torch.arange(len(table)).split(at_once):
            batch = table.rows(indices).to(device)
            per_clip = gradients(parameters, batch.features, slots[indices].to(device))
            sums = {name: total + measure(per_clip[name]).sum(dim=0) for name, total in sums.items()}
    return {name: total / len(table) for name, total in sums.items()}


def accumulated_gradient(
    objective: Objective, *, classifier: ClipClassifier, table: BatchTable
) -> dict[str, Float[Tensor, "..."]]:
    """Return, for every parameter by name, the sum over batches of 64 of the gradient of a batch's objective.

    Its size depends on the number of batches, and so does the meaning of a weight that goes with it.
    """
    parameters = _parameters(classifier)
    device = classifier.exemplar_means.device

    def of_a_batch(parameters: dict[str, Tensor], features: Tensor, slots: Tensor) -> Tensor:
        return objective(functional_call(classifier, parameters, (features,)), slots)

    sums = {name: torch.zeros_like(value) for name, value in parameters.items()}
    with in_evaluation(classifier):
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
