"""What methods in closed form share: a clip is a vector, and what is kept of a class is computed from its vectors."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar, Generic, TypeVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from essential.configs.schema import Section
from essential.errors import ConfigError
from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import LedgerEntry
from essential.methods.contract import Method, TaskData
from essential.methods.statistics import Bits, ClassStatistics, RidgeProblem
from essential.models.closed_form import ClipForm, ClipVector, ClosedFormPredictor, LinearScores

# More frames' slow coefficients rarely say more: see docs/methods.md.
_COEFFICIENTS = 4


class ClosedFormConfig(Section):
    clip: ClipForm = Field(
        "mean", description="a clip is the mean of its frames, all of them side by side, or their spectrum over time"
    )
    coefficients: int | None = Field(
        None, ge=1, description="of a spectrum (dct), the slowest first; none: 4, or all where a clip has fewer frames"
    )
    statistics_bits: Bits = Field(32, description="bits of each number of means and covariances")


Settings = TypeVar("Settings", bound=ClosedFormConfig)
Scores = TypeVar("Scores", bound=ClosedFormPredictor)


class ClosedForm(Method, Generic[Settings, Scores]):
    """A method that computes its scores when a task ends, and trains nothing.

    Attributes:
        unit_length: a clip's vector is scaled to length 1.
        blocks: of a clip's vector; see `ClipVector`.
        scores: the predictor.

    Raises:
        ConfigError: more coefficients are asked for than a clip has frames.
    """

    draws_nothing = True
    unit_length: ClassVar[bool] = False

    def __init__(self, config: Settings, *, dim: int, frames: int, seed: int) -> None:
        self.config = config
        coefficients = _coefficients(config, frames)
        vectors = ClipVector(config.clip, dim=dim, frames=frames, coefficients=coefficients, unit=self.unit_length)
        self.blocks = vectors.blocks
        self.scores = self.make_scores(vectors, vectors.width, seed)
        super().__init__(self.scores, EpisodicMemory.empty(kept=frames, dim=dim), seed=seed)

    @abstractmethod
    def make_scores(self, vectors: nn.Module, width: int, seed: int) -> Scores:
        """Make the predictor, whose vectors begin with what `vectors` makes of a clip, `width` numbers."""

    def begin(self, task: TaskData) -> None:
        self.slots.append(task.slots)

    def finish(self, task: TaskData) -> None:
        self.learn(self._vectors_by_class(task))

    @abstractmethod
    def learn(self, classes: Iterable[Float[Tensor, "clips width"]]) -> None:
        """Add classes behind those seen, each given by the vectors of all its clips, and have scores for all."""

    def _vectors_by_class(self, task: TaskData) -> Iterator[Float[Tensor, "clips width"]]:
        """Give the vectors of each class of the task, in order of its slots.

        A class's vectors depend on its own clips alone, to the bit, and not on how classes are split into tasks. Clips
        are read in the plain view: the choices of shrinkage and ridge count each view as a clip.
        """
        table, device = task.plain(), next(self.network.buffers()).device
        for slot in task.slots:
            clips = (table.slots == slot).nonzero()[:, 0]
            yield self.scores.vectors(table.rows(clips).to(device).features)


def _coefficients(config: ClosedFormConfig, frames: int) -> int:
    asked = min(_COEFFICIENTS, frames) if config.coefficients is None else config.coefficients
    if asked > frames:
        problem = f"{asked} is more than the clip's video.frames={frames}"
        raise ConfigError(problem, where="method.coefficients", remedy=f"use {frames} at most")
    return asked


class FromStatistics(ClosedForm[Settings, LinearScores]):
    """A method that computes linear scores of all classes from the statistics of all clips seen."""

    def __init__(self, config: Settings, *, dim: int, frames: int, seed: int) -> None:
        super().__init__(config, dim=dim, frames=frames, seed=seed)
        width, blocks = self.scores.width, self.blocks
        self.statistics = ClassStatistics(width // blocks, blocks=blocks, bits=config.statistics_bits)
        self.network["statistics"] = self.statistics

    def make_scores(self, vectors: nn.Module, width: int, seed: int) -> LinearScores:  # noqa: ARG002
        return LinearScores(vectors, width=width)

    def learn(self, classes: Iterable[Float[Tensor, "clips width"]]) -> None:
        """Add the classes to the statistics, and compute the scores anew."""
        self.statistics.add(classes)
        self.scores.set(*self.solve(self.statistics))

    @abstractmethod
    def solve(self, statistics: ClassStatistics) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
        """Return weight and bias of the scores."""

    def ledger(self) -> list[LedgerEntry]:
        return self.statistics.ledger()


class RidgeConfig(ClosedFormConfig):
    statistics_bits: Bits = Field(64, description="bits of each number of means and covariances")
    ridge: float | None = Field(None, gt=0, description="the penalty; none: by generalised cross-validation")


RidgeSettings = TypeVar("RidgeSettings", bound=RidgeConfig)


class Ridge(FromStatistics[RidgeSettings]):
    """A method that regresses the class indicators on the clips' vectors."""

    def solve(self, statistics: ClassStatistics) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
        problem = RidgeProblem.of(statistics)
        return problem.solve(self.config.ridge or problem.best_ridge())
