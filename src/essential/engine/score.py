"""Scoring a run's checkpoints: again, or for the first time if the run was imported. Nothing is trained."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from essential.engine.clips import ClipTable, LabelledVideos
from essential.engine.config import resolved
from essential.engine.evaluate import Predictions, scored
from essential.engine.process_group import ProcessGroup, SingleProcess
from essential.engine.run import make_record, record_of_all
from essential.engine.run_folder import RunFolder, differences
from essential.engine.settings import RunConfig
from essential.engine.turns import turn
from essential.engine.workspace import Workspace, data_root, open_workspace
from essential.errors import CheckpointError, RunError
from essential.files.atomic import folder_lock
from essential.files.untrusted import read_json
from essential.progress import QUIET, Progress, phase
from essential.protocols.protocol import Protocol, Task
from essential.protocols.video_list import read_video_list
from essential.records import Record

# What checkpoints of other code do not say; all else is theirs.
_FREE = frozenset({"data", "protocol", "features"})


def evaluate(
    out: str | Path,
    *,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    group: ProcessGroup | None = None,
) -> Record:
    """Score the checkpoints of a run on its test videos.

    Args:
        out: the run's folder.
        overrides: of the run's config, such as `data.root=DIR`: other places of the videos or the store, the device. An
            imported run takes its data and tasks from it at its first evaluation, which writes its record.
        progress: shows how far it is.
        group: the ranks that share the work; all of them see the run's folder. None: this process alone.

    Returns:
        The run's record, with the accuracies that the checkpoints give now.

    Raises:
        RunError: there is no finished or imported run, or the config is of another run.
        CheckpointError: a checkpoint is missing or damaged, or scores other classes than the protocol has.
    """
    folder, group = RunFolder(Path(out)), group or SingleProcess()
    progress = progress if progress and group.first else QUIET
    wanted = resolved(folder.config(), overrides, name=f"{folder.path / 'config.yaml'}").with_absolute_paths()
    wanted.data.require_places()
    if folder.imported and not folder.record.exists():
        with folder_lock(folder.path) if group.first else nullcontext(), turn(wanted.training.threads, group):
            return _first_score(folder, wanted, progress, group)
    record = Record.read(folder.record)
    folder.refuse_another(wanted)
    if wanted.features.on_broken_video == "skip":
        # The run's own list is used; a video that broke since then is an error.
        wanted = wanted.model_copy(update={"features": wanted.features.model_copy(update={"on_broken_video": "fail"})})
    protocol = folder.protocol(data_root(wanted))
    _refuse_another_list(folder, wanted, protocol)
    with turn(wanted.training.threads, group):
        workspace = open_workspace(wanted, progress, protocol=protocol, group=group)
        folder.refuse_other_features(workspace.origin)
        tasks = workspace.protocol.tasks[: len(record.accuracy)]
        without = {skipped.video: skipped.reason for skipped in record.skipped_videos}
        predictions = _predictions(workspace, folder, tasks, without=without, progress=progress, group=group)
        counts = [len(task.classes) for task in tasks]
        return record.model_copy(update=scored(predictions, class_counts=counts, progress=progress))


def _first_score(folder: RunFolder, config: RunConfig, progress: Progress, group: ProcessGroup) -> Record:
    """Score an imported run, and write what a trained run has: protocol, predictions, record."""
    saved = folder.saved(group)
    if saved is None:
        raise CheckpointError(f"the import into {folder.path} is incomplete", remedy="import again into another folder")
    workspace = open_workspace(config, progress, group=group)
    _refuse_unlike_import(folder, config, workspace.origin.fingerprint)
    protocol, place = workspace.protocol, saved.place
    method = workspace.build_method()
    method.load_state_dict(saved.method)
    # The last checkpoint's; they all score the same classes.
    classes = len(method.predictor.state_dict()["head.bias"])
    if classes != len(protocol.slots) or place.task > len(protocol.tasks):
        raise CheckpointError(
            f"{folder.path} holds {place.task} checkpoints that score {classes} classes, but the protocol "
            f"{protocol.name!r} has {len(protocol.slots)} classes in {len(protocol.tasks)} tasks",
            remedy="give the data and tasks that the checkpoints were trained on",
        )
    tasks = protocol.tasks[: place.task]
    skipped: dict[str, str] = {}
    for index, found in enumerate(
        _predictions(workspace, folder, tasks, without=skipped, progress=progress, group=group)
    ):
        if group.first:
            folder.write_predictions(index, found)
    place = replace(place, skipped=skipped)
    if group.first:
        folder.claim(config, protocol, workspace.root, workspace.origin)
    return record_of_all(lambda: make_record(workspace, method, folder, place, progress, parameters=None), group)


def _refuse_unlike_import(run: RunFolder, config: RunConfig, encoder_fingerprint: str) -> None:
    """Refuse to score an imported run with anything but its own network; data and tasks are free."""
    theirs, ours = (
        {name: part for name, part in each.identity().items() if name not in _FREE} for each in (run.config(), config)
    )
    found = differences(theirs, ours)
    try:
        fingerprint = read_json(run.import_note)["encoder_fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run.import_note} is damaged ({error})", remedy="import the checkpoints again") from error
    if fingerprint != encoder_fingerprint:
        found.append("encoder: other weights than those that were imported")
    if found:
        raise RunError(
            f"{run.path} was imported with another config: {'; '.join(found)}",
            remedy="only its data, protocol and features may be chosen",
        )


def _refuse_another_list(folder: RunFolder, config: RunConfig, protocol: Protocol | None) -> None:
    """Refuse a list of other content; the run's own may be elsewhere now, or gone."""
    path = config.data.path
    if config.data.kind != "list" or path is None or path == folder.config().with_absolute_paths().data.path:
        return
    if protocol is not None and read_video_list(path).sha256 != protocol.list_sha256:
        raise RunError(
            f"{path} is another list than the one that {folder.path} was made on (sha256 "
            f"{str(protocol.list_sha256)[:12]})",
            remedy="train, or import the checkpoints, into another folder for it",
        )


def _predictions(
    workspace: Workspace,
    folder: RunFolder,
    tasks: tuple[Task, ...],
    *,
    without: dict[str, str],
    progress: Progress,
    group: ProcessGroup,
) -> Iterator[Predictions]:
    """Give each checkpoint's predictions of the test videos of all tasks up to its own; add to `without`."""
    videos = [video for task in tasks for video in task.test if video.key not in without]
    source = workspace.source(videos, progress, group=group)
    without.update(source.skipped)
    labelled = LabelledVideos(workspace.protocol, source, without=without)
    tables: list[ClipTable] = []
    with phase(progress, "evaluate", len(tasks)):
        for task in tasks:
            tables.append(labelled.table(task.test, 0))
            yield workspace.scores_of(folder.read_checkpoint(task.index), ClipTable.joined(tables), group)
            progress.advance(task.index + 1)
