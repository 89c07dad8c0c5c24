"""`docs/add-a-benchmark.md`, followed word for word: its package is installed, tested and used."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from documents import ROOT, blocks
from essential.records import Record
from made_plugins import make_plugin
from small_runs import SMALL

_BLOCKS = blocks(ROOT / "docs" / "add-a-benchmark.md")
_GROUP = "essential.datasets"
_QUICK = (*SMALL, "training.epochs=1", "method.rehearsal_epochs=1", "features.views=0", "features.workers=0")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the document's package, as it is after `pip install -e .`."""
    folder = tmp_path_factory.mktemp("package")
    files = {block.file: block.text for block in _BLOCKS if block.file}
    project = files["pyproject.toml"]
    (section,) = re.findall(rf'^\[project.entry-points."{_GROUP}"\]\n((?:.+\n)+)', project, re.MULTILINE)
    (requires,) = re.findall(r'^dependencies = \["(.+)"\]$', project, re.MULTILINE)
    make_plugin(
        folder, "my-data", {_GROUP: dict(re.findall(r'^(\w+) = "(.+)"$', section, re.MULTILINE))}, requires=requires
    )
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def _python(package: Path, *arguments: str | Path) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(package)])}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def _essential(package: Path, folder: Path, line: str) -> str:
    """Run a command line of the document in a package, as it would be typed in `folder`, quickly."""
    for place in ("CLIPS", "rgb", "annotations", "runs/diving", "runs/flat"):
        line = re.sub(rf"(?<=[ =]){place}(?= |$)", str(folder / place), line)
    quick = [*_QUICK, "encoder.name=tiny", f"features.store={folder / 'store'}"]
    settings = [part for setting in quick if "moving_digits" not in setting for part in ("-s", setting)]
    command, *arguments = line.split()
    assert command == "essential"
    return _python(package, "-m", "essential", *arguments, *(settings if arguments[0] == "train" else settings[:2]))


def _line(of: str) -> str:
    return next(line for block in _BLOCKS for _, line in block.lines if of in line)


def test_its_own_test_passes(package: Path) -> None:
    (package / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    assert "5 passed" in _python(package, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_diving48.py")


def test_the_plugin_of_a_few_lines_runs_like_any_other(package: Path, small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "CLIPS").mkdir()
    for number, path in enumerate(sorted(small_data.glob("*/*/*.mp4"))):
        name = f"{path.parent.name}_{number}{'0' if path.parts[-3] == 'test' else '1'}.mp4"
        shutil.copy(path, tmp_path / "CLIPS" / name)
    (line,) = re.findall(r"`(essential train .*data.kind=flat.*)`", (ROOT / "docs" / "add-a-benchmark.md").read_text())
    _essential(package, tmp_path, line)
    record = Record.read(tmp_path / "runs" / "flat" / "record.json")
    assert record.protocol.name == "flat"
    assert [len(task.classes) for task in record.protocol.tasks] == [2] * 4


def test_the_data_set_with_split_files_runs_like_any_other(package: Path, small_data: Path, tmp_path: Path) -> None:
    classes = sorted(path.name for path in (small_data / "train").iterdir())
    (tmp_path / "rgb").mkdir()
    split: dict[str, list[dict[str, object]]] = {"train": [], "test": []}
    for name, entries in split.items():
        for path in sorted((small_data / name).glob("*/*.*")):
            video = f"{name}-{path.parent.name}-{path.stem}"
            shutil.copy(path, tmp_path / "rgb" / f"{video}{path.suffix}")
            entries.append({"vid_name": video, "label": classes.index(path.parent.name), "start_frame": 0})
    files = {"vocab": [label.split("-") for label in classes], "V2_train": split["train"], "V2_test": split["test"]}
    (tmp_path / "annotations").mkdir()
    for name, content in files.items():
        (tmp_path / "annotations" / f"Diving48_{name}.json").write_text(json.dumps(content))
    assert "coverage: train 32 of 32 videos" in _essential(package, tmp_path, _line("data check --protocol diving48"))
    _essential(package, tmp_path, _line("train --config diving48"))
    record = Record.read(tmp_path / "runs" / "diving" / "record.json")
    assert record.protocol.name == "diving48-6x8"
    assert sum(len(task.classes) for task in record.protocol.tasks) == 8


def test_the_files_keep_the_house_style(package: Path) -> None:
    files = sorted(package.glob("*.py"))
    assert len(files) == 3
    for how in (("check", "--extend-ignore", "I001"), ("format", "--check")):
        _python(package, "-m", "ruff", *how, "--config", ROOT / "pyproject.toml", *files)
