"""Packages that only some commands need: what an extra of the installation brings."""

from collections.abc import Sequence
from importlib.util import find_spec

from essential.errors import ConfigError


def require_extra(extra: str, *packages: str, of: str, instead: str = "") -> None:
    """Raise a ConfigError with the command that installs the extra, if one of its packages is missing.

    Args:
        of: what needs them.
        instead: what else can be done.
    """
    missing = _missing(packages)
    if missing:
        raise ConfigError(
            f"{of} needs {', '.join(missing)}, which is not installed here",
            remedy=f"install it: pip install 'essential-video[{extra}]'{instead}",
        )


def has_extra(*packages: str) -> bool:
    """Whether all of an extra's packages are installed."""
    return not _missing(packages)


def _missing(packages: Sequence[str]) -> list[str]:
    return [name for name in packages if find_spec(name) is None]
