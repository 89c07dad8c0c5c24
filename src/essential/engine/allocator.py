"""How this process keeps memory that it has freed, and how much it may have.

A training step allocates and frees the same large arrays again and again. glibc returns each of them to the system and
fetches cleared pages anew: 4,700 page faults in a step of ESSENTIAL at the published size, a tenth of its time on a
virtual machine.
"""

import ctypes
import resource
import sys
from pathlib import Path

# Of malloc.h: from which size on memory is taken from the system directly, and how much free memory is kept.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_INT = 2**31 - 1
_PAGES = Path("/proc/self/statm")
# Places of the numbers in it.
_ADDRESSES, _RESIDENT = 0, 1


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, for the rest of this process; does nothing without glibc."""
    if (library := _glibc()) is not None:
        library.mallopt(_M_MMAP_THRESHOLD, 2**30)
        library.mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT)


def give_back_freed_memory() -> None:
    """Return to the system what is kept by now; does nothing without glibc."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    return library if getattr(library, "gnu_get_libc_version", None) else None


def limit_memory(more_bytes: int) -> None:
    """Limit this process to `more_bytes` more addresses than it has now; no limit where there is no /proc."""
    if _PAGES.exists():
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = _bytes(_ADDRESSES) + more_bytes
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def resident_bytes() -> int:
    """Return how much memory this process has; 0 where there is no /proc."""
    return _bytes(_RESIDENT) if _PAGES.exists() else 0


def _bytes(place: int) -> int:
    return int(_PAGES.read_text().split()[place]) * resource.getpagesize()
