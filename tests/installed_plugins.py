"""Packages installed by `pip` into a folder, without a network, and Python run with them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import essential

SOURCES = Path(essential.__file__).parents[1]


def install(package: Path, target: Path) -> Path:
    """Install the package of a folder into `target`; its folder stays as it is."""
    copy = shutil.copytree(package, target.parent / f"{target.name}-source")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(copy)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return target


def python_with(*folders: Path, arguments: tuple[object, ...], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with what is installed in the folders."""
    path = os.pathsep.join(map(str, (SOURCES, *folders)))
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=environment)
