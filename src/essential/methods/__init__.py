"""How a task is learned: one paper, one file. To add a method, see docs/add-a-method.md."""

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from essential.configs.schema import Section
from essential.methods.analytic import Analytic
from essential.methods.bic import BiC
from essential.methods.contract import Method
from essential.methods.der import DER
from essential.methods.essential import Essential, EssentialConfig
from essential.methods.ewc import EWC
from essential.methods.fecam import Fecam
from essential.methods.finetune import Finetune
from essential.methods.icarl import ICaRL
from essential.methods.joint import Joint
from essential.methods.lwf import LwF
from essential.methods.mas import MAS
from essential.methods.ncm import Ncm
from essential.methods.podnet import PODNet
from essential.methods.ranpac import Ranpac
from essential.methods.replay import Replay
from essential.methods.slda import Slda
from essential.methods.temporal_consistency import TemporalConsistency
from essential.methods.ucir import UCIR

METHODS: dict[str, type[Method]] = {
    "analytic": Analytic,
    "bic": BiC,
    "der": DER,
    "essential": Essential,
    "ewc": EWC,
    "fecam": Fecam,
    "finetune": Finetune,
    "icarl": ICaRL,
    "joint": Joint,
    "lwf": LwF,
    "mas": MAS,
    "ncm": Ncm,
    "podnet": PODNet,
    "ranpac": Ranpac,
    "replay": Replay,
    "slda": Slda,
    "temporal-consistency": TemporalConsistency,
    "ucir": UCIR,
}

if TYPE_CHECKING:

    class MethodConfig(Section):
        """The settings of one of `METHODS`, told apart by their name."""

        name: str

else:
    MethodConfig = Annotated[reduce(or_, (method.Config for method in METHODS.values())), Field(discriminator="name")]


def build_method(config: MethodConfig, *, dim: int, frames: int, seed: int) -> Method:
    """Build the method that `config` names.

    Args:
        config: the method's own section.
        dim: width of a frame feature.
        frames: frames of a dense clip.
        seed: what every random choice derives from.
    """
    build: Callable[..., Method] = METHODS[config.name]
    method = build(config, dim=dim, frames=frames, seed=seed)
    method.clip_shape = (frames, dim)
    return method


__all__ = ["METHODS", "EssentialConfig", "Method", "MethodConfig", "build_method"]
