"""Learning a task: the one primitive below a run, a learner, a script and the methods' contract test.

Every stage of every method runs through `fit`; nothing here knows a method by name.

An epoch draws all its random numbers from seeds named after it (method seed, task, stage, epoch), so a run that is
resumed after an epoch draws the numbers of an uninterrupted one. Ranks that train together see the same batches in the
same order; each computes the loss of its part of a batch, weighted so that the ranks' gradients sum to the batch's.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from essential.engine.cuda_graph import CudaGraph
from essential.engine.process_group import ProcessGroup, SingleProcess, change
from essential.engine.settings import TrainingConfig, choose_device
from essential.engine.turns import turn
from essential.errors import DataError, TrainingError
from essential.files.sealed import Array
from essential.methods.contract import Batch, LossTerm, Method, Stage, TaskData, nothing
from essential.models.whole_batch import Part, part_of_batch
from essential.progress import QUIET, Progress, phase
from essential.records.training_log import EpochReport
from essential.seeded import torch_generator, torch_seeded


@dataclass(frozen=True)
class Start:
    """Where training starts: in a task's stage, at an epoch, with a fresh optimiser or the state saved there."""

    task: int
    stage: int = 0
    epoch: int = 0
    optimizer: Mapping[str, Array] | None = None


@dataclass(frozen=True)
class EpochDone:
    """An epoch that has ended: what it gave, in which stage (of how many epochs), and the optimiser as it is now."""

    report: EpochReport
    stage: Stage
    stage_index: int
    epochs: int
    optimizer: torch.optim.Optimizer

    @property
    def last(self) -> bool:
        """Whether it is the stage's last."""
        return self.report.epoch + 1 == self.epochs


def learn_task(
    method: Method,
    task: TaskData,
    training: TrainingConfig,
    *,
    start: Start | None = None,
    title: str = "learn",
    progress: Progress | None = None,
    on_epoch: Callable[[EpochDone], None] | None = None,
    group: ProcessGroup | None = None,
) -> None:
    """Let the method learn the task: `begin`, the epochs of every stage, `finish`.

    Args:
        method: changed; afterwards on the device of `training`.
        task: the next one: its index is the number of tasks that the method has learned.
        training: the optimisation.
        start: where in the task a saved state goes on; None: at its beginning. A method that has begun the task does
            not begin it again.
        title: what `progress` calls the task.
        progress: shows how far it is.
        on_epoch: called after every epoch.
        group: the processes that train together, on equal methods; None: this process alone.

    Raises:
        ConfigError: the memory budget cannot hold one exemplar of every class.
        DataError: the task is not the next one, or a stage has no clip to learn from.
        TrainingError: a loss is not finite.
    """
    first, progress, group = start or Start(task.index), progress or QUIET, group or SingleProcess()
    device = choose_device(training.device)

    def after(done: EpochDone) -> None:
        if on_epoch is not None:
            on_epoch(done)
        progress.advance(done.report.epoch + 1, f"loss {sum(done.report.losses.values()):.3f}")

    with turn(training.threads, group):
        _refuse_another_task(method, task, start)
        method.network.to(device)
        # A state that was saved inside a task was saved after its `begin`.
        if len(method.slots) == task.index:
            change(group, method, lambda: method.begin(task), device=device)
        for index, stage in [*enumerate(method.stages(task))][first.stage :]:
            here = first if index == first.stage else Start(task.index, index)
            with phase(progress, f"{title}: {stage.name}", _epochs(stage, training)):
                progress.advance(here.epoch)
                fit(method, stage, training, start=here, on_epoch=after, group=group)
        change(group, method, lambda: method.finish(task), device=device)


def _refuse_another_task(method: Method, task: TaskData, start: Start | None) -> None:
    """Refuse a task that is not the next one, or, with `start`, not the one that the method has begun."""
    begun = len(method.slots)
    if begun != task.index and (start is None or begun != task.index + 1):
        raise DataError(
            f"is task {task.index}, but the method has begun {begun} tasks: task {begun} is the next",
            where="task",
            remedy="give each task once, in their order, or build a new method",
        )
    if start is not None and start.task != task.index:
        raise DataError(f"is of task {start.task}, but the task is {task.index}", where="start", remedy="give its own")


def fit(
    method: Method,
    stage: Stage,
    training: TrainingConfig,
    *,
    start: Start,
    on_epoch: Callable[[EpochDone], None],
    group: ProcessGroup | None = None,
) -> None:
    """Prepare the stage if it starts, train what it names, and call `on_epoch` after every epoch, on every rank.

    Arguments and errors are those of `learn_task`; `start` is in `stage`. All that is random derives from the task and
    the method's seed.
    """
    group, device = group or SingleProcess(), choose_device(training.device)
    if start.epoch == 0 and stage.prepare is not nothing:
        change(group, method, stage.prepare, device=device)
    data = stage.data()
    # Asking for an epoch may decode and encode it, so each is asked for once.
    table = data.epoch(start.epoch)
    if not (clips := len(table)):
        raise DataError(f"stage {stage.name!r} has no clip to learn from; check the data and the memory's settings")
    optimizer = _optimizer(stage, training, device, start.optimizer)
    steps, epochs = steps_per_epoch(clips, training), _epochs(stage, training)
    schedule = [rate * stage.learning_rate_scale for rate in learning_rates(epochs * steps, steps, training)]
    graph = CudaGraph(enabled=stage.steady and device.type == "cuda" and group.size == 1)
    method.network.requires_grad_(False).eval()
    for module in stage.trains:
        module.requires_grad_(True).train()
    for epoch in range(start.epoch, epochs):
        seeds = (method.seed, "task", start.task, stage.name, epoch)
        generator = torch_generator(*seeds, "draws")
        order = torch.randperm(clips, generator=torch_generator(*seeds, "order")).split(training.batch_size)[:steps]
        rates = schedule[epoch * steps : (epoch + 1) * steps]
        table = table if epoch == start.epoch else data.epoch(epoch)
        with torch_seeded(*seeds, "dropout"), graph.at_work():
            parts = ((rows, Part(group.rank, group.size, len(rows))) for rows in order)
            batches = ((table.rows(rows[part.rows]).to(device), part) for rows, part in parts)
            step = _Step(method, stage.name, optimizer, generator, training.mixed_precision, group)
            means = _run_epoch(step, batches, rates, graph)
        report = _finite(EpochReport(start.task, stage.name, epoch, means, rates[-1]))
        on_epoch(EpochDone(report, stage, start.stage, epochs, optimizer))
    optimizer.zero_grad(set_to_none=True)


