"""How a task is learned: one paper, one file. To add a method, write its file and add its line to both tables."""

from typing import Annotated

from pydantic import Field

from essential.methods.contract import Method
from essential.methods.essential import Essential, EssentialConfig
from essential.methods.ewc import EWC, EWCConfig
from essential.methods.finetune import Finetune, FinetuneConfig
from essential.methods.joint import Joint, JointConfig
from essential.methods.lwf import LwF, LwFConfig
from essential.methods.mas import MAS, MASConfig
from essential.methods.replay import Replay, ReplayConfig

MethodConfig = Annotated[
    EssentialConfig | EWCConfig | FinetuneConfig | JointConfig | LwFConfig | MASConfig | ReplayConfig,
    Field(discriminator="name"),
]

METHODS: dict[str, type] = {
    "essential": Essential,
    "ewc": EWC,
    "finetune": Finetune,
    "joint": Joint,
    "lwf": LwF,
    "mas": MAS,
    "replay": Replay,
}


def build_method(config: MethodConfig, *, dim: int, frames: int, epochs: int, seed: int) -> Method:
    """Build the method that `config` names.

    Args:
        config: the method's own section.
        dim: width of a frame feature.
        frames: frames of a dense clip.
        epochs: epochs of the stage that learns a task's clips.
        seed: what every random choice derives from.
    """
    method: Method = METHODS[config.name](config, dim=dim, frames=frames, epochs=epochs, seed=seed)
    return method


__all__ = [
    "METHODS",
    "EWCConfig",
    "EssentialConfig",
    "FinetuneConfig",
    "JointConfig",
    "LwFConfig",
    "MASConfig",
    "Method",
    "MethodConfig",
    "ReplayConfig",
    "build_method",
]
