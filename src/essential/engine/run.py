"""A run from start to end: learn task after task, evaluate after each, and write the record. Names no method."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch.optim import Optimizer

from essential.encoders import EncoderConfig, refuse_without_tower
from essential.engine.clips import ClipTable, LabelledVideos, TaskClips, check_coverage
from essential.engine.config import resolved
from essential.engine.evaluate import TaskReport, evaluated, scored
from essential.engine.learn_task import EpochDone, learn_task, optimizer_state
from essential.engine.process_group import ProcessGroup, SingleProcess, require_equal
from essential.engine.ray_extraction import encoder_on
from essential.engine.ray_pool import RayCluster
from essential.engine.run_folder import Place, RunFolder
from essential.engine.settings import RunConfig
from essential.engine.turns import turn
from essential.engine.workspace import Workspace, data_root, open_workspace
from essential.errors import CheckpointError, ConfigError, DataError, RunError, TrainingError
from essential.features.index import refuse_broken
from essential.files.atomic import folder_lock
from essential.memory.ledger import total_by_kind
from essential.methods.contract import Method, TaskData
from essential.metrics import accuracy_by_task
from essential.progress import QUIET, Progress
from essential.protocols.protocol import Video
from essential.records import Record
from essential.records.training_log import EpochReport, EvaluationReport
from essential.version import __version__

# Those that the numbers may depend on.
_PACKAGES = ("torch", "torchvision", "av", "numpy")


@runtime_checkable
class Sink(Protocol):
    """Gets the events of a run beside `RUN/log.jsonl`. It may not raise.

    The step of an event is the number of its line in the log, from 0. A run that is resumed is cut back to what it last
    saved, so events may come again under the steps that they had before.
    """

    def start(self, folder: Path, config: Mapping[str, Any], *, first_step: int) -> None:
        """Called once: which run it is, its settings, and the step of the next event."""
        ...

    def write(self, step: int, event: Mapping[str, Any]) -> None:
        """Called for each event, as it stands in the log."""
        ...


def train(
    config: RunConfig | str | Path,
    out: str | Path,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    progress: Progress | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_task: Callable[[TaskReport], None] | None = None,
    group: ProcessGroup | None = None,
    sink: Sink | None = None,
) -> Record:
    """Train and evaluate on every task of the protocol, and return the record that is then in `out`.

    Call again with `resume` to continue a run that was interrupted anywhere: the record is the same; with more ranks or
    fewer, the same but for rounding. A run that is complete is read, not repeated.

    Args:
        config: the run's, or the name of a shipped one, or a YAML file.
        out: the run's folder; rank 0 alone writes to it.
        overrides: such as `training.epochs=5`.
        resume: whether to continue a run that is there.
        progress: shows how far it is.
        on_epoch: called by rank 0 after every epoch.
        on_task: called by rank 0 after every task, when its test videos have been scored.
        group: the processes that train together; None: this one alone.
        sink: gets from rank 0 all that is logged.

    Raises:
        ConfigError: see `load_config`.
        RunError: the folder is in use, holds another run, or holds this one and `resume` is not set.
        EssentialError: the data, the store, a checkpoint or the disk stands in the way; nothing is half-written.
    """
    folder, group = RunFolder(Path(out)), group or SingleProcess()
    config = resolved(config, overrides).with_absolute_paths()
    progress = progress if progress and group.first else QUIET
    config.data.require_places()
    with folder_lock(folder.path) if group.first else nullcontext():
        config = _with_encoder_of_first(config, folder, group)
        if config.needs_words:
            refuse_without_tower(config.encoder)
        if group.first:
            refuse_taken(folder, config, resume=resume)
        if group.from_first(folder.record.exists):
            return record_of_all(lambda: Record.read(folder.record), group)
        observers = _Observers(on_epoch, on_task, sink) if group.first else _Observers()
        with turn(config.training.threads, group):
            return _Run(config, folder, progress, group, observers).to_the_end()


def _with_encoder_of_first(config: RunConfig, folder: RunFolder, group: ProcessGroup) -> RunConfig:
    """Return the config with the run's own encoder where `auto` chose one: now, or elsewhere, it may choose another."""
    if config.encoder.choice is None:
        return config
    own = group.from_first(lambda: (folder.config() if folder.begun else config).encoder.name)
    if own == config.encoder.name:
        return config
    named = EncoderConfig.model_validate({**config.encoder.model_dump(mode="json"), "name": own})
    return config.model_copy(update={"encoder": named})


