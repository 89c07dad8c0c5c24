"""The file of the served bundle, and those before its last changes, which undo puts back."""

import re
from pathlib import Path

from essential.files.atomic import link_or_copy, move_over, sha256_of_file
from essential.serve.messages import Refusal

_MOST_UNDOS = 3
# Of the checksum in the name of a bundle that was replaced.
_DIGITS = 12


class KeptBundle:
    """A bundle that is replaced and put back.

    Before a new one takes its place, the old one gets the name `BUNDLE.before-<checksum of the new one>`. So undo knows
    what came before each, after a restart too, and there is no undo for a bundle that another program has changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # By this name it is removed with what killed writers leave, if this service is killed.
        self.new_path = path.with_name(f".{path.name}.new.tmp")
        self.new_path.unlink(missing_ok=True)
        self._before = self._predecessor_of(path)

    @property
    def state(self) -> str:
        """A text that tells the bundle as it is from what it was before its last change."""
        return self._before.suffix.rpartition("-")[2]

    @property
    def can_undo(self) -> bool:
        """Whether there is one to put back."""
        return self._before.exists()

    def replace(self) -> None:
        """Let the bundle at `new_path` take the place of the one there is, or leave it if the disk refuses."""
        before = self._predecessor_of(self.new_path)
        before.unlink(missing_ok=True)
        link_or_copy(self.path, before)
        move_over(self.new_path, self.path)
        self._before = before
        for old in bundles_before(self.path)[:-_MOST_UNDOS]:
            old.unlink(missing_ok=True)

    def undo(self) -> None:
        """Put the bundle before the last change back; raise a `Refusal` if there is none."""
        if not self.can_undo:
            raise Refusal(409, "nothing_to_undo", f"there is nothing to undo; the last {_MOST_UNDOS} changes can be")
        move_over(self._before, self.path)
        self._before = self._predecessor_of(self.path)

    def _predecessor_of(self, path: Path) -> Path:
        return self.path.with_name(f"{self.path.name}.before-{sha256_of_file(path)[:_DIGITS]}")


def bundles_before(path: Path) -> list[Path]:
    """Return the files that undo puts back, the oldest first."""
    is_one = re.compile(rf"{re.escape(path.name)}\.before-[0-9a-f]{{{_DIGITS}}}").fullmatch
    found = [each for each in path.parent.iterdir() if is_one(each.name)]
    return sorted(found, key=lambda each: each.lstat().st_ctime_ns)
