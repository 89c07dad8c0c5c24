"""From a name or a YAML file, and `key.sub=value` overrides, to a checked `RunConfig`. Nothing in a config is run."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from yaml import MarkedYAMLError

from essential.configs.schema import Section
from essential.configs.shipped import config_text, sections_of, shipped_configs
from essential.engine.settings import RunConfig, TrainingConfig
from essential.errors import ConfigError
from essential.files.untrusted import parse_yaml, read_bounded
from essential.methods import METHODS, method_section
from essential.methods.exemplars import MemoryConfig
from essential.shown import nearest, quoted

# Settings of a protocol's config that hold for every method which has them.
_SHARED = ("classifier", "exemplars_per_class", "memory_bits", "rehearsal_epochs")


def load_config(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    method: str | None = None,
    budget_bytes: int | None = None,
) -> RunConfig:
    """Read a shipped config by name, or a YAML file by path, and apply overrides such as `training.epochs=5`.

    Values are read as YAML: `5`, `0.1`, `true`, `null`, `[0.8, 1.0]`, text.

    Args:
        name_or_path: the config.
        overrides: applied in this order.
        method: a shipped method to use instead of the config's, with the config's settings of classifier, exemplars per
            class, bits of the memory and rehearsal epochs where it has such. The config's own method stays as it is,
            and one that has a shipped config beside this one, as `own/joint` beside `own/essential`, is as there.
        budget_bytes: cap on what a method keeps that can keep less, in the place of any number of exemplars per class.

    Raises:
        ConfigError: no such config or method; not YAML; an unknown key (the nearest known one is named); a value out
            of range.
    """
    content = _content(name_or_path)
    beside = f"{str(name_or_path).rpartition('/')[0]}/{method}"
    if {str(name_or_path), beside} <= {*shipped_configs()}:  # not beside a user's file in a folder of that name
        content |= {"method": _content(beside)["method"], "asked_for": method}
    elif method is not None:
        content |= {"method": _another_method(method, content.get("method", {})), "asked_for": method}
    for override in overrides:
        _apply(content, override)
    name = f"{name_or_path} with --method {method}" if method else str(name_or_path)
    config = parse_config(content, name)
    section = memory_section(config)
    if budget_bytes is None or section is None:
        return config
    _apply(content, f"{section}.budget_bytes={budget_bytes}")
    if "exemplars_per_class" in dict(attrgetter(section)(config)):
        # The budget alone decides how many: a number per class beside it would leave part of it unused.
        _apply(content, f"{section}.exemplars_per_class=null")
    return parse_config(content, name)


def _content(name_or_path: str | Path) -> dict[str, Any]:
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        if path.is_dir() or not path.exists():
            raise ConfigError(
                f"there is no config file {path}", remedy="`essential configs` lists the configs that are shipped"
            )
        try:
            return sections_of(read_bounded(path), str(path))
        except (OSError, ValueError) as error:
            raise ConfigError(f"config file {path} cannot be read: {error}") from error
    name = str(name_or_path)
    content = sections_of(config_text(name), name)
    if content.keys() == {"summary", "method"}:
        raise ConfigError(
            f"{name} holds a method and no data",
            remedy=f"give a config with data, and --method {name.removeprefix('methods/')}",
        )
    return content


def _another_method(name: str, of_config: Any) -> dict[str, Any]:
    section, own = method_section(name), dict(of_config) if isinstance(of_config, dict) else {}
    return own if section == {"name": own.get("name")} else _with_shared(section, own.get("base", own))


def _with_shared(section: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Add the shared settings of `own`, the config's method; a wrapper's go to its base."""
    known = METHODS[section["name"]].Config.model_fields
    shared = {key: own[key] for key in _SHARED if key in own and key in known}
    nested = {"base": _with_shared(section["base"], own)} if "base" in section else {}
    return {**shared, **section, **nested}


def own_config(method: str | None) -> str:
    """Return the config for own data where none is named: of `spectral`, or for another method the trained ones'."""
    return "own/spectral" if method in (None, "spectral", "words", "zero-shot") else "own/essential"


def resolved(config: RunConfig | str | Path, overrides: Sequence[str] = (), *, name: str = "given") -> RunConfig:
    """Return a config, or the one of that name or file, with overrides applied; see `load_config`."""
    return with_overrides(config, overrides, name) if isinstance(config, RunConfig) else load_config(config, overrides)