def extract(
    config: RunConfig,
    *,
    part: tuple[int, int] = (0, 1),
    progress: Progress,
    group: ProcessGroup | None = None,
    cluster: RayCluster | None = None,
) -> tuple[Path | str, dict[str, str]]:
    """Fill the feature store, or part (i, n) of it, which ranks share; return its place and the broken videos.

    On a Ray cluster, if there is one, this process writes what the cluster's workers compute. Errors are those of
    `train`, and a ConfigError if the config asks for live features, which are not stored.
    """
    if config.features.mode == "live":
        raise ConfigError("features.mode=live keeps no store; use -s features.mode=stored to extract")
    group = group or SingleProcess()
    progress = progress if group.first else QUIET
    with turn(config.training.threads, group):
        workspace = open_workspace(config.with_absolute_paths(), progress, group=group)
        encode = encoder_on(cluster, workspace, progress)
        broken = workspace.extract(workspace.protocol.videos, progress, part=part, group=group, encode=encode)
    refuse_broken(broken, config.features.on_broken_video)
    place = config.features.store
    return place if isinstance(place, str) else workspace.store(), broken


def refuse_taken(folder: RunFolder, config: RunConfig, *, resume: bool) -> None:
    """Refuse to run `config` here if another run, or this one without `resume`, has begun; clean up what has not."""
    folder.remove_leftovers()
    if not folder.begun:
        folder.discard_import()
    elif folder.imported:
        raise RunError(
            f"{folder.path} was imported from checkpoints, which hold no memory: it can be evaluated, not trained on",
            remedy="choose another --out",
        )
    elif not resume:
        raise RunError(
            f"{folder.path} holds a run already",
            remedy="add --resume (resume=True) to continue it, or choose another --out",
        )
    else:
        folder.refuse_another(config)


@dataclass(frozen=True)
class _Observers:
    """What rank 0 calls on its way."""

    on_epoch: Callable[[EpochReport], None] | None = None
    on_task: Callable[[TaskReport], None] | None = None
    sink: Sink | None = None


