"""The base of every config section. A section is beside its owner; `RunConfig` holds them all."""

import re
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

_LARGEST = 10**18
# With one slash where the other was forgotten, or a Path took it away.
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class Section(BaseModel):
    """A frozen group of settings; refuses unknown keys, NaN, infinities, booleans as numbers, addresses as paths."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _is_what_it_says(cls, given: Any) -> Any:
        for name, value in given.items() if isinstance(given, dict) else ():
            taken = cls.model_fields[name].annotation if name in cls.model_fields else bool
            if isinstance(value, bool) and bool not in (taken, *get_args(taken)):
                raise ValueError(f"{name}={str(value).lower()} is not allowed: the setting is not a boolean")
            is_path = {taken, *get_args(taken)} & {Path, str} == {Path}
            if isinstance(value, str | Path) and is_path and ADDRESS.match(str(value)):
                raise ValueError(
                    f"{name} is given an address, and takes a path here; data.url takes an address of videos, "
                    "features.store that of a store"
                )
        return given

    @field_validator("*")
    @classmethod
    def _countable(cls, value: Any) -> Any:
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise ValueError(f"give a number of {_LARGEST:,} at most")
        return value
