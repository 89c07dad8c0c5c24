"""Names of a network's parts, as dots in the names of its state."""

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")


def below(prefix: str, state: Mapping[str, Value]) -> dict[str, Value]:
    """Return the entries whose name starts with `prefix`, without it."""
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
