"""`docs/add-a-method.md`, followed word for word on a copy of the project."""

import re
from pathlib import Path

import pytest

from project_copy import ROOT, copy_project, python_in
from small_runs import small_overrides

_DOCUMENT = ROOT / "docs" / "add-a-method.md"
_TESTS = ("threads.py", "in_float64.py", "synthetic_tasks.py", "ranks_in_turns.py", "small_runs.py", "contract")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", _DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)


def _follow(copy: Path) -> None:
    """Do what the document says, in a copy of the project."""
    method, line, test = _blocks("python")
    (config,) = _blocks("yaml")
    package = copy / "src" / "essential"
    (package / "methods" / "gdumb.py").write_text(method)
    register = package / "methods" / "__init__.py"
    text = register.read_text()
    assert text.count("METHODS: dict[str, type[Method]] = {\n") == 1
    text = text.replace("METHODS: dict[str, type[Method]] = {\n", "METHODS: dict[str, type[Method]] = {\n" + line)
    register.write_text(
        text.replace(
            "from essential.methods.joint", "from essential.methods.gdumb import GDumb\nfrom essential.methods.joint"
        )
    )
    (package / "configs" / "methods" / "gdumb.yaml").write_text(config)
    (copy / "tests" / "methods").mkdir()
    (copy / "tests" / "methods" / "test_gdumb.py").write_text(test)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = copy_project(tmp_path_factory.mktemp("project") / "copy", _TESTS)
    _follow(copy)
    return copy


def test_the_methods_own_test_and_the_contract_pass(copy: Path) -> None:
    result = python_in(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "gdumb or every_method_has", "tests")
    assert result.returncode == 0, result.stdout[-3000:]
    passed = re.search(r"(\d+) passed", result.stdout)
    assert passed
    assert int(passed[1]) >= 13


def test_it_runs_from_the_command_line_like_any_other(copy: Path, small_data: Path, tmp_path: Path) -> None:
    overrides = small_overrides(small_data, tmp_path / "store", "method.exemplars_per_class=2", rehearsal=False)
    settings = [part for override in overrides for part in ("-s", override)]
    run = tmp_path / "run"
    result = python_in(
        copy,
        "-m",
        "essential",
        "train",
        "--config",
        "moving-digits/essential",
        "--method",
        "gdumb",
        "--out",
        run,
        *settings,
    )
    assert result.returncode == 0, result.stderr
    assert (run / "record.json").exists()
    assert python_in(copy, "-m", "essential", "configs").stdout.count("GDumb") == 1


def test_the_files_keep_the_house_style(copy: Path) -> None:
    files = ["src/essential/methods/gdumb.py", "src/essential/methods/__init__.py", "tests/methods/test_gdumb.py"]
    ruff = python_in(
        copy, "-m", "ruff", "check", "--config", copy / "pyproject.toml", "--extend-ignore", "ARG002,I001", *files
    )
    assert ruff.returncode == 0, ruff.stdout
