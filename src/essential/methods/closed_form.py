"""What methods in closed form share: a clip is a vector, and what is kept of a class is computed from its vectors."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from essential.configs.schema import Section
from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import LedgerEntry
from essential.methods.class_statistics import ClassStatistics
from essential.methods.contract import Method, TaskData
from essential.models.closed_form import ClipForm, ClosedFormPredictor, LinearScores, clip_vector


class ClosedFormConfig(Section):
    """The setting that all these methods have."""

    clip: ClipForm = Field("mean", description="a clip is the mean of its frames, or all of them side by side")


Settings = TypeVar("Settings", bound=ClosedFormConfig)
Scores = TypeVar("Scores", bound=ClosedFormPredictor)


class ClosedForm(Method, Generic[Settings, Scores]):
    """A method that computes its scores when a task ends, and trains nothing.

    Attributes:
        scores: the predictor.
        statistics: what is kept of the classes seen, where linear scores of all are computed anew from it.
    """

    draws_nothing = True

    def __init__(self, config: Settings, *, dim: int, frames: int, seed: int) -> None:
        self.config, self.seed = config, seed
        self.scores = self.make_scores(*clip_vector(config.clip, dim=dim, frames=frames))
        super().__init__(self.scores, EpisodicMemory.empty(kept=frames, dim=dim), seed=seed)
        if isinstance(self.scores, LinearScores):
            self.statistics = ClassStatistics(self.scores.weight.shape[1])
            self.network["statistics"] = self.statistics

    @abstractmethod
    def make_scores(self, vectors: nn.Module, width: int) -> Scores:
        """Make the predictor, whose vectors begin with what `vectors` makes of a clip, `width` numbers."""

    def begin(self, task: TaskData) -> None:
        """Note the slots."""
        self.slots.append(task.slots)

    def finish(self, task: TaskData) -> None:
        """Learn the task's classes."""
        self.learn(self._vectors_by_class(task))

    @abstractmethod
    def learn(self, classes: Iterable[Float[Tensor, "clips width"]]) -> None:
        """Add classes behind those seen, each given by the vectors of all its clips, and have scores for all."""

    def ledger(self) -> list[LedgerEntry]:
        """The statistics; the scores follow from them."""
        return self.statistics.ledger()

    def _vectors_by_class(self, task: TaskData) -> Iterator[Float[Tensor, "clips width"]]:
        """Give the vectors of each class of the task, in order of its slots.

        A class's vectors depend on its own clips alone, to the last bit: whatever is computed from them does not depend
        on how the classes are split into tasks. Clips are read in the plain view: augmented views of a clip are no
        clips of their own, as which the choices of shrinkage and ridge would take them.
        """
        table, device = task.plain(), next(self.network.buffers()).device
        for slot in task.slots:
            clips = (table.slots == slot).nonzero()[:, 0]
            yield self.scores.vectors(table.rows(clips).to(device).features)
