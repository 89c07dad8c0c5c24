"""Files of a run that a stranger sent, or a disk damaged: one error that names the file, whatever is in them."""

from pathlib import Path

import numpy as np
import pytest

from essential.engine.run_folder import RunFolder
from essential.errors import CheckpointError, RunError
from essential.files.sealed import write_sealed

DEEP = "[" * 3000 + "]" * 3000
ORIGIN = '{"features": {"name": "tiny", "fingerprint": "ab", "dim": %s}}'
PLACE = {"task": 0, "stage": 0, "epoch": 0, "log_bytes": 0, "seconds": {}, "memory_bytes_by_task": [], "skipped": {}}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Return the folder of a run that has begun."""
    (tmp_path / "state.safetensors").write_bytes(b"x")
    return RunFolder(tmp_path)


@pytest.mark.parametrize("text", ["a: " + DEEP, "seed: " + "9" * 5000, "a: &a [*a]", "data: [", "", "é" * 70_000])
def test_the_config(run: RunFolder, text: str) -> None:
    (run.path / "config.yaml").write_text(text)
    with pytest.raises(RunError, match=r"config\.yaml cannot be read"):
        run.config()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("data: {kind: folder}\nmethod: {name: mine}", "the method 'mine'"),
        ("data: {kind: films}\nmethod: {name: icarl}", "the kind of data 'films'"),
    ],
)
def test_a_plugin_that_is_not_installed(run: RunFolder, text: str, what: str) -> None:
    (run.path / "config.yaml").write_text(text)
    with pytest.raises(RunError) as caught:
        run.config()
    assert str(caught.value) == f"{run.path / 'config.yaml'}: {what} is not installed; install its package"


@pytest.mark.parametrize("text", [DEEP, "9" * 5000, "[]", '{"tasks": 1}', '{"tasks": [{"classes": 1}]}', "NaN"])
def test_the_protocol(run: RunFolder, text: str) -> None:
    (run.path / "protocol.json").write_text(text)
    with pytest.raises(RunError, match=r"protocol\.json is damaged"):
        run.protocol(run.path)


@pytest.mark.parametrize("text", [DEEP, "[]", *(ORIGIN % dim for dim in ("true", "-1", "1.5", '"8"', "1" + "0" * 30))])
def test_what_made_the_features(run: RunFolder, text: str) -> None:
    (run.path / "protocol.json").write_text(text)
    with pytest.raises(RunError, match=r"protocol\.json is damaged"):
        run.origin()


def test_what_made_the_features_of_a_run_that_is_well(run: RunFolder) -> None:
    (run.path / "protocol.json").write_text(ORIGIN % "8")
    origin = run.origin()
    assert origin is not None
    assert (origin.name, origin.fingerprint, origin.dim) == ("tiny", "ab", 8)


@pytest.mark.parametrize("change", [{"task": "0"}, {"epoch": -1}, {"stage": True}, {"log_bytes": 0.5}, {"more": 1}])
def test_the_state(run: RunFolder, change: dict[str, object]) -> None:
    note = {**PLACE, "optimizer": False, "settled": {}}
    write_sealed(run.path / "state.safetensors", {}, note)
    assert run.state() is not None
    write_sealed(run.path / "state.safetensors", {}, {**note, **change})
    with pytest.raises(CheckpointError, match="is not the state of a run of this version"):
        run.state()


@pytest.mark.parametrize("note", [{}, [], {"videos": 1}, None])
def test_predictions(run: RunFolder, note: object) -> None:
    arrays = {name: np.zeros((0, 2)) for name in ("scores", "slots", "tasks")}
    write_sealed(run.path / "predictions/task-00.safetensors", arrays, note)
    with pytest.raises(CheckpointError, match="holds no predictions"):
        run.read_predictions(0)
