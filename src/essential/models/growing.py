"""Modules that grow as classes and tasks arrive: before they load a state, they take on its rows and parts."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn

Value = TypeVar("Value")


def below(prefix: str, state: Mapping[str, Value]) -> dict[str, Value]:
    """Return the entries whose name starts with `prefix`, without it."""
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}


class Growing(nn.Module):
    """A module that takes on the shapes of a state before it loads it.

    Attributes:
        grows: names of its parameters and buffers that have a row for each class, or several.
    """

    grows: ClassVar[tuple[str, ...]] = ()

    def take_shape(self, state: Mapping[str, Tensor]) -> None:
        """Match the number of rows in `state`; torch refuses another width."""
        for name in self.grows:
            if name in state:
                own = getattr(self, name)
                rows = own.new_zeros(*state[name].shape[:1], *own.shape[1:])
                setattr(self, name, nn.Parameter(rows, own.requires_grad) if isinstance(own, nn.Parameter) else rows)

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *args: Any, **kwargs: Any) -> None:
        self.take_shape(below(prefix, state_dict))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class GrowingList(nn.ModuleList):
    """Modules that `make` makes from their place in the list; a state that is loaded says how many there are."""

    def __init__(self, make: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self._make = make

    def add(self) -> None:
        """Add a module behind the others."""
        self.append(self._make(len(self)))

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *args: Any, **kwargs: Any) -> None:
        held = len({name.partition(".")[0] for name in below(prefix, state_dict)})
        del self[held:]
        while len(self) < held:
            self.add()
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class Parts(nn.ModuleDict):
    """Modules by name, of which some are there for a time alone; a state that is loaded says which."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__(modules)
        self._makers: dict[str, Callable[[], nn.Module]] = {}

    def at_times(self, name: str, make: Callable[[], nn.Module]) -> None:
        """Declare a part that may be there, and how it is made: by a bound method, which a copy or pickle follows."""
        self._makers[name] = make

    def add(self, name: str) -> None:
        """Make a declared part anew."""
        self[name] = self._makers[name]()

    def drop(self, name: str) -> None:
        """Take a part out, if it is there."""
        if name in self:
            del self[name]

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *args: Any, **kwargs: Any) -> None:
        held = {name.partition(".")[0] for name in below(prefix, state_dict)}
        for name in self._makers:
            self.add(name) if name in held else self.drop(name)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
