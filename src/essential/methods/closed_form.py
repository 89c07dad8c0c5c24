"""What methods in closed form share: a clip is a vector, and what is kept of a class is computed from its vectors."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Generic, TypeVar

from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from essential.configs.schema import Section
from essential.errors import ConfigError
from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import LedgerEntry
from essential.methods.contract import BatchTable, Method, TaskData
from essential.methods.discriminant import Means
from essential.methods.ridge import RidgeProblem
from essential.methods.statistics import Bits, ClassStatistics, Scatters, refuse_small
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
    budget_bytes: int | None = Field(
        None, ge=1, description="hard cap on the statistics: fewer bits, then numbers of a frame, then coefficients"
    )

    @model_validator(mode="after")
    def _coefficients_of_a_spectrum(self) -> "ClosedFormConfig":
        if self.coefficients is not None and self.clip != "dct":
            raise ValueError(f"method.coefficients={self.coefficients} is for clip=dct, and method.clip={self.clip}")
        return self


class DiscriminantConfig(ClosedFormConfig):
    means: Means = Field(
        "expected",
        description="a class's expected true mean, which few clips draw towards the centre; or that of clips",
    )


Settings = TypeVar("Settings", bound=ClosedFormConfig)
Scores = TypeVar("Scores", bound=ClosedFormPredictor)


class ClosedForm(Method, Generic[Settings, Scores]):
    """A method that computes its scores, when a task ends, from the statistics of all clips seen, and trains nothing.

    Attributes:
        unit_length: a clip's vector is scaled to length 1.
        scores: the predictor.
        statistics: all that is kept.

    Raises:
        ConfigError: more coefficients are asked for than a clip has frames.
    """

    draws_nothing = True
    unit_length: ClassVar[bool] = False

    def __init__(self, config: Settings, *, dim: int, frames: int, seed: int) -> None:
        self.config = config
        coefficients = _coefficients(config, frames)
        vectors = ClipVector(config.clip, dim=dim, frames=frames, coefficients=coefficients, unit=self.unit_length)
        self.scores, self.statistics = self.make(vectors, seed)
        super().__init__(self.scores, EpisodicMemory.empty(kept=frames, dim=dim), seed=seed)
        self.network["statistics"] = self.statistics

    @abstractmethod
    def make(self, vectors: ClipVector, seed: int) -> tuple[Scores, ClassStatistics]:
        """Return the predictor, whose vectors begin with `vectors`, and empty statistics of its vectors."""

    @abstractmethod
    def score(self) -> None:
        """Set the predictor to the statistics."""

    def statistics_of(self, vectors: ClipVector, scatters: Scatters) -> ClassStatistics:
        """Return empty statistics of a clip's vectors."""
        blocks = vectors.blocks
        bits = self.config.statistics_bits
        return ClassStatistics(vectors.width // blocks, blocks=blocks, bits=bits, scatters=scatters)

    def begin(self, task: TaskData) -> None:
        self.slots.append(task.slots)

    def check_room(self, names: Sequence[str], *, tasks: int) -> None:  # noqa: ARG002
        if self.config.budget_bytes is not None:
            classes = max(len(names), len(self.statistics.counts))
            refuse_small(self.config.budget_bytes, self.least_bytes(classes), classes)

    def finish(self, task: TaskData) -> None:
        self.learn(task.plain(), task.slots)
        if self.config.budget_bytes is not None:
            self.fit(self.config.budget_bytes)
        self.score()

    def learn(self, table: BatchTable, slots: range) -> None:
        """Add the classes of the table's clips to what is kept."""
        self.statistics.add(self.vectors_by_class(table, slots))

    def least_bytes(self, classes: int) -> int:
        """Return the bytes of so many classes in the smallest form."""
        return self.statistics.least_bytes(classes)

    def fit(self, budget_bytes: int) -> None:
        """Give up as much of what is kept as does not fit; a ConfigError if the smallest form does not."""
        self.statistics.fit(budget_bytes)

    def ledger(self) -> list[LedgerEntry]:
        return self.statistics.ledger()

    def vectors_by_class(self, table: BatchTable, slots: range) -> Iterator[Float[Tensor, "clips width"]]:
        """Give the vectors of each class of a task's clips, in order of its slots.

        A class's vectors depend on its own clips alone, to the bit, and not on how classes are split into tasks. Clips
        are read in the plain view: the choices of shrinkage and ridge count each view as a clip.
        """
        device = next(self.network.buffers()).device
        for slot in slots:
            clips = (table.slots == slot).nonzero()[:, 0]
            yield self.scores.vectors(table.rows(clips).to(device).features)


def _coefficients(config: ClosedFormConfig, frames: int) -> int:
    asked = min(_COEFFICIENTS, frames) if config.coefficients is None else config.coefficients
    if asked > frames:
        problem = f"{asked} is more than the clip's video.frames={frames}"
        raise ConfigError(problem, where="method.coefficients", remedy=f"use {frames} at most")
    return asked


class Linear(ClosedForm[Settings, LinearScores]):
    """A method whose scores are linear."""

    scatters: ClassVar[Scatters] = "shared"

    def make(self, vectors: ClipVector, seed: int) -> tuple[LinearScores, ClassStatistics]:  # noqa: ARG002
        return LinearScores(vectors, width=vectors.width), self.statistics_of(vectors, self.scatters)

    def score(self) -> None:
        weight, bias = self.solve(self.statistics)
        self.scores.set(self.statistics.widened(weight), bias)

    @abstractmethod
    def solve(self, statistics: ClassStatistics) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
        """Return weight and bias of the scores of what the statistics keep of a vector."""


class RidgeConfig(ClosedFormConfig):
    statistics_bits: Bits = Field(64, description="bits of each number of means and covariances")
    ridge: float | None = Field(None, gt=0, description="the penalty; none: by generalised cross-validation")


RidgeSettings = TypeVar("RidgeSettings", bound=RidgeConfig)


class Ridge(Linear[RidgeSettings]):
    """A method that regresses the class indicators on the clips' vectors."""

    def solve(self, statistics: ClassStatistics) -> tuple[Float[Tensor, "slots width"], Float[Tensor, " slots"]]:
        problem = RidgeProblem.of(statistics)
        return problem.solve(self.config.ridge or problem.best_ridge())
