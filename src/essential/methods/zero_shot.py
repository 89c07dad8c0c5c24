"""Zero-shot: a clip belongs to the class whose name, through the encoder's text tower, is nearest to its frames.

Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision (CLIP), ICML 2021, section
3.1, over the frames of a clip.

1. a class is the vector of its name in a text, or of several texts, their mean;
2. a clip is the mean of its frames' features, each projected to where the vectors are and of length 1;
3. a clip's score for a class is the cosine of the two, times the tower's scale.

Nothing is learned from clips: it is the floor of a comparison. SigLIP adds the same number to all scores, which is left
out, for it changes no answer.
"""

from typing import Literal

from essential.configs.schema import Section
from essential.errors import ConfigError
from essential.memory.episodic import EpisodicMemory
from essential.methods.contract import Method, TaskData
from essential.models.text_scores import TextScores


class ZeroShotConfig(Section):
    name: Literal["zero-shot"] = "zero-shot"


class ZeroShot(Method):
    """See the top of this file."""

    Config = ZeroShotConfig
    needs_words = True
    draws_nothing = True

    def __init__(self, config: ZeroShotConfig, *, dim: int, frames: int, seed: int) -> None:
        self.config, self.text = config, TextScores(dim)
        super().__init__(self.text, EpisodicMemory.empty(kept=frames, dim=dim), seed=seed)

    def begin(self, task: TaskData) -> None:
        take_words(self.text, task)
        self.slots.append(task.slots)


def take_words(text: TextScores, task: TaskData) -> None:
    """Add the words of a task's slots to the scores; a ConfigError if it has none."""
    if task.words is None:
        raise ConfigError(
            f"the classes of task {task.index} have no words, and the method is made of them",
            remedy="choose an encoder with a text tower, or give `words` with the clips",
        )
    text.add(task.words)
