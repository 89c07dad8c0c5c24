"""JSON files with a version and a digest, read strictly; any fault is one error that names the file.

The digest is the SHA-256 of the canonical JSON of everything else in the file. It finds changes by accident or by
hand; it is no signature, since anybody can compute it.
"""

import json
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from essential.errors import RunError
from essential.files.atomic import sha256_of_json, write_json
from essential.files.untrusted import read_json
from essential.shown import quoted

DIGEST = "sha256"
NO_DIGEST = "no digest"
UNVERIFIED = "unverified"
_FIRST_WITH_DIGEST = 2
_CHANGED = f"was changed after it was written: its {DIGEST} is not that of its content"


Schema = TypeVar("Schema", bound="Whole")


class Part(BaseModel):
    """A frozen part of such a file; refuses unknown keys, NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Whole(Part):
    """The content of such a file, without its digest.

    Class attributes:
        newest: the newest `schema_version` that is read.
        kind: what the file is, for messages, such as `a record`.
        remedy: what to do about a damaged file.
        indent: of the JSON; None: compact.
    """

    newest: ClassVar[int]
    kind: ClassVar[str]
    remedy: ClassVar[str]
    indent: ClassVar[int | None] = None
    _mark: str = PrivateAttr("")

    @property
    def mark(self) -> str:
        """Why the file cannot be trusted as it was read: `NO_DIGEST`, `UNVERIFIED`, or empty."""
        return self._mark

    def marked(self, name: str, *others: "Whole | None") -> str:
        """Return `name` with the marks of this file and of `others`, in brackets."""
        marks = sorted({each.mark for each in (self, *others) if each is not None} - {""})
        return f"{name} ({', '.join(marks)})" if marks else name

    def contradiction(self) -> str | None:
        """Return which content does not follow from the rest, or None."""
        return None

    def write(self, path: Path) -> None:
        """Write JSON with its digest, whole or not at all."""
        content = self.model_dump(mode="json")
        write_json(path, {**content, DIGEST: sha256_of_json(content)}, indent=self.indent)

    @classmethod
    def read(cls: type[Schema], path: Path, *, unverified: bool = False) -> Schema:
        """Read the file; with `unverified` also one that was changed or contradicts itself, which is then marked.

        Raises:
            RunError: it is missing, unreadable, damaged, changed, or written by a newer version.
        """
        noun = cls.kind.rsplit(maxsplit=1)[-1]
        content = cls._read_object(path, noun)
        digest = content.pop(DIGEST, None)
        try:
            # From text: strict validation takes a list for a tuple in JSON only.
            whole = cls.model_validate_json(json.dumps(content), strict=True)
        except ValidationError as error:
            raise RunError(f"{path} is not a valid {noun}: {_explain(error, noun)}; {cls.remedy}") from error
        old = digest is None and content["schema_version"] < _FIRST_WITH_DIGEST
        problem = whole.contradiction() if old or digest == sha256_of_json(content) else _CHANGED
        if problem and not unverified:
            raise RunError(
                f"{path} {problem}; {cls.remedy}. report and site show it as it is, marked, with --unverified"
            )
        whole._mark = UNVERIFIED if problem else NO_DIGEST if old else ""
        return whole

    @classmethod
    def _read_object(cls, path: Path, noun: str) -> dict[str, Any]:
        """Read the JSON object of a version that this one reads."""
        try:
            content = read_json(path)
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(f"{path} is missing; give the folder of a finished run, or let the run end first") from None
        except OSError as error:
            raise RunError(f"{path} cannot be read ({error.strerror}); check that it is a file you may read") from error
        except ValueError as error:
            raise RunError(f"{path} is damaged and cannot be read as JSON ({error}); {cls.remedy}") from error
        if not isinstance(content, dict):
            raise RunError(
                f"{path} holds a JSON {type(content).__name__}, not {cls.kind}; give the {noun}.json of a run"
            )
        version = content.get("schema_version")
        if type(version) is not int:
            raise RunError(f"{path} has schema_version {version!r}, not a number; give the {noun}.json of a run")
        if version > cls.newest:
            raise RunError(
                f"{path} has schema_version {version}, but this version of essential reads {cls.newest} at most; "
                "install the version that wrote it, or a newer one"
            )
        return content


def _explain(error: ValidationError, noun: str, most: int = 3) -> str:
    problems = []
    for problem in error.errors(include_url=False):
        found = "" if problem["type"] == "missing" else f" (found {quoted(problem['input'])})"
        problems.append(f"{'.'.join(map(str, problem['loc'])) or noun}: {problem['msg']}{found}")
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return "; ".join(problems[:most]) + more
