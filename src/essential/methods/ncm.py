"""NCM: the nearest class mean.

Source: Mensink, Verbeek, Perronnin and Csurka, Distance-Based Image Classification: Generalizing to New Classes at
Near-Zero Cost, TPAMI 2013, whose starting point it is.

1. a clip is a vector: the mean of its frames, or its frames side by side, scaled to length 1;
2. keep the mean of each class's vectors;
3. a clip belongs to the class whose mean is nearest.

Differs from the paper: no metric is learned; vectors have length 1, and their means are taken as they come.
"""

from typing import Literal

from pydantic import Field
from torch import nn

from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import LedgerEntry
from essential.methods.class_statistics import statistics_ledger
from essential.methods.class_vectors import vectors_by_class
from essential.methods.contract import Method, TaskData
from essential.models.clip_vectors import ClipForm, UnitLength, clip_vector, clip_width
from essential.models.closed_form import MeanDistances
from essential.schema import Section


class NcmConfig(Section):
    """NCM's settings."""

    name: Literal["ncm"] = "ncm"
    clip: ClipForm = Field("mean", description="a clip is the mean of its frames, or all of them side by side")


class Ncm(Method):
    """See the top of this file."""

    Config = NcmConfig

    draws_nothing = True

    def __init__(self, config: NcmConfig, *, dim: int, frames: int, epochs: int, seed: int) -> None:
        del epochs, seed
        vectors = nn.Sequential(clip_vector(config.clip), UnitLength())
        self.scores = MeanDistances(vectors, width=clip_width(config.clip, dim=dim, frames=frames))
        super().__init__(self.scores, EpisodicMemory.empty(kept=frames, dim=dim))

    def begin(self, task: TaskData) -> None:
        """Note the slots."""
        self.slots.append(task.slots)

    def finish(self, task: TaskData) -> None:
        """Add the means of the task's classes."""
        for vectors in vectors_by_class(task, self.scores.vectors, device=self.scores.means.device):
            self.scores.add(vectors.mean(dim=0))

    def ledger(self) -> list[LedgerEntry]:
        """The means; the predictor is nothing else."""
        return statistics_ledger({"class means": self.scores.means})
