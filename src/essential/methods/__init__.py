"""How a task is learned: one paper, one file. To add a method, see docs/add-a-method.md.

Nothing here imports a method before it is asked for: a plug-in may import this package while it is being imported.
"""

import inspect
import sys
from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, get_args

import yaml
from pydantic import Field

from essential.configs.schema import Section
from essential.configs.shipped import config_text, sections_of, shipped_methods
from essential.errors import ConfigError
from essential.registry import Registry
from essential.shown import nearest

if TYPE_CHECKING:
    from essential.methods.contract import Method


def _fault(name: str, plugin: Any) -> str | None:
    from essential.methods.contract import Method

    if name in shipped_methods():
        return f"the name is taken, essential ships settings {name!r}"
    if not (isinstance(plugin, type) and issubclass(plugin, Method)):
        return "it is no class derived from essential.methods.contract.Method"
    if inspect.isabstract(plugin):
        return f"{plugin.__name__} does not define {', '.join(sorted(plugin.__abstractmethods__))}"
    config = getattr(plugin, "Config", None)
    own = config.model_fields.get("name") if isinstance(config, type) and issubclass(config, Section) else None
    if own is None or get_args(own.annotation) != (name,) or own.default != name:
        return f'its Config has to be a Section with the field `name: Literal["{name}"] = "{name}"`'
    return None


METHODS: "Registry[type[Method]]" = Registry(
    "essential.methods",
    {
        "analytic": "essential.methods.analytic:Analytic",
        "bic": "essential.methods.bic:BiC",
        "der": "essential.methods.der:DER",
        "essential": "essential.methods.essential:Essential",
        "ewc": "essential.methods.ewc:EWC",
        "fecam": "essential.methods.fecam:Fecam",
        "finetune": "essential.methods.bounds:Finetune",
        "icarl": "essential.methods.icarl:ICaRL",
        "joint": "essential.methods.bounds:Joint",
        "lwf": "essential.methods.lwf:LwF",
        "mas": "essential.methods.mas:MAS",
        "ncm": "essential.methods.ncm:Ncm",
        "podnet": "essential.methods.podnet:PODNet",
        "ranpac": "essential.methods.ranpac:Ranpac",
        "replay": "essential.methods.replay:Replay",
        "slda": "essential.methods.slda:Slda",
        "spectral": "essential.methods.spectral:Spectral",
        "temporal-consistency": "essential.methods.temporal_consistency:TemporalConsistency",
        "ucir": "essential.methods.ucir:UCIR",
        "words": "essential.methods.words:WordsPrior",
        "zero-shot": "essential.methods.zero_shot:ZeroShot",
    },
    fault=_fault,
)

if TYPE_CHECKING:

    class MethodConfig(Section):
        """The settings of one of `METHODS`, discriminated by their name."""

        name: str

else:

    class _OneOfAll:
        """Tells pydantic which sections there are, when it first builds a schema and not before."""

        def __get_pydantic_core_schema__(self, source, handler):
            sections = reduce(or_, (method.Config for method in METHODS.values()))
            return handler.generate_schema(Annotated[sections, Field(discriminator="name")])

    MethodConfig = Annotated[Section, _OneOfAll()]


def method_summaries() -> dict[str, str]:
    """Return what each method is by its name for `--method`: those shipped, and plug-ins by their file's first line."""
    plugins = {name: METHODS[name] for name in METHODS.plugins() if name in METHODS}
    modules = {name: sys.modules.get(method.__module__) for name, method in plugins.items()}
    texts = {name: str(getattr(module, "__doc__", None) or "") for name, module in modules.items()}
    return shipped_methods() | {name: text.strip().partition("\n")[0] for name, text in texts.items()}


def method_section(name: str) -> dict[str, Any]:
    """Return the settings that `--method NAME` stands for: the section `method` of a config.

    Raises:
        ConfigError: no method of that name is shipped or installed.
    """
    if name in shipped_methods():
        section: dict[str, Any] = sections_of(config_text(name), name)["method"]
        return section
    if name in METHODS.plugins() or name in METHODS.broken():
        METHODS.load(name)
        return {"name": name}
    known = [*shipped_methods(), *METHODS.plugins()]
    raise ConfigError(f"no method is called {name!r}{nearest(name, known)}; known: {', '.join(known)}")


def settings_text(name: str) -> str:
    """Return a shipped config, or a method's settings, as YAML.

    Raises:
        ConfigError: nothing of that name is shipped or installed.
    """
    summaries = method_summaries()
    if name not in summaries.keys() - shipped_methods().keys():
        return config_text(name)
    return yaml.safe_dump({"summary": summaries[name], "method": method_section(name)}, sort_keys=False, width=200)


def build_method(config: MethodConfig, *, dim: int, frames: int, seed: int) -> "Method":
    """Build the method that `config` names, for dense clips of `frames` features of width `dim`."""
    build: Callable[..., Method] = METHODS.load(config.name)
    method = build(config, dim=dim, frames=frames, seed=seed)
    method.clip_shape = (frames, dim)
    return method
