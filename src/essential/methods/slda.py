"""SLDA: streaming linear discriminant analysis on frozen features.

Source: Hayes and Kanan, Lifelong Machine Learning with Deep Streaming Linear Discriminant Analysis, CVPR Workshops
2020, section 3.

1. a clip is a vector: the mean of its frames, or its frames side by side;
2. keep each class's mean and count, and the scatter of all clips about their class's mean;
3. after each task, shrink the covariance S within classes towards a multiple of the identity, and invert it: L;
4. class k's score of a vector x is  m_k L x - m_k L m_k / 2.

Differs from the paper:
- S is exact for any order of clips. The paper's update takes each clip's distance from its class's running mean, and
  weighs it by the clips of all classes seen.
- The shrinkage is Ledoit and Wolf's, from the same statistics, and towards the mean variance; the paper has 1e-4
  towards the identity, whatever the scale. On moving-digits, frames side by side, the final accuracy is
  0.92 instead of 0.78.

Differs from the authors' code: no covariance of a base stage (theirs is OAS's) is needed.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import Tensor

from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import LedgerEntry
from essential.methods.class_statistics import ClassStatistics
from essential.methods.class_vectors import vectors_by_class
from essential.methods.contract import Method, TaskData
from essential.methods.discriminant import discriminant
from essential.methods.shrinkage import LEAST, ledoit_wolf, shrunk
from essential.models.clip_vectors import ClipForm, clip_vector, clip_width
from essential.models.closed_form import LinearScores
from essential.models.state_names import below
from essential.schema import Section


class SldaConfig(Section):
    """SLDA's settings."""

    name: Literal["slda"] = "slda"
    clip: ClipForm = Field("mean", description="a clip is the mean of its frames, or all of them side by side")
    shrinkage: float | None = Field(
        None, gt=0, le=1, description="weight of the mean variance in the covariance; none: Ledoit and Wolf's choice"
    )


class Slda(Method):
    """See the top of this file."""

    Config = SldaConfig

    draws_nothing = True

    def __init__(self, config: SldaConfig, *, dim: int, frames: int, epochs: int, seed: int) -> None:
        del epochs, seed
        self.config = config
        width = clip_width(config.clip, dim=dim, frames=frames)
        self.scores = LinearScores(clip_vector(config.clip), width=width)
        self.statistics = ClassStatistics(width)
        super().__init__(self.scores, EpisodicMemory.empty(kept=frames, dim=dim))
        self.network["statistics"] = self.statistics

    def begin(self, task: TaskData) -> None:
        """Note the slots."""
        self.slots.append(task.slots)

    def finish(self, task: TaskData) -> None:
        """Add the task's clips to the statistics, and compute the scores anew."""
        device, statistics = self.statistics.means.device, self.statistics
        statistics.add(vectors_by_class(task, self.scores.vectors, device=device))
        covariance = statistics.covariance()
        shrinkage = self.config.shrinkage
        if shrinkage is None:
            shrinkage = max(ledoit_wolf(covariance, float(statistics.fourth), clips=statistics.clips), LEAST)
        inverted = shrunk(covariance, shrinkage, negligible=statistics.negligible)
        self.scores.set(*discriminant(statistics.means.double(), inverted))

    def ledger(self) -> list[LedgerEntry]:
        """The statistics; the scores follow from them."""
        return self.statistics.ledger()

    def resize(self, state: Mapping[str, Tensor]) -> None:
        """Have statistics of as many classes as `state` holds."""
        self.statistics.resize(below("statistics.", state))
