"""File names from names that users chose: safe everywhere, the same in every build, and never two for one."""

import re
from collections.abc import Sequence

from essential.atomic_files import sha256_of_json

_LONGEST = 48
_DIGITS = 12


def slug(name: str) -> str:
    """Return what is left of a name in lower-case ASCII letters, digits and single hyphens; "unnamed" if nothing is."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:_LONGEST].strip("-") or "unnamed"


def stem(name: str, identity: Sequence[str]) -> str:
    """Return a file name without its ending: readable by `name`, and told from all others by `identity`."""
    return f"{slug(name)}-{sha256_of_json(list(identity))[:_DIGITS]}"
