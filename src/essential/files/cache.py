"""The folder for what can be made again: benchmarks, features and indexes that were given no place."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return where data and features without a place go: $ESSENTIAL_CACHE, or ~/.cache/essential."""
    return Path(os.environ.get("ESSENTIAL_CACHE") or Path.home() / ".cache" / "essential")
