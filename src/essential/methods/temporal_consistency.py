"""Temporal consistency: Villa, Alhamoud, Escorcia, Heilbron, Leon Alcazar, Ghanem, vCLIMB, CVPR 2022.

Trains another method that keeps exemplars, its base, with another classification loss:

1. reduce every clip X of a batch to as many frames as an exemplar keeps, the centres of equal segments, and repeat
   those to the clip's length: X^d, as the clip would come from a memory with `frame_policy: uniform`;
2. where the base classifies, the loss is (1 - w) * classification(X) + w * classification(X^d).

The base's other terms and stages stay as they are. An exemplar that comes as it is stored is not reduced again.

Differs from the authors' code: the base is any method here that keeps exemplars, where theirs are iCaRL and BiC; BiC's
second stage is left as it is, where theirs has the loss on reduced clips too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field

from essential.configs.schema import Section
from essential.errors import ConfigError
from essential.methods.bic import BiCConfig
from essential.methods.contract import Batch, LossTerm, Stage, TaskData
from essential.methods.der import DERConfig
from essential.methods.exemplars import respread
from essential.methods.icarl import ICaRLConfig
from essential.methods.podnet import PODNetConfig
from essential.methods.replay import ReplayConfig
from essential.methods.ucir import UCIRConfig
from essential.methods.wrapper import Wrapper


class TemporalConsistencyConfig(Section):
    name: Literal["temporal-consistency"] = "temporal-consistency"
    base: Annotated[
        BiCConfig | DERConfig | ICaRLConfig | PODNetConfig | ReplayConfig | UCIRConfig,
        Field(discriminator="name", description="the method around which it goes"),
    ]
    weight: float = Field(0.5, ge=0, le=1, description="share of the classification that is on reduced clips")
    frames: int | None = Field(None, ge=1, description="frames of a reduced clip; none: base.frames_kept")


class TemporalConsistency(Wrapper):
    """See the top of this file."""

    Config = TemporalConsistencyConfig

    def __init__(self, config: TemporalConsistencyConfig, *, dim: int, frames: int, seed: int) -> None:
        self.config, kept = config, config.frames or config.base.frames_kept
        if kept is None or kept >= frames:
            raise ConfigError(
                f"temporal consistency reduces clips of video.frames={frames} to {kept or 'all'} frames, which leaves "
                f"nothing to be consistent with; set method.frames or method.base.frames_kept to {frames - 1} at most"
            )
        self.kept = kept
        super().__init__(config.base, dim=dim, frames=frames, seed=seed)

    def stages(self, task: TaskData) -> Sequence[Stage]:
        # Not steady: which frames a clip is reduced to is worked out on the CPU.
        return [replace(stage, steady=False) for stage in self.base.stages(task)]

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Iterator[LossTerm]:
        """Give the base's terms, part of the classification taken over by that of the reduced clips."""
        length, classified = batch.features.shape[1], False
        for term in self.base.losses(stage, batch, generator=generator):
            if term.name != "classification" or length <= self.kept:
                yield term
                continue
            yield term._replace(weight=term.weight * (1 - self.config.weight))
            classified = True
        if classified:
            reduced = respread(respread(batch, self.kept), length)
            # No more of the base's loss than that: it ends where its classification was given.
            again = self.base.losses(stage, reduced, generator=generator)
            term = next(term for term in again if term.name == "classification")
            yield term._replace(name="temporal_consistency", weight=term.weight * self.config.weight)
