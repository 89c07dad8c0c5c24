"""How a task is learned: one paper, one file. To add a method, write its file and add its line to both tables."""

from typing import Annotated

from pydantic import Field

from essential.methods.bic import BiC, BiCConfig
from essential.methods.contract import Method
from essential.methods.der import DER, DERConfig
from essential.methods.essential import Essential, EssentialConfig
from essential.methods.finetune import Finetune, FinetuneConfig
from essential.methods.icarl import ICaRL, ICaRLConfig
from essential.methods.joint import Joint, JointConfig
from essential.methods.podnet import PODNet, PODNetConfig
from essential.methods.replay import Replay, ReplayConfig
from essential.methods.temporal_consistency import TemporalConsistency, TemporalConsistencyConfig
from essential.methods.ucir import UCIR, UCIRConfig

MethodConfig = Annotated[
    BiCConfig
    | DERConfig
    | EssentialConfig
    | FinetuneConfig
    | ICaRLConfig
    | JointConfig
    | PODNetConfig
    | ReplayConfig
    | TemporalConsistencyConfig
    | UCIRConfig,
    Field(discriminator="name"),
]

METHODS: dict[str, type] = {
    "bic": BiC,
    "der": DER,
    "essential": Essential,
    "finetune": Finetune,
    "icarl": ICaRL,
    "joint": Joint,
    "podnet": PODNet,
    "replay": Replay,
    "temporal-consistency": TemporalConsistency,
    "ucir": UCIR,
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
    "BiCConfig",
    "DERConfig",
    "EssentialConfig",
    "FinetuneConfig",
    "ICaRLConfig",
    "JointConfig",
    "Method",
    "MethodConfig",
    "PODNetConfig",
    "ReplayConfig",
    "TemporalConsistencyConfig",
    "UCIRConfig",
    "build_method",
]
