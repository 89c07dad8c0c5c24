"""A run from start to end: learn task after task, evaluate after each, and write the record. Names no method."""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from essential.engine.clips import ClipTable, LabelledVideos, TaskClips, check_coverage, task_clips
from essential.engine.evaluate import predict
from essential.engine.fit import optimizer_state
from essential.engine.learn_task import EpochDone, TaskStart, learn_task
from essential.engine.process_group import Message, ProcessGroup, SingleProcess, require_equal
from essential.engine.results import count_trainable_parameters, make_record
from essential.engine.run_folder import Place, RunFolder
from essential.engine.settings import RunConfig
from essential.engine.shared import open_shared_workspace, shared_record, shared_state
from essential.engine.sinks import Sink
from essential.engine.workspace import data_root
from essential.errors import CheckpointError, ConfigError, DataError, TrainingError
from essential.features.cores import own_threads
from essential.features.lookup import refuse_broken
from essential.files.atomic import folder_lock
from essential.memory.ledger import total_by_kind
from essential.metrics import accuracy_on_seen
from essential.progress import Progress
from essential.protocols.protocol import Video
from essential.records import Record


def train(
    config: RunConfig,
    out: Path,
    *,
    resume: bool,
    progress: Progress,
    group: ProcessGroup | None = None,
    sink: Sink | None = None,
) -> Record:
    """Train and evaluate on every task of the protocol, and return the record that is then in `out`.

    A run that ended anywhere, by whatever means, is gone on with by calling again with `resume`, and gives the same
    record; with more ranks or fewer, the same but for rounding. A run that is complete is read, not repeated.

    Args:
        config: the run's.
        out: the run's folder; rank 0 alone writes to it.
        resume: whether to go on with a run that is there.
        progress: told how far it is.
        group: the ranks that train together; None: this process alone.
        sink: told all that is logged, by rank 0; nothing of a run that is complete.

    Raises:
        RunError: the folder is in use, holds another run, or holds this one and `resume` is not set.
        EssentialError: the data, the store, a checkpoint or the disk stands in the way; nothing is half-written.
    """
    folder, config, group = RunFolder(out), config.with_absolute_paths(), group or SingleProcess()
    progress = progress if group.first else Progress()
    config.data.require_places()
    with folder_lock(out) if group.first else nullcontext():
        if group.first:
            folder.check(config, resume=resume)
        if group.share(Message(note=group.first and folder.record.exists())).note:
            return shared_record(lambda: Record.read(folder.record), group)
        with own_threads(config.training.threads):
            return _Run(config, folder, progress, group, sink).to_the_end()


def extract(
    config: RunConfig, *, part: tuple[int, int] = (0, 1), progress: Progress, group: ProcessGroup | None = None
) -> tuple[Path, dict[str, str]]:
    """Fill the feature store of `config`, or part (i, n) of it; return its folder and the broken videos.

    Args:
        config: the run's.
        part: (i, n), for n jobs side by side; its ranks share it.
        progress: told how far this rank is.
        group: the ranks that extract together; None: this process alone.

    Raises:
        ConfigError: the config asks for live features, which are not stored.
        EssentialError: as in `train`.
    """
    if config.features.mode == "live":
        raise ConfigError("features.mode=live keeps no store; use -s features.mode=stored to extract")
    group = group or SingleProcess()
    progress = progress if group.first else Progress()
    with own_threads(config.training.threads):
        workspace = open_shared_workspace(config.with_absolute_paths(), progress, protocol=None, group=group)
        broken = workspace.extract(workspace.protocol.videos, progress, part=part, group=group)
    refuse_broken(broken, config.features.on_broken_video)
    return workspace.store(), broken


