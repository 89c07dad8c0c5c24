"""A task's clips, as methods see them: batches out of a feature source, stored or live."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from essential.errors import DataError
from essential.features.source import FeatureSource
from essential.methods.contract import Batch
from essential.models.text_scores import Words
from essential.protocols.protocol import Protocol, Task, Video


@dataclass(frozen=True, eq=False)
class ClipTable:
    """Clips in one view, gathered by index; the engine's `methods.contract.BatchTable`.

    Attributes:
        read: gives the features of rows as float32, in the order asked; repeats are allowed.
        names: what each clip is called: its video's key.
        slots: the class of each clip.
        tasks: the task in which the class of each arrived.
    """

    read: Callable[[Int[Tensor, " batch"]], Float[Tensor, "batch frames dim"]]
    names: Sequence[str]
    slots: Int[Tensor, " clips"]
    tasks: Int[Tensor, " clips"]

    def __len__(self) -> int:
        return len(self.slots)

    def rows(self, indices: Int[Tensor, " batch"]) -> Batch:
        """Gather dense clips: frame i stands at position i."""
        features = self.read(indices)
        positions = torch.arange(features.shape[1]).expand(features.shape[:2])
        return Batch(features, positions, self.slots[indices], self.tasks[indices])

    @classmethod
    def joined(cls, parts: Sequence["ClipTable"]) -> "ClipTable":
        """Return the clips of several tables, one after the other."""
        part_of = torch.arange(len(parts)).repeat_interleave(torch.tensor([len(part) for part in parts]))
        row_in_part = torch.cat([torch.arange(len(part)) for part in parts])

        def read(indices: Int[Tensor, " batch"]) -> Float[Tensor, "batch frames dim"]:
            owners, rows = part_of[indices], row_in_part[indices]
            found = [(owners == part).nonzero()[:, 0] for part in owners.unique().tolist()]
            if not found:
                return parts[0].read(rows)
            pieces = [parts[int(owners[places[0]])].read(rows[places]) for places in found]
            features = pieces[0].new_empty(len(indices), *pieces[0].shape[1:])
            features[torch.cat(found)] = torch.cat(pieces)
            return features

        names = [name for part in parts for name in part.names]
        return cls(read, names, torch.cat([part.slots for part in parts]), torch.cat([part.tasks for part in parts]))


class LabelledVideos:
    """Pairs videos with their features, slots and tasks; without those of the keys `without`, and the unreadable."""

    def __init__(self, protocol: Protocol, source: FeatureSource, *, without: Collection[str] = ()) -> None:
        self.source = source
        self._without = frozenset(without)
        self._slots = protocol.slots
        self._tasks = {name: task.index for task in protocol.tasks for name in task.classes}

    def table(self, videos: Sequence[Video], view: int) -> ClipTable:
        """Return the videos in view `view`."""
        frames = self.source.view([video for video in videos if video.key not in self._without], view)
        slots = torch.tensor([self._slots[video.label] for video in frames.videos], dtype=torch.long)
        tasks = torch.tensor([self._tasks[video.label] for video in frames.videos], dtype=torch.long)
        return ClipTable(frames.rows, [video.key for video in frames.videos], slots, tasks)


@dataclass(frozen=True)
class TaskClips:
    """The training clips handed to a method for one task. See `methods.contract.TaskData`."""

    index: int
    slots: range
    videos: Sequence[Video]
    labelled: LabelledVideos
    words: Words | None = None

    def epoch(self, epoch: int) -> ClipTable:
        """Return the clips in the view of this epoch."""
        return self.labelled.table(self.videos, self.labelled.source.training_view(epoch))

    def plain(self) -> ClipTable:
        """Return the clips without augmentation."""
        return self.labelled.table(self.videos, 0)


def check_coverage(tasks: Sequence[Task], skipped: Collection[str]) -> None:
    """Refuse to learn a class of which no training clip is readable: a `DataError` that names it."""
    learned = {video.label for task in tasks for video in task.train if video.key not in skipped}
    bare = [name for task in tasks for name in task.classes if name not in learned]
    if bare:
        raise DataError(
            f"no training clip of {', '.join(bare)} can be read, so the class cannot be learned",
            remedy="repair its videos or take the class out of the data",
        )
