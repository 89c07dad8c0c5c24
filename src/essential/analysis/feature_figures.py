"""The figures that need features: the distances of exemplars, and accuracy by frames read.

They are made from what the run has learned and from its features, if those are still stored; no video is read.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from essential.analysis.exemplars import distances, fill, read_exemplars
from essential.engine.evaluate import Predictions
from essential.engine.run_folder import RunFolder
from essential.engine.settings import RunConfig
from essential.engine.workspace import Workspace, open_workspace
from essential.errors import EssentialError, RunError
from essential.features.tables import FrameTable
from essential.memory.episodic import EpisodicMemory
from essential.memory.selection import uniform_positions
from essential.methods import build_method
from essential.methods.contract import Method
from essential.methods.exemplars import take_frames
from essential.models.classifier import Predictor
from essential.progress import Progress
from essential.protocols.protocol import Protocol, Split
from essential.records.analysis import MOST_EXEMPLARS, Distances, FramesKept

_MOST_TESTS = 1000
_AT_ONCE = 256
_NUMBERS = 8
AGAIN = " Once they are back, delete analysis.json, and report makes it again."
"""Behind notes on what is gone: an analysis that is there is not made anew."""
_NOT_LOADED = (
    "What the run has learned is not in its folder any more, or cannot be loaded: the distances of exemplars and the "
    "accuracy by frames read are left out. Once it is back, delete analysis.json, and report makes it again."
)
_NO_EXEMPLARS = "The run keeps no exemplars: there are no distances of them."
_NOT_STORED = f"The features of the {{}} videos are not stored, or not any more: {{}} left out.{AGAIN}"
_NO_DENSE = _NOT_STORED.format("exemplars'", "the distances of exemplars are")
_NO_TESTS = _NOT_STORED.format("test", "the accuracy by frames read is")
_WHOLE = "Exemplars are kept with all their frames: nothing is sparse, and there are no distances."
_NOT_FINITE = "What the run has learned makes no finite numbers of its exemplars: their distances are left out."
_NO_CLIPS = "The run has no test clip: there is no accuracy by frames read."


@dataclass
class FeatureFigures:
    """The figures, and notes on what is left out."""

    distances: Distances | None = None
    frames_kept: tuple[FramesKept, ...] = ()
    notes: tuple[str, ...] = ()


def feature_figures(folder: RunFolder, config: RunConfig, protocol: Protocol, tested: Predictions) -> FeatureFigures:
    """Return the figures of a finished run, from its config for the CPU and its last predictions."""
    try:
        method = _learned(folder, config)
    except EssentialError:
        return FeatureFigures(notes=(_NOT_LOADED,))
    figures, stored = FeatureFigures(), _Stored(folder, config, protocol)
    _add_exemplars(figures, method, stored, frames=config.video.frames)
    _add_tests(figures, method, stored, tested, frames=config.video.frames)
    return figures


def _learned(folder: RunFolder, config: RunConfig) -> Method:
    saved, origin = folder.state(), folder.origin()
    if saved is None or origin is None:
        raise RunError(f"{folder.path} does not hold what its run has learned")
    method = build_method(config.method, dim=origin.dim, frames=config.video.frames, seed=config.seed)
    method.load_state_dict(saved.method)
    method.network.eval()
    return method


class _Stored:
    """The features of a run that are still stored."""

    def __init__(self, folder: RunFolder, config: RunConfig, protocol: Protocol) -> None:
        self._videos = {(video.split, video.key): video for video in protocol.videos}
        self._workspace: Workspace | None = None
        with suppress(EssentialError):
            workspace = open_workspace(config, Progress(), protocol=protocol)
            folder.refuse_other_features(workspace.origin)
            self._workspace = workspace

    def table(self, split: Split, keys: Sequence[str]) -> FrameTable | None:
        """Return the plain view of videos of a split; None unless all are there."""
        videos = [self._videos[split, key] for key in keys]
        try:
            table = None if self._workspace is None else self._workspace.stored(videos).view(videos, 0)
        except EssentialError:
            return None
        return table if table is not None and len(table) == len(videos) else None


def _add_exemplars(figures: FeatureFigures, method: Method, stored: _Stored, *, frames: int) -> None:
    if not len(method.memory):
        figures.notes += (_NO_EXEMPLARS,)
        return
    memory = method.memory.take(torch.from_numpy(evenly_chosen(method.memory.slots.numpy(), MOST_EXEMPLARS)))
    whole = memory.positions.shape[1] == frames
    table = None if whole else stored.table("train", memory.names)
    dense = None if table is None else table.rows(torch.arange(len(memory)))
    readings = read_exemplars(method, memory, dense, frames=frames)
    if not all(torch.isfinite(tokens).all() for tokens in (*readings.tokens.values(), *readings.frames.values())):
        figures.notes += (_NOT_FINITE,)
        return
    figures.distances = distances(readings)
    figures.notes += (_WHOLE,) if whole else (_NO_DENSE,) if dense is None else ()


def _add_tests(figures: FeatureFigures, method: Method, stored: _Stored, tested: Predictions, *, frames: int) -> None:
    chosen = evenly_chosen(tested.slots, _MOST_TESTS)
    table = stored.table("test", [tested.videos[row] for row in chosen.tolist()]) if len(chosen) else None
    if table is None:
        figures.notes += (_NO_TESTS if len(chosen) else _NO_CLIPS,)
        return
    slots, tasks = torch.from_numpy(tested.slots[chosen]), torch.from_numpy(tested.tasks[chosen])
    figures.frames_kept = accuracy_by_frames(method, table, slots.long(), tasks.long(), frames=frames)


@torch.no_grad()
def accuracy_by_frames(
    method: Method, table: FrameTable, slots: Int[Tensor, " clips"], tasks: Int[Tensor, " clips"], *, frames: int
) -> tuple[FramesKept, ...]:
    """Return a learned method's accuracy on dense clips for 1 to `frames` frames, or for some numbers of these.

    `slots` are the clips' classes, and `tasks` those that brought these.
    """
    kept = method.memory.positions.shape[1]
    numbers = _numbers(frames, kept)
    right: dict[int, list[Tensor]] = {number: [] for number in numbers}
    rebuilt_right: list[Tensor] = []
    for rows in torch.arange(len(slots)).split(_AT_ONCE):
        dense, true = table.rows(rows), slots[rows]
        for number in numbers:
            positions = uniform_positions(number, frames).expand(len(rows), -1)
            scores = _scores(method.predictor, take_frames(dense, positions), positions, frames=frames)
            right[number].append(scores.argmax(dim=1) == true)
        positions = uniform_positions(kept, frames).expand(len(rows), -1)
        as_kept = EpisodicMemory(take_frames(dense, positions), positions, true, tasks[rows], ("",) * len(rows))
        rebuilt = method.rebuilt(as_kept)
        if rebuilt is not None:
            rebuilt_right.append(method.predictor(rebuilt).argmax(dim=1) == true)
    found = {number: FramesKept(frames=number, clips=len(slots), accuracy=_mean(right[number])) for number in numbers}
    if rebuilt_right:
        found[kept] = found[kept].model_copy(update={"retrieved_accuracy": _mean(rebuilt_right)})
    return tuple(found.values())


def _mean(right: list[Tensor]) -> float:
    return float(torch.cat(right).double().mean())


def _scores(
    predictor: Predictor,
    features: Float[Tensor, "clips kept dim"],
    positions: Int[Tensor, "clips kept"],
    *,
    frames: int,
) -> Float[Tensor, "clips slots"]:
    """Score clips by some of their frames; if a predictor needs all, each also stands for those nearest to it."""
    by_tokens = predictor.by_tokens(predictor.tokens(features, positions))
    if by_tokens is not None:
        return by_tokens
    scores: Tensor = predictor(fill(features, positions, frames=frames))
    return scores


def _numbers(frames: int, kept: int) -> Sequence[int]:
    """Return every number of frames, or some evenly spread ones, with the memory's and the last."""
    if frames <= _NUMBERS:
        return range(1, frames + 1)
    return sorted({1 + (frames - 1) * step // (_NUMBERS - 1) for step in range(_NUMBERS)} | {kept})


def evenly_chosen(slots: Int[np.ndarray, " rows"], most: int) -> Int[np.ndarray, " chosen"]:
    """Return the places of at most `most` rows, in order: the same number of each class, evenly spread within it.

    All rows if there are no more; one row of some classes if there are more classes than `most`.
    """
    if len(slots) <= most:
        return np.arange(len(slots))
    of_class = [np.flatnonzero(slots == slot) for slot in np.unique(slots)]
    sizes = np.array([len(rows) for rows in of_class])
    share = max(share for share in range(most + 1) if np.minimum(sizes, share).sum() <= most)
    wanted = np.minimum(sizes, max(share, 1)).tolist()
    spread = [uniform_positions(number, len(rows)).numpy() for number, rows in zip(wanted, of_class, strict=True)]
    chosen = np.concatenate([rows[places] for rows, places in zip(of_class, spread, strict=True)])
    return np.sort(chosen if share else chosen[uniform_positions(most, len(chosen)).numpy()])
