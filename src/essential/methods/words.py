"""Words as a prior: the scores of another method, its base, and those of the classes' names, as `zero-shot` has them.

The two are added, each times a weight of 0 or more. The weights are those of least cross-entropy over all slots seen,
on clips of the task that were not taught to what scores them (stacking: Wolpert, Neural Networks 1992; see `stacked`).
They are averaged with those of the tasks before, by numbers of clips; a task whose clips give weight to neither has no
part. As long as there is no such clip, that of words is 1, and that of the base 1 if it trains, for its scores are
logits then; else 0, for it has seen one clip of a class.

Which clips these are depends on the base:

- of a base in closed form, all: a class's clips are five blocks of neighbours in the list, which often come from one
  recording; for each block a copy of the base learns the other four, and scores it. Then the base learns all clips. So
  a task costs six times its base's time, which is little;
- of a base that trains, the last of the five blocks. It would have to be trained twice, or six times; instead it learns
  from the other four blocks alone, as `joint` with `blend` does. So the weights cost it a fifth of the clips.

A class's only clip is always learned. A base that trains also learns all clips of a class of fewer than five.
"""

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import ConfigDict, Field, field_validator
from torch import Tensor

from essential.configs.schema import Section
from essential.methods import METHODS, MethodConfig
from essential.methods.contract import BatchTable, Method, Stage, TaskData
from essential.methods.parts import PartTable, PartTask, computed
from essential.methods.wrapper import Wrapper
from essential.methods.zero_shot import take_words
from essential.models.text_scores import WithWords

_BLOCKS = 5


class WordsConfig(Section):
    # It is one of the sections that it may go around.
    model_config = ConfigDict(defer_build=True)

    name: Literal["words"] = "words"
    base: MethodConfig = Field(description="the method around which it goes")

    @field_validator("base")
    @classmethod
    def _learns_from_clips(cls, base: MethodConfig) -> MethodConfig:
        method = METHODS[base.name]
        if method.needs_words or method.needs_all_tasks or issubclass(method, Wrapper):
            raise ValueError(
                f"words go around a method that learns each task from its clips, such as spectral or icarl, and "
                f"{base.name!r} is none"
            )
        return base


class WordsPrior(Wrapper):
    """See the top of this file.

    Attributes:
        blended: the predictor; the base's own is inside.
    """

    Config = WordsConfig
    needs_words = True

    def __init__(self, config: WordsConfig, *, dim: int, frames: int, seed: int) -> None:
        self.config = config
        super().__init__(config.base, dim=dim, frames=frames, seed=seed)
        self.blended = WithWords(self.base.predictor, dim, first_weight=float(self.is_trained))
        self.network["predictor"] = self.blended
        self.draws_nothing = self.base.draws_nothing

    def begin(self, task: TaskData) -> None:
        take_words(self.blended.text, task)
        self.base.begin(self._learned(task))

    def stages(self, task: TaskData) -> Sequence[Stage]:
        return self.base.stages(self._learned(task))

    def finish(self, task: TaskData) -> None:
        if not self.is_trained:
            self._weigh(task, [*range(_BLOCKS)])
        self.base.finish(self._learned(task))
        if self.is_trained:
            self._weigh(task, [_BLOCKS - 1])

    def _learned(self, task: TaskData) -> TaskData:
        """Return what the base learns of a task."""
        return _but_block(task, _BLOCKS - 1) if self.is_trained else task

    def _weigh(self, task: TaskData, blocks: Sequence[int]) -> None:
        """Find the weights on these blocks."""
        table, parts = task.plain(), []
        for block in blocks:
            held = PartTable(table, (blocks_of(table.slots) == block).nonzero()[:, 0])
            if len(held):
                scorer = self.base if self.is_trained else _taught(self.base, _but_block(task, block))
                parts.append((both_scores(scorer, held), held.slots))
        if parts:
            scores, slots = zip(*parts, strict=True)
            self.blended.weigh(torch.cat(scores, dim=1), torch.cat(slots))


def blocks_of(slots: Int[Tensor, " clips"]) -> Int[Tensor, " clips"]:
    """Return the block of each clip: of a class's n clips, number i in the table's order is in block 5 i // n.

    A class's only clip is in none, which is -1.
    """
    blocks = torch.full_like(slots, -1)
    for slot in slots.unique().tolist():
        own = (slots == slot).nonzero()[:, 0]
        if len(own) > 1:
            blocks[own] = torch.arange(len(own)) * _BLOCKS // len(own)
    return blocks


def both_scores(method: Method, table: BatchTable) -> Float[Tensor, "2 clips slots"]:
    """Return the base's and the words' scores of a table's clips, on the CPU."""
    predictor = method.predictor
    assert isinstance(predictor, WithWords)
    return computed(lambda batch: predictor.both(batch.features).transpose(0, 1), table, predictor).transpose(0, 1)


def _taught(base: Method, task: TaskData) -> Method:
    """Return a copy of a base in closed form that has learned a task which the base has begun."""
    other = copy.deepcopy(base)
    other.finish(task)
    return other


def _but_block(task: TaskData, block: int) -> TaskData:
    return PartTask(task, lambda slots: (blocks_of(slots) != block).nonzero()[:, 0])
