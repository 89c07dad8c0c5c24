"""Learning a task: the one primitive below a run, a learner, a script and the methods' contract test."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch.optim import Optimizer

from essential.engine.fit import EpochReport, StageStart, fit
from essential.engine.process_group import ProcessGroup, SingleProcess, change
from essential.engine.settings import TrainingConfig, choose_device
from essential.methods.contract import Method, Stage, TaskData
from essential.progress import Progress, phase


@dataclass(frozen=True)
class TaskStart:
    """Where a task starts: at its first stage, or in a later one, `inside` it, where a state was saved."""

    stage: int = 0
    inside: StageStart = field(default_factory=StageStart)


@dataclass(frozen=True)
class EpochDone:
    """An epoch that has ended: what it gave, in which stage (of how many epochs), and the optimiser as it is now."""

    report: EpochReport
    stage: Stage
    stage_index: int
    epochs: int
    optimizer: Optimizer

    @property
    def last(self) -> bool:
        """Whether it is the stage's last."""
        return self.report.epoch + 1 == self.epochs


def learn_task(
    method: Method,
    task: TaskData,
    training: TrainingConfig,
    *,
    start: TaskStart | None = None,
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
        start: where the task starts; None: at its beginning.
        title: what `progress` calls the task.
        progress: shows how far it is.
        on_epoch: called after every epoch.
        group: the processes that train together, on equal methods; None: this process alone.

    Raises:
        ConfigError: the memory budget cannot hold one exemplar of every class.
        DataError: a stage has no clip to learn from.
        TrainingError: a loss is not finite.
    """
    start, progress, group = start or TaskStart(), progress or Progress(), group or SingleProcess()
    device = choose_device(training.device)
    method.network.to(device)
    # A state that was saved inside a task was saved after its `begin`.
    if len(method.slots) == task.index:
        change(group, method, lambda: method.begin(task), device=device)
    for index, stage in [*enumerate(method.stages(task))][start.stage :]:
        inside = start.inside if index == start.stage else StageStart()
        epochs = stage.epochs or training.epochs

        def after(
            report: EpochReport, optimizer: Optimizer, stage: Stage = stage, index: int = index, epochs: int = epochs
        ) -> None:
            if on_epoch is not None:
                on_epoch(EpochDone(report, stage, index, epochs, optimizer))
            progress.advance(report.epoch + 1, f"loss {sum(report.losses.values()):.3f}")

        with phase(progress, f"{title}: {stage.name}", epochs):
            progress.advance(inside.epoch)
            fit(
                method,
                stage,
                task=task.index,
                training=training,
                device=device,
                start=inside,
                on_epoch=after,
                group=group,
            )
    change(group, method, lambda: method.finish(task), device=device)
