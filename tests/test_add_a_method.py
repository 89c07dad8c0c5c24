"""`docs/add-a-method.md`, followed word for word, and the sample package: installed, held to the contract, and used."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from installed_plugins import install, python_with
from made_plugins import make_plugin
from threads import THREADS

ROOT = Path(__file__).parents[1]
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


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a package that raises when it is imported."""
    entries = {"essential.methods": {"fragile": "fragile:Fragile"}}
    source = {"fragile": "raise OSError('no card')"}
    return make_plugin(tmp_path_factory.mktemp("broken"), "broken-package", entries, modules=source)


NOTE = "note: the plug-in essential.methods fragile is left out: broken-package: fragile:Fragile raised OSError"


def test_a_broken_plugin_is_named_once_and_stops_nothing(sample: Path, broken: Path, tmp_path: Path) -> None:
    helped = essential(sample, broken, arguments=("--help",), cwd=tmp_path)
    assert (helped.returncode, helped.stderr) == (0, "")
    listed = essential(sample, broken, arguments=("configs",), cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count("GDumb (ECCV 2020)") == 1
    assert "fragile" not in listed.stdout
    assert listed.stderr == f"{NOTE}: no card\n"
    shown = essential(sample, broken, arguments=("configs", "show", "gdumb"), cwd=tmp_path)
    assert "method:\n  name: gdumb\n" in shown.stdout, shown.stderr


def test_plugins_of_all_groups_are_compared_like_any_other(
    sample: Path, broken: Path, small_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "videos").mkdir()
    for path in small_data.glob("t*/*/*.mp4"):
        split, label = path.parts[-3:-1]
        shutil.copy(path, tmp_path / "videos" / f"{split}-{label}-{path.stem.replace('-', '_')}.mp4")
    (tmp_path / "mine.yaml").write_text(
        "data: {kind: named-files, root: videos}\nprotocol: {tasks: 4}\nencoder: {name: thumbnail}\n"
        "features: {views: 0, store: store, workers: 0}\nmethod: {name: gdumb, exemplars_per_class: 2}\n"
        f"training: {{epochs: 2, warmup_epochs: 1, batch_size: 4, threads: {THREADS}}}\n"
    )
    compare = ("compare", "--config", "mine.yaml", "--methods", "gdumb,ncm", "--seeds", "0", "--out", "out")
    compared = essential(sample, broken, arguments=compare, cwd=tmp_path)
    assert compared.returncode == 0, compared.stderr
    assert compared.stderr.count(NOTE) == 1
    assert [row["method"] for row in json.loads((tmp_path / "out" / "compare.json").read_text())] == ["gdumb", "ncm"]
    run = tmp_path / "out" / "runs" / "gdumb-0"
    record = json.loads((run / "record.json").read_text())
    assert record["method"]["config"]["policy"] == "reservoir"
    assert record["encoder"]["name"] == "thumbnail"
    assert record["exemplars"] == 16
    just_learned = [row[task] for task, row in enumerate(record["accuracy"])]
    assert record["metrics"]["learning_accuracy"] == pytest.approx(sum(just_learned) / 4)
    assert "Learning accuracy" in (tmp_path / "out" / "compare.html").read_text()


def test_a_plugin_may_be_imported_before_anything_of_essential(sample: Path, tmp_path: Path) -> None:
    program = (
        "from essential_extras.gdumb import GDumb; from essential.engine.settings import RunConfig;"
        "from essential.methods import METHODS; assert METHODS['gdumb'] is GDumb; assert not METHODS.broken();"
        "RunConfig.model_validate({'data': {'kind': 'folder'}, 'method': {'name': 'gdumb'}})"
    )
    result = python_with(sample, arguments=("-c", program), cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def test_an_encoder_of_whole_clips_reads_its_own_frames(sample: Path, tmp_path: Path) -> None:
    program = (
        "import torch; from essential.encoders import EncoderConfig, build_encoder;"
        "encoder = build_encoder(EncoderConfig(name='differences', frames=6));"
        "clips = torch.rand(2, encoder.frames_read(8), 3, 32, 32);"
        "assert encoder(clips).shape == (2, 5, 48); assert encoder(clips, 8).shape == (2, 8, 48)"
    )
    result = python_with(sample, arguments=("-c", program), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
