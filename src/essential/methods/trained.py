"""What methods that train the clip classifier share: it grows with tasks, may have a teacher, may keep exemplars."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from essential.configs.schema import Section
from essential.memory.episodic import EpisodicMemory
from essential.methods.classifier import ClassifierConfig, build_classifier, cross_entropy, grow_head, logits_of
from essential.methods.contract import Batch, LossTerm, Method, Stage, TaskData
from essential.methods.exemplars import ExemplarKeeper, MemoryConfig, MixedClips, set_exemplar_means
from essential.models.classifier import Predictor
from essential.models.heads import Head


class TrainedConfig(Section):
    """The settings that all these methods have."""

    classifier: ClassifierConfig = ClassifierConfig()


Settings = TypeVar("Settings", bound=TrainedConfig)
Kind = TypeVar("Kind", bound=Predictor)
_TEACHER = "teacher"


class Trained(Method, Generic[Settings]):
    """A method that trains a clip classifier. What it leaves out is as in finetuning, with or without exemplars.

    One stage per task: on the task's clips, or, where the settings are a `MemoryConfig`, on these and the exemplars
    together, from which the task's exemplars are chosen afterwards. The loss is cross-entropy over all slots seen.

    Attributes:
        distils: a frozen copy of the classifier before a task, its teacher, is kept while the task is learned. It is
            no memory: a copy of what is carried anyway, made when a task begins and dropped when it ends.
        keeps_logits: the classifier's logits are stored beside each exemplar.
        keeper: chooses the exemplars; None where none are kept.
        classifier: grows with the tasks; it is the predictor unless a method puts another in its place.
    """

    distils: ClassVar[bool] = False
    keeps_logits: ClassVar[bool] = False

    def __init__(self, config: Settings, *, dim: int, frames: int, seed: int, head: Head | None = None) -> None:
        self.config = config
        self.dim, self.frames = dim, frames
        self.classifier = build_classifier(config.classifier, dim=dim, frames=frames, seed=seed, head=head)
        self.keeper: ExemplarKeeper | None = None
        kept = frames
        if isinstance(config, MemoryConfig):
            self.keeper = ExemplarKeeper(config, frames=frames, dim=dim, seed=seed, keeps_logits=self.keeps_logits)
            kept = self.keeper.kept
        super().__init__(self.classifier, EpisodicMemory.empty(kept=kept, dim=dim), seed=seed)

    @property
    def student(self) -> Predictor:
        """What the teacher is a copy of."""
        return self.classifier

    def check_room(self, names: Sequence[str], *, tasks: int) -> None:  # noqa: ARG002
        """Nothing but exemplars takes room."""
        if self.keeper is not None:
            self.keeper.check_room(names)

    def begin(self, task: TaskData) -> None:
        """Keep what has been learned as the teacher, if there is to be one, and grow the head."""
        if self.distils and self.slots:
            self._keep_teacher()
        self.slots.append(task.slots)
        grow_head(self.classifier, task.slots, seed=self.seed)

    def start_again(self) -> None:
        """Have a classifier with its initial values, and a row for every slot begun."""
        self.classifier = build_classifier(self.config.classifier, dim=self.dim, frames=self.frames, seed=self.seed)
        for slots in self.slots:
            grow_head(self.classifier, slots, seed=self.seed)
        self.network["predictor"] = self.classifier

    def stages(self, task: TaskData) -> Sequence[Stage]:
        """One stage on the task's clips, and on the exemplars if any are kept."""
        if self.keeper is None:
            return [Stage("task", lambda: task, [self.classifier])]
        return [Stage("mixed", lambda: MixedClips(task, self.memory), [self.classifier])]

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Iterable[LossTerm]:  # noqa: ARG002
        """Cross-entropy over all slots seen."""
        return [LossTerm("classification", cross_entropy(logits_of(self.classifier, batch), batch.slots))]

    def finish(self, task: TaskData) -> None:
        """Forget the teacher; choose exemplars if any are kept and no stage has done so, and take their means."""
        self._drop_teacher()
        if self.keeper is not None:
            if not (self.memory.tasks == task.index).any():
                self.remember(task)
            set_exemplar_means(self.classifier, self.memory)

    def remember(self, task: TaskData) -> None:
        """Choose exemplars of the task, and cut the old ones to make room."""
        assert self.keeper is not None, "the settings are those of a memory"
        self.memory = self.keeper.extend(self.memory, task, self.classifier)

    def teacher(self, kind: type[Kind]) -> Kind | None:
        """Return the teacher, which is of that kind; None in the first task."""
        teacher = dict(self.network.items()).get(_TEACHER)
        assert teacher is None or isinstance(teacher, kind)
        return teacher

    def _drop_teacher(self) -> None:
        if _TEACHER in self.network:
            del self.network[_TEACHER]

    def _keep_teacher(self) -> None:
        self.network[_TEACHER] = copy.deepcopy(self.student).requires_grad_(False).eval()

    def resize(self, state: Mapping[str, Tensor]) -> None:
        """Have a teacher if `state` has one."""
        self._drop_teacher()
        if self.distils and any(name.startswith(f"{_TEACHER}.") for name in state):
            self._keep_teacher()
