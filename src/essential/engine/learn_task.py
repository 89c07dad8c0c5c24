"""Learning a task: the one primitive below a run, a learner, a script and the methods' contract test."""

from collections.abc import Callable

from essential.engine.fit import EpochDone, Start, fit
from essential.engine.process_group import ProcessGroup, SingleProcess, change
from essential.engine.settings import TrainingConfig, choose_device
from essential.methods.contract import Method, TaskData
from essential.progress import Progress, phase


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
        start: where in the task it starts; None: at its beginning.
        title: what `progress` calls the task.
        progress: shows how far it is.
        on_epoch: called after every epoch.
        group: the processes that train together, on equal methods; None: this process alone.

    Raises:
        ConfigError: the memory budget cannot hold one exemplar of every class.
        DataError: a stage has no clip to learn from.
        TrainingError: a loss is not finite.
    """
    start, progress, group = start or Start(task.index), progress or Progress(), group or SingleProcess()
    device = choose_device(training.device)
    method.network.to(device)
    # A state that was saved inside a task was saved after its `begin`.
    if len(method.slots) == task.index:
        change(group, method, lambda: method.begin(task), device=device)

    def after(done: EpochDone) -> None:
        if on_epoch is not None:
            on_epoch(done)
        progress.advance(done.report.epoch + 1, f"loss {sum(done.report.losses.values()):.3f}")

    for index, stage in [*enumerate(method.stages(task))][start.stage :]:
        here = start if index == start.stage else Start(task.index, index)
        with phase(progress, f"{title}: {stage.name}", stage.epochs or training.epochs):
            progress.advance(here.epoch)
            fit(method, stage, training, start=here, on_epoch=after, group=group)
    change(group, method, lambda: method.finish(task), device=device)
