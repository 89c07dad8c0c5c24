"""A cap on a process's memory: what a clip makes a decoder ask for beyond it is refused, not taken from others."""

import resource
from pathlib import Path

_PAGES = Path("/proc/self/statm")
# Places of the numbers in it.
_ADDRESSES, _RESIDENT = 0, 1


def limit_memory(more_bytes: int) -> None:
    """Let this process have `more_bytes` more addresses than it has now; any number where there is no /proc."""
    if not _PAGES.exists():
        return
    now = _bytes(_ADDRESSES)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = now + more_bytes
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def resident_bytes() -> int:
    """Return how much memory this process has; 0 where there is no /proc."""
    return _bytes(_RESIDENT) if _PAGES.exists() else 0


def _bytes(place: int) -> int:
    return int(_PAGES.read_text().split()[place]) * resource.getpagesize()
