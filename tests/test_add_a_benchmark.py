"""`docs/add-a-benchmark.md`, followed word for word on a copy of the project."""

import json
import re
import shutil
from pathlib import Path

import pytest

from documents import ROOT, blocks
from essential.records import Record
from project_copy import copy_project, python_in
from small_runs import SMALL

_BLOCKS = blocks(ROOT / "docs" / "add-a-benchmark.md")


def _follow(copy: Path) -> None:
    """Do what the document says, in a copy of the project."""
    reader, lines, branch, test = [block.text for block in _BLOCKS if block.language == "python"]
    (config,) = [block.text for block in _BLOCKS if block.language == "yaml"]
    written = {
        "src/essential/protocols/diving48.py": reader,
        "src/essential/configs/diving48/diving48-6x8.yaml": config,
        "tests/protocols/test_diving48.py": test,
    }
    assert {block.file for block in _BLOCKS if block.file in written} == {*written}
    for name, text in written.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(text)
    source = copy / "src" / "essential" / "protocols" / "source.py"
    text = source.read_text()
    imported, _, kind, named = lines.splitlines()
    for pattern, line in ((r"^Kind = .*$", kind), (r"^_NAMED = .*$", named)):
        text, count = re.subn(pattern, line, text, flags=re.MULTILINE)
        assert count == 1
    for before, line in (
        ("from essential.protocols.folder", f"{imported}\n"),
        ("    else:\n        listed,", branch),
    ):
        assert text.count(before) == 1
        text = text.replace(before, line + before)
    source.write_text(text)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = copy_project(tmp_path_factory.mktemp("project") / "copy", ())
    _follow(copy)
    return copy


def test_its_own_test_passes(copy: Path) -> None:
    result = python_in(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert result.returncode == 0, result.stdout[-3000:]
    assert "5 passed" in result.stdout


def test_it_runs_like_any_other(copy: Path, small_data: Path, tmp_path: Path) -> None:
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
    (check, train) = [line for block in _BLOCKS for _, line in block.lines if "diving48/diving48-6x8" in line]
    quick = [*SMALL, "training.epochs=1", "training.threads=1", "method.rehearsal_epochs=1", "features.views=0"]
    quick += ["features.workers=0", "encoder.name=tiny", f"features.store={tmp_path / 'store'}"]
    settings = [part for setting in quick if "moving_digits" not in setting for part in ("-s", setting)]
    assert (check.split()[0], train.split()[0]) == ("essential", "essential")
    checked = python_in(copy, "-m", "essential", *_from(tmp_path, check), *settings[:2])
    assert checked.returncode == 0, checked.stderr
    assert "coverage: train 32 of 32 videos" in checked.stdout
    trained = python_in(copy, "-m", "essential", *_from(tmp_path, train), *settings)
    assert trained.returncode == 0, trained.stderr
    record = Record.read(tmp_path / "runs" / "diving" / "record.json")
    assert record.protocol.name == "diving48-6x8"
    assert sum(len(task.classes) for task in record.protocol.tasks) == 8


def _from(folder: Path, line: str) -> list[str]:
    """Return the arguments of a command line as it would be typed in a folder."""
    for place in ("rgb", "annotations", "runs/diving"):
        line = re.sub(rf"(?<=[ =]){place}(?= |$)", str(folder / place), line)
    return line.split()[1:]


def test_the_files_keep_the_house_style(copy: Path) -> None:
    files = [
        "src/essential/protocols/diving48.py",
        "src/essential/protocols/source.py",
        "tests/protocols/test_diving48.py",
    ]
    for how in (("check",), ("format", "--check")):
        ruff = python_in(copy, "-m", "ruff", *how, "--config", copy / "pyproject.toml", *files)
        assert ruff.returncode == 0, ruff.stdout
