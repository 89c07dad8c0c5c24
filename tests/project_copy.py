"""A copy of the project, for tests that do in it what a document tells its reader to do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
_ALWAYS = ("conftest.py", "in_float64.py", "in_process.py", "threads.py")


def copy_project(copy: Path, tests: Sequence[str]) -> Path:
    """Copy the sources, and some files and folders of the tests, to the folder `copy`, and return it."""
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    (copy / "tests").mkdir()
    for name in (*_ALWAYS, *tests):
        source = ROOT / "tests" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / "tests" / name)
    return copy


def python_in(copy: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a copy, on its own sources."""
    environment = {**os.environ, "PYTHONPATH": str(copy / "src")}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=copy, capture_output=True, text=True, check=False, env=environment
    )