def with_overrides(config: RunConfig, overrides: Sequence[str], name: str) -> RunConfig:
    """Return a config with overrides applied; errors are those of `load_config`, and say `name`."""
    if not overrides:
        return config
    content = config.model_dump(mode="json")
    for override in overrides:
        _apply(content, override)
    return parse_config(content, name)


def parse_config(content: Mapping[str, Any], name: str) -> RunConfig:
    """Check plain content against the schema; errors are those of `load_config`, and say `name`."""
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError("; ".join(map(_explain, error.errors())), where=f"config {name}") from error


def training_config(given: TrainingConfig | Mapping[str, Any] | None, changes: Mapping[str, Any]) -> TrainingConfig:
    """Return the training's settings, from some of them or all, with changes; errors are those of `load_config`."""
    settings = given.model_dump() if isinstance(given, TrainingConfig) else dict(given or {})
    content = {"data": {"kind": "features"}, "method": {"name": "finetune"}, "training": {**settings, **changes}}
    return parse_config(content, "training").training


def memory_section(config: RunConfig) -> str | None:
    """Return the key of the section that a budget in bytes belongs to; None if the method cannot keep less."""
    sections = {"method": config.method, "method.base": getattr(config.method, "base", None)}
    return next((key for key, section in sections.items() if "budget_bytes" in dict(section or {})), None)


def _apply(content: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    parts = key.strip().split(".")
    where = f"override {quoted(override)}"
    if not sign or not all(parts):
        raise ConfigError(f"{where} is not of the form key.sub=value, such as training.epochs=5")
    try:
        value = parse_yaml(text)
    except ValueError as error:
        reason = error.__cause__.problem if isinstance(error.__cause__, MarkedYAMLError) else error
        raise ConfigError(
            f"the value is not valid YAML ({reason})", where=where, remedy="put text in quotes"
        ) from error
    section = content
    for part in parts[:-1]:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise ConfigError(f"{quoted(part)} is a value, not a section", where=where)
    section[parts[-1]] = value


def _explain(detail: ErrorDetails) -> str:
    # A union adds its tag to the location ("method", "essential", "frames_kept"); the user never wrote it.
    section, written = _section_at([str(part) for part in detail["loc"]])
    key, kind = ".".join(written), detail["type"]
    if kind == "extra_forbidden":
        return _explain_unknown(written, section)
    if kind in ("missing", "union_tag_not_found"):
        key, value = (key, "VALUE") if kind == "missing" else (f"{key}.name", "NAME")
        return f"{key} is missing; give it in the file or with -s {key}={value}"
    if kind == "union_tag_invalid":
        name, known = detail["ctx"]["tag"], detail["ctx"]["expected_tags"].replace("'", "")
        if written[0] == "method" and name in METHODS.broken():
            return f"{key}.name={quoted(name)} cannot be used: {METHODS.broken()[name]}"
        return f"{key}.name={quoted(name)} is unknown{nearest(name, known.split(', '))}; known: {known}"
    message = str(detail["ctx"]["error"]) if kind == "value_error" else detail["msg"]
    if not key or (kind == "value_error" and isinstance(detail["input"], dict)):
        return message
    return f"{key}={quoted(detail['input'])} is not allowed: {message[:1].lower()}{message[1:]}"


def _explain_unknown(written: Sequence[str], section: type[BaseModel] | None) -> str:
    key, known = ".".join(written), sorted(section.model_fields) if section else []
    if section and "base" in section.model_fields:
        of_base = ".".join([*written[:-1], "base", written[-1]])
        return f"unknown key {key!r}: {_tag(section)!r} goes around another method; try {of_base}"
    if section and written[0] == "method" and written[-1] in MemoryConfig.model_fields:
        return (
            f"{key}: the method {_tag(section)!r} keeps no exemplars, so it has no use for it; take it out, or choose "
            "a method with a memory"
        )
    return f"unknown key {key!r}{nearest(written[-1], known)}; known here: {', '.join(known)}"


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
    if annotation is Section:  # a method's, whichever it is
        return tuple(method.Config for method in METHODS.values())
    return (annotation,) if _is_section(annotation) else get_args(annotation)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _tag(section: type[BaseModel]) -> Any:
    return section.model_fields["name"].default
