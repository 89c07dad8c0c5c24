"""Modules with rows that are added as classes arrive: a state that is loaded brings its own number of them."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from essential.models.state_names import below


class Growing(nn.Module):
    """A module that takes on the shapes of a state before it loads it.

    Attributes:
        grows: names of its parameters and buffers that have a row for each class, or several.
    """

    grows: ClassVar[tuple[str, ...]] = ()

    def take_shape(self, state: Mapping[str, Tensor]) -> None:
        """Have as many rows as `state`, a state of this module, has; the values come next.

        Only the number of rows is taken over: a state of another width stays one that torch refuses.
        """
        for name in self.grows:
            if name in state:
                own = getattr(self, name)
                rows = own.new_zeros(*state[name].shape[:1], *own.shape[1:])
                setattr(self, name, nn.Parameter(rows, own.requires_grad) if isinstance(own, nn.Parameter) else rows)

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *args: Any, **kwargs: Any) -> None:
        self.take_shape(below(prefix, state_dict))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