class _Run:
    """One `train` call: where the run is, and everything it stands on."""

    def __init__(
        self, config: RunConfig, folder: RunFolder, progress: Progress, group: ProcessGroup, sink: Sink | None
    ) -> None:
        self.config, self.folder, self.progress, self.group, self.sink = config, folder, progress, group, sink
        saved = shared_state(folder, group)
        self.place = saved.place if saved else Place()
        self.start = TaskStart(saved.place.stage, saved.start) if saved else TaskStart()
        self.watch = Stopwatch(self.place.seconds)
        self.step = 0
        known = folder.protocol(data_root(config)) if group.first else None
        self.workspace = open_shared_workspace(config, progress, protocol=known, group=group)
        self.protocol = self.workspace.protocol
        if group.first:
            if folder.begun:
                folder.refuse_other_features(self.workspace.origin)
            folder.claim(config, self.protocol, self.workspace.root, self.workspace.origin)
        self.method = self.workspace.build_method()
        self.method.check_room(self.protocol.longest_names(), tasks=len(self.protocol.tasks))
        if saved:
            self.method.load_state_dict(saved.method)
            self.method.network.to(self.workspace.device)
        self.source = self.workspace.source(self._needed_videos(), progress, group=group)
        self._settle_skipped(begun=saved is not None)
        check_coverage(self.protocol.tasks, list(self.place.skipped))
        self.labelled = LabelledVideos(self.protocol, self.source, without=self.place.skipped)
        self.tests = [self.labelled.table(task.test, 0) for task in self.protocol.tasks[: self.place.task]]
        self.watch.lap("extract")

    def to_the_end(self) -> Record:
        """Learn the tasks that are left, then write the record."""
        if self.group.first:
            self.step = self.folder.logged
            if self.sink is not None:
                self.sink.start(self.folder.path, self.config.identity(), first_step=self.step)
        while self.place.task < len(self.protocol.tasks):
            self._learn()
            self._evaluate()
        return shared_record(self._write_record, self.group)

    def _write_record(self) -> Record:
        self._restore_predictions()
        trained = count_trainable_parameters(self.method, self._task(len(self.protocol.tasks) - 1))
        record = make_record(self.workspace, self.method, self.folder, self.place, trainable_parameters=trained)
        record.write(self.folder.record)
        return record

    def _restore_predictions(self) -> None:
        """Score again, from the checkpoints, where predictions were lost or damaged since they were written."""
        for index in range(len(self.protocol.tasks)):
            try:
                self.folder.read_predictions(index)
            except CheckpointError:
                method = self.workspace.build_method()
                method.load_predictor(self.folder.read_checkpoint(index))
                tests = ClipTable.joined(self.tests[: index + 1])
                self.folder.write_predictions(index, predict(method.predictor, tests, device=self.workspace.device))

    def _needed_videos(self) -> list[Video]:
        """All test videos, and the training videos still to be learned from: finished tasks need theirs no more."""
        first = 0 if self.method.needs_all_tasks else self.place.task
        training = [video for task in self.protocol.tasks[first:] for video in task.train]
        tests = [video for task in self.protocol.tasks for video in task.test]
        return [video for video in training + tests if video.key not in self.place.skipped]

    def _settle_skipped(self, *, begun: bool) -> None:
        """Fix which videos the run goes without when it begins: its clips must not change on the way.

        A video that is repaired later stays out of this run; one that breaks later stops it.
        """
        if begun and self.source.skipped:
            lines = "\n  ".join(f"{key}: {reason}" for key, reason in sorted(self.source.skipped.items()))
            raise DataError(
                f"videos that could be read when {self.folder.path} began and cannot be now: "
                f"{len(self.source.skipped)}\n  {lines}\nPut them back and resume, or train into another folder"
            )
        self.place = replace(self.place, skipped={**self.place.skipped, **self.source.skipped})

    def _task(self, index: int) -> TaskClips:
        return task_clips(self.protocol, self.labelled, index, all_tasks=self.method.needs_all_tasks)

    def _learn(self) -> None:
        index = self.place.task
        try:
            learn_task(
                self.method,
                self._task(index),
                self.config.training,
                start=self.start,
                title=f"task {index + 1} of {len(self.protocol.tasks)}",
                progress=self.progress,
                on_epoch=self._after_epoch,
                group=self.group,
            )
        except TrainingError as error:
            raise TrainingError(error.problem, remedy=f"the last checkpoint is intact; {error.remedy}") from error
        self.start = TaskStart()
        self.watch.lap("train")

    def _after_epoch(self, done: EpochDone) -> None:
        self._log({"event": "epoch", **asdict(done.report)})
        epoch, index = done.report.epoch + 1, done.stage_index
        if done.last:
            require_equal(self.group, done.stage.trains)
            self._save(stage=index + 1, epoch=0)
        elif epoch % self.config.training.checkpoint_epochs == 0:
            require_equal(self.group, done.stage.trains)
            self._save(stage=index, epoch=epoch, optimizer=done.optimizer)

    def _evaluate(self) -> None:
        index = self.place.task
        self.tests.append(self.labelled.table(self.protocol.tasks[index].test, 0))
        predictions = predict(
            self.method.predictor, ClipTable.joined(self.tests), device=self.workspace.device, group=self.group
        )
        if self.group.first:
            self.folder.write_checkpoint(index, self.method.predictor.state_dict())
            self.folder.write_predictions(index, predictions)
            if len(self.method.memory):
                self.method.memory.write(self.folder.memory)
        accuracy = accuracy_on_seen(predictions.evaluation())
        memory_bytes = total_by_kind(self.method.ledger())
        self._log({"event": "evaluation", "task": index, "accuracy": accuracy, "memory_bytes": memory_bytes})
        by_task = (*self.place.memory_bytes_by_task, memory_bytes)
        self.watch.lap("evaluate")
        self.place = replace(self.place, memory_bytes_by_task=by_task)
        self._save(task=index + 1, stage=0, epoch=0)

    def _save(self, *, stage: int, epoch: int, task: int | None = None, optimizer: Optimizer | None = None) -> None:
        if task is None:
            self.watch.lap("train")
        self.place = replace(
            self.place,
            task=self.place.task if task is None else task,
            stage=stage,
            epoch=epoch,
            seconds=dict(self.watch.seconds),
        )
        if self.group.first:
            self.folder.save(self.place, self.method, optimizer_state(optimizer) if optimizer else None)

    def _log(self, event: Mapping[str, Any]) -> None:
        if self.group.first:
            self.folder.log(event)
            if self.sink is not None:
                self.sink.write(self.step, event)
            self.step += 1


class Stopwatch:
    """Adds up wall-clock seconds by what they were spent on."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self.seconds = dict(seconds)
        self._last = time.perf_counter()

    def lap(self, what: str) -> None:
        """Count the time since the last lap as spent on `what`."""
        now = time.perf_counter()
        self.seconds[what] += now - self._last
        self._last = now
