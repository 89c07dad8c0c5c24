"""The base of every config section. A section is beside its owner; `RunConfig` holds them all."""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

_LARGEST = 10**18


class Section(BaseModel):
    """A frozen group of settings; refuses unknown keys, NaN, infinities, and booleans as numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_as_number(cls, given: Any) -> Any:
        for name, value in given.items() if isinstance(given, dict) else ():
            taken = cls.model_fields[name].annotation if name in cls.model_fields else bool
            if isinstance(value, bool) and bool not in (taken, *get_args(taken)):
                raise ValueError(f"{name}={str(value).lower()} is not allowed: the setting is not a boolean")
        return given

    @field_validator("*")
    @classmethod
    def _countable(cls, value: Any) -> Any:
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise ValueError(f"give a number of {_LARGEST:,} at most")
        return value
