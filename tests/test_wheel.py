"""The wheel: it holds everything, and what is installed from it works without the sources."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from essential import __version__

ROOT = Path(__file__).parents[1]
_SOURCES = ROOT / "src" / "essential"


def _python(arguments: Sequence[str | Path], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # Building leaves files beside the sources.
    (folder / "project").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "project")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "project" / "src", ignore=ignored)
    pip = ["-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "--no-index"]
    _python([*pip, "--wheel-dir", folder, folder / "project"], folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    target = wheel.parent / "installed"
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    _python([*pip, "--target", target, wheel], wheel.parent)
    return target


def test_every_file_of_the_package_is_in_it_and_nothing_else(wheel: Path) -> None:
    assert wheel.name == f"essential_video-{__version__}-py3-none-any.whl"
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("essential/")}
    files = [path for path in _SOURCES.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert inside == {f"essential/{path.relative_to(_SOURCES).as_posix()}" for path in files}
    for kind in (".css", ".html", ".js", ".json", ".safetensors", ".typed", ".yaml"):
        assert any(name.endswith(kind) for name in inside), kind


def test_its_metadata_names_the_licence_the_extras_and_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        notes = {Path(name).name: name for name in archive.namelist() if ".dist-info/" in name}
        metadata = archive.read(notes["METADATA"]).decode()
        commands = archive.read(notes["entry_points.txt"]).decode()
        assert archive.read(notes["LICENSE"]) == (ROOT / "LICENSE").read_bytes()
    assert "License-Expression: Apache-2.0" in metadata
    extras = {line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Provides-Extra")}
    assert extras >= {"dev", "docs", "export", "serve", "tensorboard", "wandb"}
    assert "essential = essential.cli:main" in commands


def test_what_is_installed_runs_without_the_sources(installed: Path, tmp_path: Path) -> None:
    own = {"PYTHONPATH": str(installed)}
    code = (
        "import essential; print(essential.__file__)\n"
        "from essential import VideoLearner; print(VideoLearner(encoder='tiny').classes)"
    )
    place, classes = _python(["-c", code], tmp_path, **own).stdout.splitlines()
    assert place == str(installed / "essential" / "__init__.py")
    assert classes == "()"
    assert _python(["-m", "essential", "--version"], tmp_path, **own).stdout == f"essential {__version__}\n"
    assert "moving-digits/essential" in _python(["-m", "essential", "configs"], tmp_path, **own).stdout
    script = installed / "bin" / "essential"
    assert _python([script, "--version"], tmp_path, **own).stdout == f"essential {__version__}\n"
