"""What a learner knows: a method, the labels of its slots, and the clips held out. A lesson gives a new one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int

from essential.engine.learn_task import learn_task
from essential.engine.settings import TrainingConfig
from essential.errors import ConfigError, TrainingError
from essential.features.config import FeaturesConfig
from essential.files.sealed import Array
from essential.learner.calibration import known_labels
from essential.learner.held_out import bytes_of, held_out_clips, no_held_out_clips, within
from essential.learner.labelled_predictor import LabelledPredictor, build_labelled_predictor
from essential.learner.lesson import LessonClips, LessonTask
from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import LedgerEntry
from essential.methods import METHODS, MethodConfig, build_method
from essential.methods.contract import Method
from essential.models.text_scores import Words
from essential.progress import Progress
from essential.protocols.protocol import longest_names
from essential.seeded import torch_generator

# One clip in so many is held out, so that a class of few clips is learned from nearly all of them.
_CLIPS_PER_HELD_OUT = 5

Rows = Int[np.ndarray, " rows"]


@dataclass(frozen=True)
class ModelSettings:
    """What a model is built of: sections of a config, and how many clips of a class, one in five, are held out at most.

    Raises:
        ConfigError: the method needs all old clips again, or a number is not allowed.
    """

    method: MethodConfig
    training: TrainingConfig
    features: FeaturesConfig
    frames: int
    seed: int
    held_out_per_class: int

    def __post_init__(self) -> None:
        if self.held_out_per_class < 0:
            raise ConfigError(f"held_out_per_class={self.held_out_per_class} is not allowed; give 0 or more")
        if METHODS[self.method.name].needs_all_tasks:
            raise ConfigError(
                f"the method {self.method.name!r} needs all old clips again for every new class, and a learner does "
                "not keep them; choose another method (`essential configs` lists them)"
            )

    @property
    def budget_bytes(self) -> int | None:
        """Most bytes that may be kept of old clips; None without a cap."""
        budget: int | None = getattr(getattr(self.method, "base", self.method), "budget_bytes", None)
        return budget

    def refuse_other_shapes(self, state: Mapping[str, Array], dim: int) -> None:
        """Raise a CheckpointError if the state is not of a network for features of this width.

        Nothing is allocated, however large a network the settings ask for.
        """
        with torch.device("meta"):
            try:
                method = self.build_method(dim)
            except RuntimeError:
                if self.method.name in METHODS.built_in:
                    raise
                return  # a plug-in that reads numbers while it is built, of which the meta device has none
            method.take_shapes(state)

    def build_method(self, dim: int, *, reserved_bytes: int = 0) -> Method:
        """Return the method before its first task; something else takes `reserved_bytes` of its budget."""
        config = self.method
        if self.budget_bytes is not None:
            left = {"budget_bytes": max(1, self.budget_bytes - reserved_bytes)}
            base = getattr(config, "base", None)
            config = config.model_copy(update=left if base is None else {"base": base.model_copy(update=left)})
        return build_method(config, dim=dim, frames=self.frames, seed=self.seed)


@dataclass(frozen=True, eq=False)
class Model:
    """A method at the end of its last task, the labels of its slots, and the clips that were not learned from.

    A label is None where the class was forgotten. A class that was learned twice, or merged with another, has two
    slots.
    """

    settings: ModelSettings
    method: Method
    labels: tuple[str | None, ...]
    held_out: EpisodicMemory

    @classmethod
    def new(cls, settings: ModelSettings, dim: int) -> "Model":
        """Return a model that knows no class, for features of `dim` numbers per frame."""
        return cls(settings, settings.build_method(dim), (), no_held_out_clips(settings.frames, dim))

    @classmethod
    def restored(
        cls, settings: ModelSettings, state: Mapping[str, Array], labels: Sequence[str | None], held_out: EpisodicMemory
    ) -> "Model":
        """Return the model with a method's state, on the CPU; CheckpointError if it is none of that method."""
        method = settings.build_method(held_out.features.shape[2], reserved_bytes=bytes_of(held_out))
        method.load_state_dict(state)
        return cls(settings, method, tuple(labels), held_out)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels known, in order of arrival."""
        return known_labels(self.labels)

    @cached_property
    def predictor(self) -> LabelledPredictor:
        """The predictor, with labels and calibration."""
        return build_labelled_predictor(self.method.predictor, self.labels, self.method.memory, self.held_out)

    def ledger(self) -> list[LedgerEntry]:
        """Count every byte that is kept beside the predictor."""
        size = bytes_of(self.held_out)
        held = LedgerEntry("episodic", "clips held out for calibration", size, in_paper_figure=False)
        return [*self.method.ledger(), *([held] if size else [])]

    def learned(self, clips: LessonClips, progress: Progress, words: Words | None = None) -> tuple["Model", int]:
        """Return the model after a lesson, and how many clips were held out; this one stays as it is.

        Args:
            clips: of one class or more.
            progress: shows how far it is.
            words: of the classes, where the method needs them.

        Errors as of `learn_task`.
        """
        first = len(self.labels)
        slots = range(first, first + len(clips.classes))
        trained, kept = self._split(clips)
        held_out = self.held_out
        if len(kept):
            held_out = held_out.extended(held_out_clips(clips.view(kept, 0), clips.places[kept] + first))
        if self.settings.budget_bytes is not None:
            held_out = within(held_out, self.settings.budget_bytes // 4)
        after = Model.restored(self.settings, self.method.state_dict(), (*self.labels, *clips.classes), held_out)
        task = LessonTask(len(self.method.slots), slots, clips, trained, self.settings.features, words)
        old, new = after.method.memory, task.plain()
        slots_and_names = zip([*old.slots.tolist(), *new.slots.tolist()], [*old.names, *new.names], strict=True)
        names = longest_names(slots_and_names)
        after.method.check_room(names, tasks=task.index + 1)
        try:
            learn_task(after.method, task, self.settings.training, progress=progress)
        except TrainingError as error:
            remedy = "; ".join(filter(None, ("the learner is as it was before", error.remedy)))
            raise TrainingError(error.problem, where=error.where, remedy=remedy) from error
        return after, len(kept)

    def without(self, name: str) -> "Model":
        """Return the model without a class: its exemplars, held-out clips and label are gone."""
        method, held_out = deepcopy(self.method), self.held_out
        for slot in (slot for slot, label in enumerate(self.labels) if label == name):
            method.memory = method.memory.without(slot)
            held_out = held_out.without(slot)
        labels = tuple(None if label == name else label for label in self.labels)
        return Model(self.settings, method, labels, held_out)

    def renamed(self, name: str, to: str) -> "Model":
        """Return the model in which a class's slots have another label, which other slots may have too."""
        return replace(self, labels=tuple(to if label == name else label for label in self.labels))

    def _split(self, clips: LessonClips) -> tuple[Rows, Rows]:
        """Return the rows to train on, and those to hold out: of each class one in five at random."""
        held = Counter(self.labels[slot] for slot in self.held_out.slots.tolist())
        generator = torch_generator(self.settings.seed, "held out", len(self.method.slots))
        trained: list[int] = []
        kept: list[int] = []
        for place, name in enumerate(clips.classes):
            own = np.flatnonzero(clips.places == place).tolist()
            most = max(0, self.settings.held_out_per_class - held[name])
            count = min(most, len(own) // _CLIPS_PER_HELD_OUT)
            order = torch.randperm(len(own), generator=generator).tolist()
            kept += [own[row] for row in sorted(order[:count])]
            trained += [own[row] for row in sorted(order[count:])]
        return np.array(trained, np.int64), np.array(kept, np.int64)
