"""From a name or a YAML file, and `key.sub=value` overrides, to a checked `RunConfig`. Nothing in a config is run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from essential.engine.settings import RunConfig
from essential.errors import ConfigError
from essential.shipped import config_text, load_yaml, nearest, parse_yaml


def load_config(name_or_path: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a shipped config by name, or a YAML file by path, and apply overrides such as `training.epochs=5`.

    Values are read as YAML: `5`, `0.1`, `true`, `null`, `[0.8, 1.0]`, text.

    Raises:
        ConfigError: no such config; not YAML; an unknown key (the nearest known one is named); a value out of range.
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise ConfigError(f"there is no config file {path}; `essential configs` lists the configs that are shipped")
        content = parse_yaml(_read(path), str(path))
    else:
        content = parse_yaml(config_text(name_or_path), name_or_path)
    for override in overrides:
        _apply(content, override)
    return parse_config(content, str(name_or_path))


def with_overrides(config: RunConfig, overrides: Sequence[str], name: str) -> RunConfig:
    """Return a resolved config with overrides applied.

    Raises:
        ConfigError: see `load_config`; `name` stands in the message.
    """
    content = config.model_dump(mode="json")
    for override in overrides:
        _apply(content, override)
    return parse_config(content, name)


def parse_config(content: Mapping[str, Any], name: str) -> RunConfig:
    """Check plain content against the schema.

    Raises:
        ConfigError: see `load_config`; `name` stands in the message.
    """
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"config {name}: " + "; ".join(_explain(detail) for detail in error.errors())) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {path} cannot be read: {error}") from error


def _apply(content: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    parts = key.strip().split(".")
    if not sign or not all(parts):
        raise ConfigError(f"override {override!r} is not of the form key.sub=value, such as training.epochs=5")
    try:
        value = load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: the value is not valid YAML; put text in quotes") from error
    section = content
    for part in parts[:-1]:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise ConfigError(f"override {override!r}: {part!r} is a value, not a section")
    section[parts[-1]] = value


def _explain(detail: ErrorDetails) -> str:
    # A union adds its tag to the location ("method", "essential", "frames_kept"); the user never wrote it.
    path = [str(part) for part in detail["loc"]]
    section, written = _section_at(path)
    key = ".".join(written)
    if detail["type"] == "extra_forbidden":
        known = sorted(section.model_fields) if section else []
        return f"unknown key {key!r}{nearest(written[-1], known)}; known here: {', '.join(known)}"
    if detail["type"] == "missing":
        return f"{key} is missing; give it in the file or with -s {key}=VALUE"
    if detail["type"] == "union_tag_invalid":
        name, known = detail["ctx"]["tag"], detail["ctx"]["expected_tags"].replace("'", "")
        return f"{key}.name={name!r} is unknown{nearest(name, known.split(', '))}; known: {known}"
    if detail["type"] == "union_tag_not_found":
        return f"{key}.name is missing; give it in the file or with -s {key}.name=NAME"
    if detail["type"] == "value_error" and isinstance(detail["input"], dict):
        return detail["msg"].removeprefix("Value error, ")
    message = detail["msg"].removeprefix("Value error, ")
    return f"{key}={detail['input']!r} is not allowed: {message[:1].lower()}{message[1:]}" if key else message


def _section_at(path: Sequence[str]) -> tuple[type[BaseModel] | None, list[str]]:
    """Walk the schema along an error's location: the section of its last part, and the path as the user wrote it."""
    section: type[BaseModel] | None = RunConfig
    annotation: Any = RunConfig
    written = []
    for part in path:
        options = [option for option in _options(annotation) if _is_section(option)]
        tagged = [option for option in options if option.model_fields.get("name") and part == _tag(option)]
        if len(options) > 1 and tagged:
            annotation = section = tagged[0]
            continue
        section = options[0] if len(options) == 1 else section
        written.append(part)
        field = section.model_fields.get(part) if section else None
        annotation = field.annotation if field else None
    return section, written


def _options(annotation: Any) -> tuple[Any, ...]:
    return (annotation,) if _is_section(annotation) else get_args(annotation)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _tag(section: type[BaseModel]) -> Any:
    return section.model_fields["name"].default
