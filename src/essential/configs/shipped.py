"""The shipped configs as text, which need no schema and no heavy import."""

from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from essential.errors import ConfigError
from essential.files.untrusted import parse_yaml
from essential.shown import nearest

_FOLDER = resources.files("essential") / "configs"
_METHODS = "methods/"


class ShippedNames(NamedTuple):
    """Of configs, such as `moving-digits/essential`, and of methods, such as `icarl`."""

    configs: tuple[str, ...]
    methods: tuple[str, ...]


def shipped_names() -> ShippedNames:
    """Return the names of all that is shipped, without reading any."""
    configs = tuple(name for name in _names() if not name.startswith(_METHODS))
    return ShippedNames(configs, tuple(name.removeprefix(_METHODS) for name in _names() if name not in configs))


def shipped_configs() -> dict[str, str]:
    """Return the summary of every shipped config by its name."""
    return {name: _summary(name) for name in shipped_names().configs}


def shipped_methods() -> dict[str, str]:
    """Return the summary of every shipped method by its name."""
    return {name: _summary(_METHODS + name) for name in shipped_names().methods}


def config_text(name: str) -> str:
    """Return a shipped config, or a method's settings, as its YAML text.

    Raises:
        ConfigError: no config of that name is shipped.
    """
    if _METHODS + name in _names():
        name = _METHODS + name
    if name not in _names():
        hint = nearest(name, [*shipped_configs(), *shipped_methods()])
        raise ConfigError(f"no config is called {name!r}{hint}; `essential configs` lists those that are shipped")
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def protocol_config(name: str) -> str:
    """Return the config of a protocol's name: that of a folder means its `essential`."""
    folder_default = f"{name.rstrip('/')}/essential"
    return folder_default if folder_default in _names() else name


@cache
def _summary(name: str) -> str:
    summary: str = sections_of(config_text(name), name).get("summary", "")
    return summary


@cache
def _names() -> tuple[str, ...]:
    folders = [folder for folder in _FOLDER.iterdir() if folder.is_dir()]
    files = [(folder.name, file.name) for folder in folders for file in folder.iterdir()]
    return tuple(sorted(f"{folder}/{file.removesuffix('.yaml')}" for folder, file in files if file.endswith(".yaml")))


def sections_of(text: str | bytes, name: str) -> dict[str, Any]:
    """Return the sections of a config's text, or raise a ConfigError that names the config."""
    try:
        content = parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"config {name} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"config {name} holds {type(content).__name__}; it must hold sections such as `data:`")
    return content
