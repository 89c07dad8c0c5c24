"""What a report shows of a finished run beyond its record, made from the run's folder without training.

Features or videos that are gone since the run cost the figures that need them; the notes say which, and why.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from essential.analysis.feature_figures import AGAIN, feature_figures
from essential.engine.evaluate import Predictions
from essential.engine.run_folder import RunFolder
from essential.engine.settings import RunConfig
from essential.engine.turns import turn
from essential.engine.workspace import data_root
from essential.errors import CheckpointError, DataError, RunError, VideoError
from essential.features.config import FeaturesConfig
from essential.features.cores import decoders
from essential.files.atomic import folder_lock
from essential.metrics import Evaluation, class_accuracy
from essential.progress import Progress, phase
from essential.protocols.protocol import Video
from essential.records import Record
from essential.records.analysis import FRAMES_SHOWN, MOST_FORGOTTEN, Analysis, ForgottenClip
from essential.video.decode import read_frames
from essential.video.views import segment_indices
from essential.video.worker_pool import Lost, run_tasks

_THUMBNAIL_SIDE = 96
_JPEG_QUALITY = 75


@dataclass(frozen=True)
class Outcomes:
    """See `Analysis`; `forgotten` has all forgotten clips, without frames, and `last` the last predictions."""

    class_accuracy_by_task: tuple[tuple[float | None, ...], ...]
    confusion: tuple[tuple[int, ...], ...]
    forgotten: tuple[ForgottenClip, ...]
    last: Predictions


def analyse(out: Path, *, progress: Progress, unverified: bool = False) -> Analysis:
    """Return the analysis of the finished run in `out`; if there is none yet, make and write it.

    The same run gives the same analysis, with a GPU or without and with any number of threads: it is computed on the
    CPU, by one. With `unverified`, a record or an analysis that was changed after it was written is read too.

    Raises:
        RunError: the run is not finished, its folder is in use, or a file is damaged, changed or of another run.
        CheckpointError: the predictions are missing or damaged.
        FileSystemError: the disk refuses.
    """
    folder = RunFolder(out)
    record = Record.read(folder.record, unverified=unverified)
    if folder.analysis.exists():
        there = Analysis.read(folder.analysis, unverified=unverified)
        there.refuse_another(str(out), record)
        return there
    config = folder.config()
    with folder_lock(out), phase(progress, "analyse", 3), turn(1):
        analysis = _make(folder, config, record, progress)
        analysis.write(folder.analysis)
    return analysis


def _make(folder: RunFolder, config: RunConfig, record: Record, progress: Progress) -> Analysis:
    protocol = folder.protocol(data_root(config))
    if protocol is None or protocol.id != record.protocol.id:
        raise RunError(f"{folder.path} holds the record of another protocol than its own; put the run's own files back")
    tasks = protocol.tasks[: len(record.accuracy)]
    names = tuple(name for task in tasks for name in task.classes)
    found = outcomes((folder.read_predictions(task.index) for task in tasks), names)
    if record.class_accuracy and found.class_accuracy_by_task[-1] != record.class_accuracy:
        raise RunError(f"the predictions in {folder.path} are of another run than its record; put the run's own back")
    progress.advance(1)
    training = config.training.model_copy(update={"device": "cpu"})
    figures = feature_figures(folder, config.model_copy(update={"training": training}), protocol, found.last)
    progress.advance(2)
    by_key = {video.key: video for video in protocol.videos if video.split == "test"}
    forgotten = found.forgotten[:MOST_FORGOTTEN]
    shown = thumbnails([by_key[clip.video] for clip in forgotten], frames=config.video.frames, config=config.features)
    bare = sum(not frames for frames in shown)
    if bare:
        note = f"The videos of {bare} of the {len(shown)} forgotten clips shown are not there, or not any more.{AGAIN}"
        figures.notes += (note,)
    progress.advance(3)
    return Analysis(
        protocol_id=protocol.id,
        class_names=names,
        class_tasks=tuple(task.index for task in tasks for _ in task.classes),
        class_accuracy_by_task=found.class_accuracy_by_task,
        confusion=found.confusion,
        forgotten=tuple(
            ForgottenClip.model_validate({**dict(clip), "frames": frames})
            for clip, frames in zip(forgotten, shown, strict=True)
        ),
        forgotten_count=len(found.forgotten),
        **vars(figures),
    )


def outcomes(predictions: Iterable[Predictions], names: Sequence[str]) -> Outcomes:
    """Return the outcomes of the test clips from one `Predictions` per task learned, and the classes' names by slot.

    A CheckpointError if they are not of one run.
    """
    decided: list[Evaluation] = []
    last: Predictions | None = None
    for each in predictions:
        if last is not None and each.videos[: len(last.videos)] != last.videos:
            raise CheckpointError(
                f"the predictions after task {len(decided) + 1} are not of the clips of those before; delete the "
                "folder predictions, and run train again with --resume after deleting record.json"
            )
        decided.append(each.evaluation())
        last = each
    assert last is not None, "a finished run has learned one task at least"
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (decided[-1].slots, decided[-1].predicted), 1)
    return Outcomes(
        tuple(tuple(class_accuracy(evaluation, len(names))) for evaluation in decided),
        tuple(map(tuple, confusion.tolist())),
        _forgotten(decided, last, names),
        last,
    )


def _forgotten(decided: list[Evaluation], last: Predictions, names: Sequence[str]) -> tuple[ForgottenClip, ...]:
    """Return the clips that were right after a task and are wrong in the end, the most confident mistake first."""
    right = np.zeros((len(decided), len(last.videos)), np.bool_)
    for row, each in zip(right, decided, strict=True):
        row[: len(each.slots)] = each.predicted == each.slots
    first_right, last_right = right.argmax(axis=0), len(right) - 1 - right[::-1].argmax(axis=0)
    predicted, slots, ranking = decided[-1].predicted, decided[-1].slots, last.decided
    clips = np.flatnonzero(right.any(axis=0) & ~right[-1])
    margins = ranking.scores[clips, 0] - ranking.true_scores[clips]
    found = [
        ForgottenClip(
            video=last.videos[clip],
            label=names[slots[clip]],
            known_after_task=int(first_right[clip]),
            lost_after_task=int(last_right[clip]) + 1,
            predicted=names[predicted[clip]],
            margin=margin,
        )
        for clip, margin in zip(clips.tolist(), margins.tolist(), strict=True)
    ]
    return tuple(sorted(found, key=lambda one: (-one.margin, one.video)))


def thumbnails(videos: Sequence[Video], *, frames: int, config: FeaturesConfig) -> list[tuple[str, ...]]:
    """Return, for each video, some of the `frames` frames of its clip as JPEG in base64; none if it cannot be read.

    A video that hangs or kills the process that decodes it costs only its own.
    """
    running = run_tasks(
        partial(_thumbnails, frames),
        videos,
        workers=max(1, min(len(videos), decoders(config.workers))),
        start=config.worker_start,
        seconds_limit=config.video_seconds_limit,
    )
    with closing(running):
        found = dict(running)
    results = (found[place] for place in range(len(videos)))
    return [() if isinstance(result, Lost) else result for result in results]


def _thumbnails(frames: int, video: Video) -> tuple[str, ...]:
    shown = segment_indices(frames, min(FRAMES_SHOWN, frames), generator=None)

    def choose(frame_count: int) -> list[int]:
        clip = segment_indices(frame_count, frames, generator=None)
        return [clip[index] for index in shown]

    try:
        with video.here() as local:
            decoded = read_frames(local.path, choose, segment=video.segment)
    except (VideoError, DataError, OSError):
        return ()
    return tuple(_jpeg(Image.fromarray(frame)) for frame in decoded.frames)


def _jpeg(image: Image.Image) -> str:
    image.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=_JPEG_QUALITY)
    return base64.b64encode(content.getvalue()).decode()
