"""THE training loop. Every stage of every method runs through `fit`; nothing here knows a method by name.

An epoch draws all its random numbers from seeds named after it (run seed, task, stage, epoch), so a run that is
resumed at an epoch's border continues with the numbers that it would have drawn.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from essential.engine.settings import TrainingConfig
from essential.errors import DataError, TrainingError
from essential.methods.contract import Batch, LossTerm, Method, Stage
from essential.models.seeded import torch_generator, torch_seeded
from essential.sealed_files import Array


@dataclass(frozen=True)
class EpochReport:
    """What an epoch gave: its number from 0, the mean of every weighted loss term, the last learning rate."""

    epoch: int
    losses: Mapping[str, float]
    learning_rate: float


@dataclass(frozen=True)
class StageStart:
    """Where a stage starts: at epoch 0 with a fresh optimiser, or at a later one with the state saved there."""

    epoch: int = 0
    optimizer: Mapping[str, Array] | None = None


def fit(
    method: Method,
    stage: Stage,
    *,
    training: TrainingConfig,
    device: torch.device,
    seed_parts: Sequence[str | int],
    start: StageStart,
    on_epoch: Callable[[EpochReport, torch.optim.Optimizer], None],
) -> None:
    """Prepare the stage if it starts, train what it names, and call `on_epoch` after every epoch.

    Raises:
        DataError: the stage has no clip to learn from.
        TrainingError: a loss is not finite.
    """
    if start.epoch == 0:
        stage.prepare()
    data = stage.data()
    # Asking for an epoch may decode and encode it, so each is asked for once.
    table = data.epoch(start.epoch)
    clips = len(table)
    if clips == 0:
        raise DataError(f"stage {stage.name!r} has no clip to learn from; check the data and the memory's settings")
    optimizer = _optimizer(method, stage, training)
    if start.optimizer is not None:
        load_optimizer(optimizer, start.optimizer)
    steps = steps_per_epoch(clips, training)
    rates_of_all = learning_rates(stage.epochs * steps, steps, training)
    schedule = [rate * stage.learning_rate_scale for rate in rates_of_all]
    for epoch in range(start.epoch, stage.epochs):
        _only_train(method.network, stage)
        seeds = (*seed_parts, stage.name, epoch)
        generator = torch_generator(*seeds, "draws")
        order = torch.randperm(clips, generator=torch_generator(*seeds, "order"))
        rates = schedule[epoch * steps : (epoch + 1) * steps]
        table = table if epoch == start.epoch else data.epoch(epoch)
        with torch_seeded(*seeds, "dropout"):
            batches = (table.rows(indices).to(device) for indices in _batches(order, training))
            losses = _run_epoch(method, stage.name, batches, optimizer, rates, generator, training.mixed_precision)
        report = EpochReport(epoch, {name: float(total) / steps for name, total in losses.items()}, rates[-1])
        _check_finite(report, stage, seed_parts)
        on_epoch(report, optimizer)
    optimizer.zero_grad(set_to_none=True)


def steps_per_epoch(clips: int, training: TrainingConfig) -> int:
    """Return the batches of an epoch: whole ones alone with `drop_last`, but always one."""
    whole = clips // training.batch_size
    return max(1, whole) if training.drop_last else math.ceil(clips / training.batch_size)


def learning_rates(total: int, steps: int, training: TrainingConfig) -> list[float]:
    """Return the learning rate of each of `total` steps: linear warm-up from 0, then half a cosine.

    The authors' rule: both rates times batch / 256; the warm-up's last step has the peak rate.
    """
    scale = training.batch_size / 256 if training.scale_learning_rate else 1.0
    peak, last = training.learning_rate * scale, training.min_learning_rate * scale
    warm = min(training.warmup_epochs * steps, total)
    rates = [peak * step / (warm - 1) for step in range(warm)] if warm > 1 else [peak] * warm
    cosine = total - warm
    return rates + [last + (peak - last) * 0.5 * (1 + math.cos(math.pi * step / cosine)) for step in range(cosine)]


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Array]:
    """Return the optimiser's state as arrays named `parameter.key`."""
    return {
        f"{index}.{key}": value.detach().cpu().numpy()
        for index, entry in optimizer.state_dict()["state"].items()
        for key, value in entry.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, arrays: Mapping[str, Array]) -> None:
    """Undo `optimizer_state`."""
    state = optimizer.state_dict()
    for name, array in arrays.items():
        index, key = name.split(".", 1)
        state["state"].setdefault(int(index), {})[key] = torch.from_numpy(array.copy())
    optimizer.load_state_dict(state)


def _run_epoch(
    method: Method,
    stage: str,
    batches: Iterator[Batch],
    optimizer: torch.optim.Optimizer,
    rates: Sequence[float],
    generator: torch.Generator,
    mixed_precision: bool,
) -> dict[str, Tensor]:
    """Take one step per batch; return the sum of every weighted term, left on the device until the epoch ends."""
    sums: dict[str, Tensor] = {}
    for batch, rate in zip(batches, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        device = batch.features.device.type
        with torch.autocast(device, torch.bfloat16, enabled=mixed_precision and device == "cuda"):
            terms = method.losses(stage, batch, generator=generator)
        total = _total(terms)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        for term in terms:
            weighted = term.value.detach() * term.weight
            sums[term.name] = sums[term.name] + weighted if term.name in sums else weighted
    return sums


def _total(terms: Sequence[LossTerm]) -> Tensor:
    total = terms[0].value * terms[0].weight
    for term in terms[1:]:
        total = total + term.value * term.weight
    return total


def _optimizer(method: Method, stage: Stage, training: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW with decay on matrices alone, as the authors' factory groups parameters; the rate is set per step."""
    _only_train(method.network, stage)
    trained = [parameter for module in stage.trains for parameter in module.parameters()]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=training.learning_rate, betas=(training.beta1, training.beta2), fused=True)


def _only_train(network: nn.Module, stage: Stage) -> None:
    network.requires_grad_(False).eval()
    for module in (*stage.trains, *stage.noisy):
        module.train()
    for module in stage.trains:
        module.requires_grad_(True)


def _batches(order: Tensor, training: TrainingConfig) -> Sequence[Tensor]:
    batches: Sequence[Tensor] = order.split(training.batch_size)
    return batches[: steps_per_epoch(len(order), training)]


def _check_finite(report: EpochReport, stage: Stage, seed_parts: Sequence[str | int]) -> None:
    bad = {name: value for name, value in report.losses.items() if not math.isfinite(value)}
    if bad:
        where = " ".join(str(part) for part in seed_parts[1:])
        raise TrainingError(
            f"the loss is not finite in {where}, stage {stage.name!r}, epoch {report.epoch + 1}: "
            f"{', '.join(f'{name} = {value}' for name, value in bad.items())}; the last checkpoint is intact. "
            "Lower training.learning_rate, and look for broken features"
        )
