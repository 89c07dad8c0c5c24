"""What a search for videos did not take: counted by reason, and told in one line."""

from collections import Counter
from collections.abc import Mapping

from essential.shown import named

NO_VIDEO = "no video by their extension"
LINK_TO_NOTHING = "link to nothing, its content not fetched"
NOT_A_FILE = "not a file but a pipe, a socket or a device"
HIDDEN = "hidden"
SYSTEM = "of an operating system"
AGAIN = "found already, by another path"
BESIDE = "beside the folders train and test"

_LONGEST_EXTENSION = 8
_EXTENSIONS_NAMED = 5


class PassedOver:
    """Counts what is passed over. It grows while a search goes on.

    Each reason has its examples: extensions for what is no video by its extension, else paths.
    """

    def __init__(self) -> None:
        self._found: dict[str, Counter[str]] = {}

    def add(self, reason: str, path: str) -> None:
        """Count a file or folder under a reason."""
        example = _extension(path) if reason == NO_VIDEO else path
        self._found.setdefault(reason, Counter())[example] += 1

    def extend(self, other: "PassedOver") -> None:
        """Count all that `other` counts."""
        for reason, examples in other._found.items():
            self._found.setdefault(reason, Counter()).update(examples)

    def taken_out(self, reason: str) -> list[str]:
        """Return the examples of a reason, sorted, and count them no more."""
        return sorted(self._found.pop(reason, ()))

    @property
    def counts(self) -> Mapping[str, int]:
        """How many there are, by reason."""
        return {reason: examples.total() for reason, examples in sorted(self._found.items())}

    @property
    def line(self) -> str:
        """All of it in one line; empty if nothing was passed over."""
        total = sum(self.counts.values())
        if not total:
            return ""
        parts = [f"{count} {reason}: {self._examples(reason)}" for reason, count in self.counts.items()]
        return f"passed over: {total} file{'s' * (total > 1)} or folder{'s' * (total > 1)} ({'; '.join(parts)})"

    def _examples(self, reason: str) -> str:
        examples = sorted(self._found[reason])
        if reason != NO_VIDEO:
            return named(examples)
        return ", ".join(examples[:_EXTENSIONS_NAMED]) + ", ..." * (len(examples) > _EXTENSIONS_NAMED)


def _extension(path: str) -> str:
    name = path.rpartition("/")[2]
    extension = name[name.rfind(".") :].lower() if "." in name else ""
    plain = extension.isascii() and extension[1:].isalnum() and len(extension) <= _LONGEST_EXTENSION
    return extension if plain else "another" if extension else "none"
