"""How a task is learned: one paper, one file. To add a method, write its file and add its line to both tables."""

from typing import Annotated

from pydantic import Field

from essential.methods.analytic import Analytic, AnalyticConfig
from essential.methods.contract import Method
from essential.methods.essential import Essential, EssentialConfig
from essential.methods.fecam import Fecam, FecamConfig
from essential.methods.finetune import Finetune, FinetuneConfig
from essential.methods.joint import Joint, JointConfig
from essential.methods.ncm import Ncm, NcmConfig
from essential.methods.ranpac import Ranpac, RanpacConfig
from essential.methods.replay import Replay, ReplayConfig
from essential.methods.slda import Slda, SldaConfig

MethodConfig = Annotated[
    AnalyticConfig
    | EssentialConfig
    | FecamConfig
    | FinetuneConfig
    | JointConfig
    | NcmConfig
    | RanpacConfig
    | ReplayConfig
    | SldaConfig,
    Field(discriminator="name"),
]

METHODS: dict[str, type] = {
    "analytic": Analytic,
    "essential": Essential,
    "fecam": Fecam,
    "finetune": Finetune,
    "joint": Joint,
    "ncm": Ncm,
    "ranpac": Ranpac,
    "replay": Replay,
    "slda": Slda,
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
    "AnalyticConfig",
    "EssentialConfig",
    "FecamConfig",
    "FinetuneConfig",
    "JointConfig",
    "Method",
    "MethodConfig",
    "NcmConfig",
    "RanpacConfig",
    "ReplayConfig",
    "SldaConfig",
    "build_method",
]
