"""What methods that train the clip classifier share: it grows with tasks, may have a teacher, may keep exemplars."""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from essential.configs.schema import Section
from essential.errors import ConfigError
from essential.memory.episodic import EpisodicMemory
from essential.memory.selection import Policy
from essential.methods.contract import Batch, LossTerm, Method, Stage, TaskData
from essential.methods.exemplars import ExemplarKeeper, MemoryConfig, MixedClips, set_exemplar_means
from essential.models.classifier import ClipClassifier, GrowingHead, Head, Predictor, TokenPredictor
from essential.seeded import torch_generator, torch_seeded

_TEACHER = "teacher"
_TEMPERATURE = 2.0


class ClassifierConfig(Section):
    """The temporal encoder and the head."""

    layers: int = Field(1, ge=1, le=64, description="cross-attention layers (authors' flag: temporal_layer)")
    heads: int | None = Field(
        None,
        ge=1,
        description="attention heads, which divide the feature width; none: one per 64 numbers, 12 for CLIP's 768 "
        "as the authors have (temporal_heads)",
    )
    fewest_heads: int = Field(1, ge=1, description="heads of narrower features, where `heads` is none")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout before the head (dropout_ratio)")
    drop_path: float = Field(0.2, ge=0, lt=1, description="chance to skip a layer in training")
    init_scale: float = Field(0.001, gt=0, description="scale of the head's initial weights (init_scale)")

    def heads_for(self, dim: int) -> int:
        """Return what is set, or the largest divisor of `dim` up to one head per 64 numbers, or up to the fewest."""
        if self.heads is not None:
            return self.heads
        return max(heads for heads in range(1, max(self.fewest_heads, dim // 64) + 1) if dim % heads == 0)


class TrainedConfig(Section):
    """The settings that all these methods have."""

    classifier: ClassifierConfig = ClassifierConfig()


class HerdedConfig(MemoryConfig, TrainedConfig):
    """The settings of methods whose paper chooses exemplars by herding."""

    policy: Policy = Field("herding", description="which clips; the paper's is herding")


Settings = TypeVar("Settings", bound=TrainedConfig)
Given = TypeVar("Given")


class Trained(Method, Generic[Settings]):
    """A method that trains a clip classifier; by default finetuning, with or without exemplars.

    One stage per task, on the task's clips; where the settings are a `MemoryConfig`, on the exemplars too, and the
    task's exemplars are chosen afterwards. The loss is cross-entropy over all slots seen.

    Attributes:
        distils: a frozen copy of the classifier, the teacher, is made when a task begins and dropped when it ends.
        keeps_logits: the classifier's logits are stored beside each exemplar.
        keeper: chooses the exemplars; None where none are kept.
        classifier: grows with the tasks; it is the predictor unless a method puts another in its place.
    """

    distils: ClassVar[bool] = False
    keeps_logits: ClassVar[bool] = False

    def __init__(self, config: Settings, *, dim: int, frames: int, seed: int) -> None:
        self.config, self.dim, self.frames, self.seed = config, dim, frames, seed
        self.classifier = self._initial_classifier()
        self.keeper: ExemplarKeeper | None = None
        memory = EpisodicMemory.empty(kept=frames, dim=dim)
        if isinstance(config, MemoryConfig):
            self.keeper = ExemplarKeeper(config, frames=frames, dim=dim, seed=seed, keeps_logits=self.keeps_logits)
            memory = self.keeper.empty()
        super().__init__(self.make_predictor(), memory, seed=seed)
        if self.distils:
            self.network.at_times(_TEACHER, self._make_teacher)

    def make_head(self) -> Head | None:
        """Make the classifier's head, without any slot; None: a linear layer. Called by the constructor."""
        return None

    def make_predictor(self) -> Predictor:
        """Make what scores clips around `classifier`, or return that itself. Called by the constructor."""
        return self.classifier

    @property
    def student(self) -> Predictor:
        """What the teacher is a copy of."""
        return self.classifier

    def reserved_bytes(self, tasks: int) -> int:  # noqa: ARG002
        """Return what takes a part of the budget beside the exemplars once so many tasks have begun."""
        return 0

    def check_room(self, names: Sequence[str], *, tasks: int) -> None:
        if self.keeper is not None:
            self.keeper.check_room(names, reserved_bytes=self.reserved_bytes(tasks))

    def begin(self, task: TaskData) -> None:
        """Keep what has been learned as the teacher, if there is to be one, and grow the head."""
        if self.distils and self.slots:
            self.network.add(_TEACHER)
        self.slots.append(task.slots)
        grow_head(self.classifier, task.slots, seed=self.seed)

    def start_again(self) -> None:
        """Have a classifier with its initial values, and a row for every slot begun."""
        self.classifier = self._initial_classifier()
        for slots in self.slots:
            grow_head(self.classifier, slots, seed=self.seed)
        self.network["predictor"] = self.make_predictor()

    def stages(self, task: TaskData) -> Sequence[Stage]:
        """One stage on the task's clips, and on the exemplars if any are kept."""
        if self.keeper is None:
            return [Stage("task", lambda: task, [self.classifier])]
        return [Stage("mixed", lambda: MixedClips(task, self.memory), [self.classifier])]

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Iterable[LossTerm]:  # noqa: ARG002
        """Cross-entropy over all slots seen."""
        return [LossTerm("classification", cross_entropy(logits_of(self.classifier, batch), batch.slots))]

    def finish(self, task: TaskData) -> None:
        """Drop the teacher; choose exemplars if any are kept and no stage has done so, and take their means."""
        self.network.drop(_TEACHER)
        if self.keeper is not None:
            if not (self.memory.tasks == task.index).any():
                self.remember(task)
            set_exemplar_means(self.classifier, self.memory)

    def remember(self, task: TaskData) -> None:
        """Choose exemplars of the task, and cut the old ones to make room."""
        assert self.keeper is not None, "the settings are those of a memory"
        reserved = self.reserved_bytes(len(self.slots))
        self.memory = self.keeper.extend(self.memory, task, self.classifier, reserved_bytes=reserved)

    @torch.no_grad()
    def before(self, compute: Callable[[Any], Given]) -> Given | None:
        """Return what `compute` gives of the teacher, a copy of `student`; None in the first task, which has none."""
        teacher = dict(self.network.items()).get(_TEACHER)
        return None if teacher is None else compute(teacher)

    def _make_teacher(self) -> Predictor:
        return copy.deepcopy(self.student).requires_grad_(False).eval()

    def _initial_classifier(self) -> ClipClassifier:
        config, head = self.config.classifier, self.make_head()
        return build_classifier(config, dim=self.dim, frames=self.frames, seed=self.seed, head=head)


def build_classifier(
    config: ClassifierConfig, *, dim: int, frames: int, seed: int, head: Head | None = None
) -> ClipClassifier:
    """Build a classifier without any slot, initialised from `seed`, with a linear head unless another is given."""
    heads = config.heads_for(dim)
    if dim % heads:
        fitting = [heads for heads in range(1, 33) if dim % heads == 0]
        raise ConfigError(
            f"{heads} does not divide the encoder's feature width {dim}",
            where="method.classifier.heads",
            remedy=f"use one of {fitting}",
        )
    with torch_seeded(seed, "classifier"):
        return ClipClassifier(
            dim,
            frames=frames,
            layers=config.layers,
            heads=heads,
            dropout=config.dropout,
            drop_path=config.drop_path,
            head=head or GrowingHead(dim, init_scale=config.init_scale),
        )


def grow_head(classifier: ClipClassifier, slots: range, *, seed: int) -> None:
    """Add the rows of newly arrived `slots`."""
    classifier.head.grow(len(slots), generator=torch_generator(seed, "head", slots.start))


def logits_of(predictor: TokenPredictor, batch: Batch) -> Float[Tensor, "batch slots"]:
    """Return the scores of a batch's clips, dense or sparse."""
    return predictor.by_tokens(predictor.tokens(batch.features, batch.positions))


def cross_entropy(
    logits: Float[Tensor, "batch slots"], slots: Int[Tensor, " batch"], *, among: range | None = None
) -> Float[Tensor, ""]:
    """Mean cross-entropy over all slots seen, or over the slots in `among` alone."""
    if among is not None:
        logits, slots = logits[:, among.start : among.stop], slots - among.start
    return nn.functional.cross_entropy(logits, slots)


def distillation(logits: Float[Tensor, "batch old"], wanted: Float[Tensor, "batch old"]) -> Float[Tensor, ""]:
    """Mean cross-entropy of `logits` against `wanted`, a teacher's logits, at temperature 2, without a factor T^2.

    Source: equations 2 and 3 of LwF (ECCV 2016), equation 1 of BiC (CVPR 2019).
    """
    return nn.functional.cross_entropy(logits / _TEMPERATURE, (wanted / _TEMPERATURE).softmax(dim=1))