def _epochs(stage: Stage, training: TrainingConfig) -> int:
    return training.epochs if stage.epochs is None else stage.epochs


def steps_per_epoch(clips: int, training: TrainingConfig) -> int:
    """Return the batches of an epoch: whole ones alone with `drop_last`, but always one."""
    whole = clips // training.batch_size
    return max(1, whole) if training.drop_last else math.ceil(clips / training.batch_size)


def learning_rates(total: int, steps: int, training: TrainingConfig) -> list[float]:
    """Return the learning rate of each of `total` steps: linear warm-up from 0 to the peak, then half a cosine.

    Both rates are times batch / 256: the authors' rule.
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


@dataclass(frozen=True)
class _Step:
    """One optimiser step on a batch, or on this rank's part of it."""

    method: Method
    stage: str
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    mixed_precision: bool
    group: ProcessGroup

    def take(self, batch: Batch, part: Part) -> dict[str, Tensor]:
        """Return every weighted term; the ranks' sum to those of the whole batch."""
        device = batch.features.device.type
        with (
            torch.autocast(device, torch.bfloat16, enabled=self.mixed_precision and device == "cuda"),
            part_of_batch(part),
        ):
            terms = [*self.method.losses(self.stage, batch, generator=self.generator)]
        shares = _shares(terms, part, self.group)
        weighted = [term.value * (term.weight * share) for term, share in zip(terms, shares, strict=True)]
        self.optimizer.zero_grad(set_to_none=True)
        sum(weighted[1:], start=weighted[0]).backward()
        _add_up_gradients(self.optimizer, self.group)
        self.optimizer.step()
        named: dict[str, Tensor] = {}
        for term, value in zip(terms, weighted, strict=True):
            named[term.name] = named[term.name] + value.detach() if term.name in named else value.detach()
        return named


def _run_epoch(
    step: _Step, batches: Iterator[tuple[Batch, Part]], rates: Sequence[float], graph: CudaGraph
) -> dict[str, float]:
    """Take one step per batch; return the mean of every weighted term, left on the device until the epoch ends."""
    sums: dict[str, Tensor] = {}
    for (batch, part), rate in zip(batches, rates, strict=True):
        for parameters in step.optimizer.param_groups:
            if isinstance(parameters["lr"], Tensor):
                parameters["lr"].fill_(rate)
            else:
                parameters["lr"] = rate
        terms = graph.take(partial(step.take, part=part), batch, step.optimizer)
        for name, value in terms.items():
            sums[name] = sums[name] + value if name in sums else value.clone()
    totals = step.group.all_reduce(torch.stack([value.float() for value in sums.values()]))
    return {name: total / len(rates) for name, total in zip(sums, totals.tolist(), strict=True)}


def _shares(terms: Sequence[LossTerm], part: Part, group: ProcessGroup) -> Sequence[Tensor | float]:
    """Return with what share each term's mean over this rank's part counts in the mean over the whole batch."""
    counts = [term.over for term in terms if term.over is not None]
    if group.size == 1 or not counts:
        return [part.fraction] * len(terms)
    device = terms[0].value.device
    own = torch.stack([torch.as_tensor(count, device=device) for count in counts]).double()
    of_counted = iter(own / group.all_reduce(own).clamp(min=1))
    return [part.fraction if term.over is None else next(of_counted).float() for term in terms]


def _add_up_gradients(optimizer: torch.optim.Optimizer, group: ProcessGroup) -> None:
    """Give every rank the sum of all ranks' gradients, in one message."""
    if group.size == 1:
        return
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
    total = group.all_reduce(torch.cat([each.flatten() for each in gradients]))
    for gradient, summed in zip(gradients, total.split([each.numel() for each in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def _optimizer(
    stage: Stage, training: TrainingConfig, device: torch.device, saved: Mapping[str, Array] | None
) -> torch.optim.Optimizer:
    """AdamW with decay on matrices alone, as the authors' factory groups parameters; the rate is set per step."""
    trained = [parameter for module in stage.trains for parameter in module.parameters()]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    # A recorded step reads the rate where it lies.
    rate = torch.tensor(training.learning_rate, device=device) if device.type == "cuda" else training.learning_rate
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(training.beta1, training.beta2), fused=True)
    if saved is not None:
        load_optimizer(optimizer, saved)
    return optimizer


def _finite(report: EpochReport) -> EpochReport:
    bad = {name: value for name, value in report.losses.items() if not math.isfinite(value)}
    if bad:
        raise TrainingError(
            f"the loss is not finite in task {report.task}, stage {report.stage!r}, epoch {report.epoch + 1}: "
            f"{', '.join(f'{name} = {value}' for name, value in bad.items())}",
            remedy="lower training.learning_rate, and look for broken features",
        )
    return report
