"""`docs/add-a-method.md`, followed word for word, and the sample package: installed, held to the contract, and used."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from installed_plugins import install, python_with
from made_plugins import make_plugin
from project_copy import ROOT
from small_runs import small_overrides

_DOCUMENT = ROOT / "docs" / "add-a-method.md"
_SAMPLE = ROOT / "examples" / "plugin"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", _DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the folder of the document's package, and where it is installed."""
    package = tmp_path_factory.mktemp("followed") / "package"
    package.mkdir()
    (project,), (method, test) = _blocks("toml"), _blocks("python")
    assert len((project + method).splitlines()) <= 60
    (package / "pyproject.toml").write_text(project)
    (package / "essential_gdumb.py").write_text(method)
    installed = install(package, package.parent / "installed")
    (package / "test_gdumb.py").write_text(test)
    return package, installed


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(_SAMPLE, tmp_path_factory.mktemp("sample") / "installed")


def essential(*folders: Path, arguments: tuple[object, ...], cwd: Path) -> subprocess.CompletedProcess[str]:
    return python_with(*folders, arguments=("-m", "essential", *arguments), cwd=cwd)


def test_the_methods_own_test_and_the_contract_pass(followed: tuple[Path, Path]) -> None:
    package, installed = followed
    (package / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
    pytest_of = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", "test_gdumb.py", "essential.contract")
    result = python_with(installed, arguments=(*pytest_of, "-k", "gdumb"), cwd=package)
    assert result.returncode == 0, result.stdout[-3000:]
    passed = re.search(r"(\d+) passed", result.stdout)
    assert passed
    assert int(passed[1]) >= 16


def test_the_sample_package_holds_the_documents_method_and_keeps_the_house_style(followed: tuple[Path, Path]) -> None:
    package, _ = followed
    assert (package / "essential_gdumb.py").read_text() == (_SAMPLE / "essential_extras" / "gdumb.py").read_text()
    ruff = ("-m", "ruff", "check", "--config", ROOT / "pyproject.toml", "--extend-ignore", "I001", ".")
    result = python_with(arguments=ruff, cwd=package)
    assert result.returncode == 0, result.stdout


def test_plugins_are_listed_and_compared_like_any_other(sample: Path, small_data: Path, tmp_path: Path) -> None:
    make_plugin(
        tmp_path / "broken",
        "broken-package",
        {"essential.methods": {"fragile": "fragile:Fragile"}},
        modules={"fragile": "raise OSError('no card')"},
    )
    note = "note: the plug-in essential.methods fragile is left out: broken-package: fragile:Fragile raised OSError"
    folders = (sample, tmp_path / "broken")
    helped = essential(*folders, arguments=("--help",), cwd=tmp_path)
    assert (helped.returncode, helped.stderr) == (0, "")
    listed = essential(*folders, arguments=("configs",), cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count("GDumb (ECCV 2020)") == 1
    assert "fragile" not in listed.stdout
    assert listed.stderr.count(note) == 1
    shown = essential(*folders, arguments=("configs", "show", "gdumb"), cwd=tmp_path)
    assert "method:\n  name: gdumb\n" in shown.stdout, shown.stderr
    overrides = small_overrides(small_data, tmp_path / "store", "training.epochs=2", rehearsal=False)
    settings = [part for override in overrides for part in ("-s", override)]
    compare = ("compare", "--methods", "gdumb,ncm", "--seeds", "0", "--budget-bytes", 40000, "--out", "out", *settings)
    compared = essential(*folders, arguments=compare, cwd=tmp_path)
    assert compared.returncode == 0, compared.stderr
    assert compared.stderr.count(note) == 1
    assert [row["method"] for row in json.loads((tmp_path / "out" / "compare.json").read_text())] == ["gdumb", "ncm"]
    record = json.loads((tmp_path / "out" / "runs" / "gdumb-0" / "record.json").read_text())
    assert record["method"]["config"]["policy"] == "reservoir"
    assert 0 < record["memory_bytes"]["total"] <= 40000


def test_a_plugin_may_be_imported_before_anything_of_essential(sample: Path, tmp_path: Path) -> None:
    program = (
        "from essential_extras.gdumb import GDumb; from essential.engine.settings import RunConfig;"
        "from essential.methods import METHODS; assert METHODS['gdumb'] is GDumb; assert not METHODS.broken();"
        "RunConfig.model_validate({'data': {'kind': 'folder'}, 'method': {'name': 'gdumb'}})"
    )
    result = python_with(sample, arguments=("-c", program), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
