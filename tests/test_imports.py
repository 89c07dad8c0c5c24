"""What importing the library costs, and that every module of it can be imported."""

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import essential

_HEAVY = ("torch", "torchvision", "numpy", "matplotlib", "scipy", "sklearn", "timm", "av")
_TELL = f"import json; print(json.dumps([name for name in {_HEAVY!r} if name in sys.modules]))"
_HELP = """
import runpy, sys
sys.argv = ["essential", {arguments}]
try:
    runpy.run_module("essential", run_name="__main__", alter_sys=True)
except SystemExit as stop:
    assert not stop.code, stop.code
"""


def _loaded(code: str) -> tuple[str, list[str]]:
    """Run `code` in a fresh process; return what it printed, and which heavy packages it loaded."""
    result = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\n{_TELL}"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    *printed, last = result.stdout.splitlines()
    return "\n".join(printed), json.loads(last)


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    assert _loaded("import essential.cli") == ("", [])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('"--help"', "Start with: essential demo"),
        ('"train", "--help"', "Train and evaluate a method"),
        ('"--version"', f"essential {essential.__version__}"),
    ],
)
def test_help_and_version_load_nothing_heavy(arguments: str, expected: str) -> None:
    printed, heavy = _loaded(_HELP.format(arguments=arguments))
    assert expected in printed
    assert heavy == []
    light = _HELP.format(arguments=arguments) + "print(sorted({'rich', 'yaml', 'jinja2', 'PIL'} & sys.modules.keys()))"
    assert _loaded(light)[0].endswith("\n[]"), "tables and configs are for commands that show them"


def test_importing_the_library_loads_nothing_and_every_name_of_it_is_there() -> None:
    assert _loaded("import essential\nassert 'essential.api' not in sys.modules") == ("", [])
    for name in essential.__all__:
        assert getattr(essential, name) is not None
    assert set(essential.__all__) | {"sklearn"} == set(dir(essential))
    with pytest.raises(AttributeError, match="has no attribute 'tasks_from_array'"):
        essential.tasks_from_array  # noqa: B018


def test_the_page_on_the_interface_describes_every_name() -> None:
    page = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
    described = {line.rpartition(".")[2] for line in page.splitlines() if line.startswith("::: essential.")}
    listed = {name for name in essential.__all__ if name.startswith("list_")}
    assert "listings" in described
    assert {*essential.__all__} - listed - described == {"__version__"}


def test_the_learner_and_the_methods_load_what_is_slow_to_load_only_when_they_use_it() -> None:
    names = "essential.learner.video_learner, essential.api.compare, essential.methods"
    assert _loaded(f"import {names}")[1] == ["torch", "numpy", "av"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("test", "none.bundle", "none"),
        ("test", "none.bundle", "{spans}"),
        ("test", "none.bundle", "{spans}", "--window", "2"),
        ("learn", "--into", "none.bundle", "--spans", "{spans}"),
        ("predict", "none.bundle", "{spans}", "--format", "vtt"),
    ],
)
def test_what_is_cheap_to_see_is_refused_before_torch_is_loaded(arguments: tuple[str, ...], tmp_path: Path) -> None:
    spans = tmp_path / "spans.csv"
    spans.write_text("path,start_seconds,end_seconds,label\nmatch.mp4,2,1,wave\n")
    steps = f"sys.argv = {['essential', *(argument.format(spans=spans) for argument in arguments)]}\n"
    steps += "from essential.cli import main\ntry: main()\nexcept SystemExit as stop: assert stop.code == 2"
    assert "torch" not in _loaded(steps)[1]


def test_the_check_sees_what_is_loaded() -> None:
    assert _loaded("import numpy")[1] == ["numpy"]


def test_every_module_can_be_imported() -> None:
    names = [module.name for module in pkgutil.walk_packages(essential.__path__, "essential.")]
    assert len(names) >= 70
    for name in names:
        if name != "essential.__main__":
            importlib.import_module(name)