class _Run:
    """One `train` call: where the run is, and everything it stands on."""

    def __init__(
        self, config: RunConfig, folder: RunFolder, progress: Progress, group: ProcessGroup, observers: _Observers
    ) -> None:
        self.config, self.folder, self.progress, self.group, self.observers = config, folder, progress, group, observers
        saved = folder.saved(group)
        self.place = saved.place if saved else Place()
        self.start = saved.start if saved else None
        self.seconds, self.last = dict(self.place.seconds), time.perf_counter()
        self.step = 0
        known = folder.protocol(data_root(config)) if group.first else None
        self.workspace = open_workspace(config, progress, protocol=known, group=group).with_words()
        self.protocol = self.workspace.protocol
        text_tower = self.workspace.text_tower
        if group.first and folder.begun:
            folder.refuse_other_features(self.workspace.origin)
            folder.refuse_other_words(text_tower)
        self.method = self.workspace.build_method()
        self.method.check_room(self.protocol.longest_names(), tasks=len(self.protocol.tasks))
        if group.first:
            folder.claim(config, self.protocol, self.workspace.root, self.workspace.origin, text_tower)
        if saved:
            self.method.load_state_dict(saved.method)
            self.method.network.to(self.workspace.device)
        self.source = self.workspace.source(self._needed_videos(), progress, group=group)
        self._fix_skipped(begun=saved is not None)
        check_coverage(self.protocol.tasks, self.place.skipped)
        self.labelled = LabelledVideos(self.protocol, self.source, without=self.place.skipped)
        self.tests = [self.labelled.table(task.test, 0) for task in self.protocol.tasks[: self.place.task]]
        self._lap("extract")

    def to_the_end(self) -> Record:
        """Learn the tasks that are left, then write the record."""
        if self.group.first:
            self.step = self.folder.logged
            if self.observers.sink is not None:
                self.observers.sink.start(self.folder.path, self.config.identity(), first_step=self.step)
        while self.place.task < len(self.protocol.tasks):
            self._learn()
            self._evaluate()
        return record_of_all(self._write_record, self.group)

    def _write_record(self) -> Record:
        # Predictions may have been lost or damaged since they were written.
        for index in range(len(self.protocol.tasks)):
            try:
                self.folder.read_predictions(index)
            except CheckpointError:
                tests = ClipTable.joined(self.tests[: index + 1])
                self.folder.write_predictions(
                    index, self.workspace.scores_of(self.folder.read_checkpoint(index), tests)
                )
        trained = count_trainable_parameters(self.method, self._task(len(self.protocol.tasks) - 1))
        return make_record(self.workspace, self.method, self.folder, self.place, self.progress, parameters=trained)

    def _needed_videos(self) -> list[Video]:
        """All test videos, and the training videos of the tasks that are left."""
        first, tasks = 0 if self.method.needs_all_tasks else self.place.task, self.protocol.tasks
        needed = [video for task in tasks[first:] for video in task.train] + [v for task in tasks for v in task.test]
        return [video for video in needed if video.key not in self.place.skipped]

    def _fix_skipped(self, *, begun: bool) -> None:
        """Fix which videos are left out when the run begins: later, a repaired one stays out, a broken one stops it."""
        if begun and self.source.skipped:
            lines = "\n  ".join(f"{key}: {reason}" for key, reason in sorted(self.source.skipped.items()))
            raise DataError(
                f"videos that could be read when {self.folder.path} began and cannot be now: "
                f"{len(self.source.skipped)}\n  {lines}\nPut them back and resume, or train into another folder"
            )
        self.place = replace(self.place, skipped={**self.place.skipped, **self.source.skipped})

    def _task(self, index: int) -> TaskClips:
        tasks = self.protocol.tasks[: index + 1]
        stop = sum(len(task.classes) for task in tasks)
        videos = [video for task in (tasks if self.method.needs_all_tasks else tasks[-1:]) for video in task.train]
        slots, words = range(stop - len(tasks[-1].classes), stop), self.workspace.words
        return TaskClips(index, slots, videos, self.labelled, words and words.of(slots))

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
            remedy = "; ".join(filter(None, ("the last checkpoint is intact", error.remedy)))
            raise TrainingError(error.problem, where=error.where, remedy=remedy) from error
        self.start = None
        self._lap("train")

    def _after_epoch(self, done: EpochDone) -> None:
        self._log({"event": "epoch", **asdict(done.report)})
        epoch, stage = done.report.epoch + 1, done.stage_index
        if done.last or epoch % self.config.training.checkpoint_epochs == 0:
            require_equal(self.group, done.stage.trains)
            self._lap("train")
            if done.last:
                self._save(stage=stage + 1, epoch=0)
            else:
                self._save(stage=stage, epoch=epoch, optimizer=done.optimizer)
        if self.observers.on_epoch is not None:
            self.observers.on_epoch(done.report)

    def _evaluate(self) -> None:
        index = self.place.task
        self.tests.append(self.labelled.table(self.protocol.tasks[index].test, 0))
        tests = ClipTable.joined(self.tests)
        report = evaluated(self.method, index, tests, device=self.workspace.device, group=self.group)
        if self.group.first:
            self.folder.write_checkpoint(index, self.method.predictor.state_dict())
            self.folder.write_predictions(index, report.predictions)
            if len(self.method.memory):
                self.method.memory.write(self.folder.memory)
        by_task = accuracy_by_task(report.predictions.evaluation(), index + 1)
        found = EvaluationReport(index, report.accuracy, report.memory_bytes, tuple(by_task))
        self._log({"event": "evaluation", **asdict(found)})
        self._lap("evaluate")
        memories = (*self.place.memory_bytes_by_task, report.memory_bytes)
        self.place = replace(self.place, task=index + 1, memory_bytes_by_task=memories)
        self._save(stage=0, epoch=0)
        if self.observers.on_task is not None:
            self.observers.on_task(report)

    def _lap(self, what: str) -> None:
        """Count the wall-clock time since the last lap as spent on `what`."""
        now = time.perf_counter()
        self.seconds[what] += now - self.last
        self.last = now

    def _save(self, *, stage: int, epoch: int, optimizer: Optimizer | None = None) -> None:
        self.place = replace(self.place, stage=stage, epoch=epoch, seconds=dict(self.seconds))
        if self.group.first:
            self.folder.save(self.place, self.method, optimizer_state(optimizer) if optimizer else None)

    def _log(self, event: Mapping[str, Any]) -> None:
        if self.group.first:
            self.folder.log(event)
            if self.observers.sink is not None:
                self.observers.sink.write(self.step, event)
            self.step += 1


