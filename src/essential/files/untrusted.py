"""JSON and YAML from strangers, read within bounds; any fault is a `ValueError`.

Refused beside invalid JSON or YAML: files and numbers that are too long, deep nesting, a key twice in one object, NaN
and infinities; in YAML also aliases, with which a few lines stand for any number of values.
"""

import json
import math
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from essential.files.given import plain_file

_MOST_BYTES = 1 << 28
# YAML is read slowly, and no config comes near it.
_MOST_YAML_BYTES = 1 << 17
_DEEPEST = 50
_TOO_DEEP = f"it is nested deeper than {_DEEPEST} levels"
_LONGEST_NUMBER = 100
_HOLDERS = (dict, list, tuple)
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: see the top of this file.
    """
    return parse_json(read_bounded(path))


def read_bounded(path: Path) -> bytes:
    """Return the bytes of a text file of bounded size; see `read_json`."""
    with plain_file(path).open("rb") as file:
        # As many bytes as it has: Python takes memory for all that it may read.
        content = file.read(min(os.fstat(file.fileno()).st_size, _MOST_BYTES) + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
    return content


def parse_json(text: str | bytes) -> Any:
    """Return what JSON text holds; raises as `read_json` does."""
    try:
        content = json.loads(
            text, object_pairs_hook=_object, parse_int=_whole, parse_float=_number, parse_constant=_no_number
        )
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    return _shallow(content)


def parse_yaml(text: str | bytes) -> Any:
    """Return what YAML text holds, with `1e-3` a number, which is text in YAML 1.1; raises as `read_json` does."""
    if len(text) > _MOST_YAML_BYTES:
        raise ValueError(f"it has more than {_MOST_YAML_BYTES:,} bytes")
    try:
        content = yaml.load(text.decode() if isinstance(text, bytes) else text, _Loader)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    # Odd values under tags such as !!int are whatever its own constructors stumble over.
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(str(error)) from error
    return _shallow(content)


def yaml_text(content: Any) -> str:
    """Return YAML that `parse_yaml` reads as this content; the keys keep their order."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False)


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("an alias (*) is not read; write its value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            raise yaml.constructor.ConstructorError(None, None, _repeated(keys), node.start_mark)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        if node.tag in _NUMBERS:
            _check_length(node.value)
        return super().construct_scalar(node)


class _Dumper(yaml.SafeDumper):
    """Quotes text that `_Loader` would read as a number."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) < len(pairs):
        raise ValueError(_repeated([key for key, _ in pairs]))
    return held


def _repeated(keys: list[str]) -> str:
    ((again, _),) = Counter(keys).most_common(1)
    return f"the key {again[:_LONGEST_NUMBER]!r} stands twice in one object; keep one"


def _whole(text: str) -> int:
    return int(_check_length(text))


def _number(text: str) -> float:
    number = float(_check_length(text))
    return number if math.isfinite(number) else _no_number(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number that can be used")


def _check_length(text: str) -> str:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text):,} digits is too long")
    return text


def nests_deeper(content: Any, levels: int) -> bool:
    """Say whether containers nest deeper, or hold themselves; each is looked at once a level, wherever it stands."""
    level = {id(content): content} if isinstance(content, _HOLDERS) else {}
    for _ in range(levels):
        holders = (each.values() if isinstance(each, dict) else each for each in level.values())
        level = {id(each): each for holder in holders for each in holder if isinstance(each, _HOLDERS)}
    return bool(level)


def _shallow(content: Any) -> Any:
    if nests_deeper(content, _DEEPEST):
        raise ValueError(_TOO_DEEP)
    return content
