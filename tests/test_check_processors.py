"""`scripts/check_processors.py`: what fails under one setting fails the whole, and what cannot be run is told."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "scripts" / "check_processors.py"


@pytest.fixture
def script() -> ModuleType:
    specification = importlib.util.spec_from_file_location("check_processors", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("last", "code", "wrong"), [("2 passed in 1s", 0, 0), ("1 failed, 1 passed in 1s", 1, 1)])
def test_a_failure_under_any_setting_fails_the_whole(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    last: str,
    code: int,
    wrong: int,
) -> None:
    program = "import os, sys; print('2 passed' if os.environ.get('OMP_NUM_THREADS') == '1' else sys.argv[-2]);"
    program += "sys.exit(0 if os.environ.get('OMP_NUM_THREADS') == '1' else int(sys.argv[-1]))"
    monkeypatch.setattr(script, "SETTINGS", [{"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "2"}])
    monkeypatch.setattr(script, "PYTEST", ("-c", program))
    assert script.main([last, str(code)]) == code
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("OMP")]
    assert [row[:3] for row in rows] == [
        ["OMP_NUM_THREADS=1", "2", "0"],
        ["OMP_NUM_THREADS=2", str(2 - wrong), str(wrong)],
    ]


def test_what_the_processor_lacks_is_told_and_left_out(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    monkeypatch.setattr(script, "SETTINGS", [{"ATEN_CPU_CAPABILITY": "avx2"}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}])
    monkeypatch.setattr(script, "PYTEST", ("-c", "raise SystemExit(1)"))
    assert script.main([]) == 0
    assert capsys.readouterr().out.count("not on this processor") == 2