def count_trainable_parameters(method: Method, task: TaskData) -> int:
    """Return how many parameters the stages of `task` train, each counted once; no clip of the task is read."""
    modules = [module for stage in method.stages(task) for module in stage.trains]
    sizes = {id(parameter): parameter.numel() for module in modules for parameter in module.parameters()}
    return sum(sizes.values())


def make_record(
    workspace: Workspace, method: Method, folder: RunFolder, place: Place, progress: Progress, *, parameters: int | None
) -> Record:
    """Write and return the record; nothing in it depends on the machine's paths or on when it was made."""
    config, protocol = workspace.config, workspace.protocol
    identity = config.identity()
    splits = {video.key: video.split for video in protocol.videos}
    predictions = (folder.read_predictions(index) for index in range(place.task))
    tasks = [
        {
            "classes": task.classes,
            # Nobody looked for the training videos of an imported run.
            "train_videos": 0 if folder.imported else sum(video.key not in place.skipped for video in task.train),
            "test_videos": sum(video.key not in place.skipped for video in task.test),
        }
        for task in protocol.tasks
    ]
    content = {
        "protocol": {
            "name": protocol.name,
            "id": protocol.id,
            "list_sha256": protocol.list_sha256,
            "passed_over": protocol.passed_over,
            "tasks": tasks,
        },
        "method": {
            "name": config.method.name,
            "asked_for": config.asked_for,
            "config": {**identity["method"], "needs_all_tasks": method.needs_all_tasks},
        },
        "encoder": {
            "name": workspace.origin.name,
            "fingerprint": workspace.origin.fingerprint,
            "text_tower": workspace.text_tower,
        },
        "seed": config.seed,
        **scored(predictions, class_counts=[len(t.classes) for t in protocol.tasks[: place.task]], progress=progress),
        "trainable_parameters": parameters,
        "memory_bytes": total_by_kind(method.ledger()),
        "exemplars": len(method.memory),
        "skipped_videos": [
            {"video": key, "split": splits[key], "reason": reason} for key, reason in sorted(place.skipped.items())
        ],
        "seconds": place.seconds,
        "versions": {"essential": __version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in _PACKAGES},
        "data": identity["data"],
        "config": identity,
        "ledger": [asdict(entry) for entry in method.ledger()],
        "memory_bytes_by_task": place.memory_bytes_by_task,
    }
    record = Record.model_validate(content)
    record.write(folder.record)
    return record


def record_of_all(make: Callable[[], Record], group: ProcessGroup) -> Record:
    """Return on every rank the record that rank 0 makes."""
    record = make() if group.first else None
    text = group.from_first(lambda: record and record.model_dump_json())
    return record or Record.model_validate_json(text, strict=True)
