"""File names from names that users chose: safe everywhere, the same in every build, and never two for one."""

from collections.abc import Sequence

from essential.atomic_files import sha256_of_json
from essential.report.formats import slug

_DIGITS = 12


def stem(name: str, identity: Sequence[str]) -> str:
    """Return a file name without its ending: readable by `name`, and told from all others by `identity`."""
    return f"{slug(name)}-{sha256_of_json(list(identity))[:_DIGITS]}"
