"""What `essential predict` loads before its first answer: all of it is paid for by every clip that is asked for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from essential import VideoLearner
from in_process import Essential
from taught import MACHINE, QUICK
from video_files import write_numbered_video

pytestmark = pytest.mark.slow  # it starts processes

_NEEDED = "import annotated_types, av, jaxtyping, numpy, pydantic, PIL.Image, safetensors.torch, torch, typer, yaml"
_ASKED = """
import runpy
try:
    runpy.run_module("essential", run_name="__main__", alter_sys=True)
except SystemExit as stop:
    assert not stop.code, stop.code
"""
_REFUSED = _ASKED.replace("not stop.code", "stop.code == 2")
_TELL = "import json, sys; print(json.dumps([name for name in sys.modules if not name.startswith('essential')]))"


def _loaded(code: str, *arguments: str) -> set[str]:
    """Return the packages, and the parts of torch, that a fresh process has loaded after some code."""
    command = [sys.executable, "-c", f"{code}\n{_TELL}", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    names: list[str] = json.loads(result.stdout.splitlines()[-1])
    parts = {".".join(name.split(".")[:2]) for name in names if name.startswith("torch.")}
    return parts | {name.split(".")[0] for name in names} - sys.stdlib_module_names


@pytest.fixture(scope="module")
def needed() -> set[str]:
    return _loaded(_NEEDED)


@pytest.mark.parametrize(
    ("encoder", "method", "overrides", "workers"),
    [
        ("tiny", "spectral", MACHINE, "0"),
        ("tiny", "spectral", MACHINE, "2"),
        ("efficientnet-lite0", "spectral", (*MACHINE, "encoder.size=32"), "0"),
        ("tiny", "essential", QUICK, "0"),
    ],
)
def test_predict_loads_what_it_needs_alone(
    encoder: str, method: str, overrides: tuple[str, ...], workers: str, tmp_path: Path, needed: set[str]
) -> None:
    clips = {
        name: [write_numbered_video(tmp_path / name / f"{frames}.mp4", frames) for frames in counts]
        for name, counts in (("up", range(8, 13)), ("down", range(13, 18)))
    }
    learner = VideoLearner(encoder=encoder, method=method, overrides=overrides)
    learner.learn(clips)
    learner.save(tmp_path / "a.bundle")
    command = ("predict", str(tmp_path / "a.bundle"), str(clips["up"][0]), "-s", f"features.workers={workers}")
    loaded = _loaded(_ASKED, *command)
    assert {"torch", "av", "numpy"} <= loaded
    # Each of these takes longer to load than a short clip to decode and encode.
    assert not loaded & {"torch._dynamo", "sympy", "sklearn", "scipy", "timm", "torchvision", "matplotlib", "rich"}
    # A name that is new here costs every start: load it where it is used.
    assert {name for name in loaded - needed if not name.startswith(("torch.", "_"))} <= {"shellingham"}


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "none.bundle", "clip.mp4"),
        ("predict", "none.bundle", "clip.mp4", "--stride", "2"),
        ("predict", "none.bundle", "clip.mp4", "--sheet", "image.txt"),
        ("predict", "none.bundle", "--camera", "0"),
        ("predict", "none.bundle", "--camera", "0", "--shortest", "0"),
        ("test", "none.bundle", "clips"),
        ("learn", "--into", "new.bundle", "--spans", "none.csv"),
    ],
)
def test_what_cannot_be_is_refused_before_torch_is_loaded(command: tuple[str, ...]) -> None:
    assert "torch" not in _loaded(_REFUSED, *command)


def test_threads_that_wait_sleep_beside_decoders(essential: Essential, monkeypatch: pytest.MonkeyPatch) -> None:
    for command, given, expected in (
        ("predict", None, "passive"),
        ("predict", "active", "active"),
        ("train", None, None),
    ):
        monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
        if given is None:
            monkeypatch.delenv("OMP_WAIT_POLICY")
        assert essential(command, "--help").code == 0
        assert os.environ.get("OMP_WAIT_POLICY") == expected
