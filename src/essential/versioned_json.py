"""JSON files with a version, that are read strictly: whatever is wrong is one error that names the file."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from essential.errors import RunError
from essential.untrusted import parse_json


class Part(BaseModel):
    """A frozen piece of such a file that refuses unknown keys, NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Whole = TypeVar("Whole", bound=Part)


def read_versioned(path: Path, schema: type[Whole], *, newest: int, what: str, remedy: str) -> Whole:
    """Read a file of the form `schema`, whose `schema_version` is `newest` at most.

    Args:
        path: the file.
        schema: its form.
        newest: the version that this library writes.
        what: what the file is, for messages: `a record` stands in `not a record`.
        remedy: what to do about one that is damaged.

    Raises:
        RunError: the file is missing, unreadable, damaged, or written by a newer version.
    """
    text = _read_text(path, remedy)
    _check_version(path, text, newest=newest, what=what, remedy=remedy)
    try:
        return schema.model_validate_json(text, strict=True)
    except ValidationError as error:
        noun = what.rsplit(maxsplit=1)[-1]
        raise RunError(f"{path} is not a valid {noun}: {_explain(error, noun)}; {remedy}") from error


def _read_text(path: Path, remedy: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{path} is missing; give the folder of a finished run, or let the run end first") from None
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is damaged and cannot be read as text ({error}); {remedy}") from error
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); check that it is a file you may read") from error


def _check_version(path: Path, text: str, *, newest: int, what: str, remedy: str) -> None:
    give = f"give the {what.rsplit(maxsplit=1)[-1]}.json of a run"
    try:
        content = parse_json(text)
    except ValueError as error:
        raise RunError(f"{path} is damaged and cannot be read as JSON ({error}); {remedy}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} holds a JSON {type(content).__name__}, not {what}; {give}")
    version = content.get("schema_version")
    if type(version) is not int:
        raise RunError(f"{path} has schema_version {version!r}, not a number; {give}")
    if version > newest:
        raise RunError(
            f"{path} has schema_version {version}, but this version of essential reads {newest} at most; "
            "install the version that wrote it, or a newer one"
        )


def _explain(error: ValidationError, noun: str, most: int = 3) -> str:
    problems = []
    for problem in error.errors(include_url=False):
        found = "" if problem["type"] == "missing" else f" (found {_short(problem['input'])})"
        problems.append(f"{'.'.join(map(str, problem['loc'])) or noun}: {problem['msg']}{found}")
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return "; ".join(problems[:most]) + more


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
