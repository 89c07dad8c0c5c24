"""`benchmarks/peers`: both sides run on the same arrays, and their runs are set beside each other."""

import ast
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import essential as es

PEERS = Path(__file__).parents[1] / "benchmarks" / "peers"
THEIR_PYTHON = PEERS / ".venv" / "bin" / "python"
METHODS = {"finetune", "replay", "ewc", "lwf", "icarl", "slda", "slda-temporal"}


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(4, 1, 16)) * 3
    y, yt = np.repeat(np.arange(4), 6), np.repeat(np.arange(4), 5)
    X, Xt = (centres[slots] + draw.normal(size=(len(slots), 3, 16)) for slots in (y, yt))
    path = tmp_path / "arrays.npz"
    np.savez(path, X=X.astype("float32"), y=y, Xt=Xt.astype("float32"), yt=yt, sizes=np.array([2, 2]))
    return path


@pytest.fixture
def table() -> ModuleType:
    specification = importlib.util.spec_from_file_location("table", PEERS / "table.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(program: str, *arguments: str | Path, python: str | Path = sys.executable) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [python, PEERS / program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_our_side_gives_what_a_run_on_the_arrays_gives(arrays: Path, tmp_path: Path) -> None:
    out = tmp_path / "ours.json"
    done = run("ours.py", arrays, "--out", out, "--seeds", "1", "2", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    written = json.loads(out.read_text())
    runs = {(each["method"], each["seed"]): each["accuracies"] for each in written["runs"]}
    assert set(runs) == {(method, seed) for method in METHODS for seed in (1, 2)}
    assert all(len(accuracies) == 2 for accuracies in runs.values())
    assert all(each["seconds"] > 0 for each in written["runs"])
    with np.load(arrays) as stream:
        test = (stream["Xt"], stream["yt"])
        tasks = es.tasks_from_arrays(stream["X"], stream["y"], sizes=stream["sizes"].tolist(), test=test)
    result = es.run(es.build_method("slda", dim=16, frames=3), tasks)
    assert runs["slda", 1] == list(result.accuracy_on_seen)


def test_arrays_that_are_not_there_are_told(tmp_path: Path) -> None:
    done = run("ours.py", tmp_path / "none.npz", "--out", tmp_path / "ours.json")
    assert done.returncode == 2
    assert f"{tmp_path / 'none.npz'} is not there: write it with arrays.py" in done.stderr


def test_the_table_joins_both_sides(table: ModuleType) -> None:
    ours = [made("lwf", 0.5, seconds=1.0), made("lwf", 0.7, seconds=3.0), made("mine", 1.0)]
    theirs = [made("lwf", 0.25), made("lwf", 0.5, change="own rows"), made("theirs", 0.0)]
    lwf, changed, other, own = table.joined(ours, theirs)
    assert (lwf["method"], lwf["change"]) == ("lwf", "")
    assert lwf["ours"]["accuracy"] == pytest.approx(0.6)
    assert lwf["ours"]["deviation"] == pytest.approx(0.02**0.5)
    assert lwf["ours"]["seconds"] == 2.0
    assert lwf["theirs"] == {"accuracy": 0.25, "deviation": None, "seconds": 1.0}
    assert lwf["ahead"] == pytest.approx(0.35)
    assert (changed["change"], changed["ours"]) == ("own rows", lwf["ours"])
    assert changed["ahead"] == pytest.approx(0.1)
    assert (other["method"], other["ours"], other["ahead"]) == ("theirs", None, None)
    assert (own["method"], own["theirs"], own["ahead"]) == ("mine", None, None)


def made(method: str, final: float, *, change: str = "", seconds: float = 1.0) -> dict[str, object]:
    return {"method": method, "change": change, "seed": 0, "accuracies": [1.0, final], "seconds": seconds}


def test_the_table_is_printed_and_written_and_refuses_sides_that_differ(tmp_path: Path) -> None:
    ours, theirs, out = (tmp_path / name for name in ("ours.json", "theirs.json", "peers.json"))
    runs = [made("lwf", 0.5)]
    ours.write_text(json.dumps({"side": "essential", "same": {"arrays": "a", "epochs": 60}, "runs": runs}))
    other = {"side": "Avalanche 0.6.0", "same": {"arrays": "a", "epochs": 30}, "runs": [made("lwf", 0.25)]}
    theirs.write_text(json.dumps(other))
    refused = run("table.py", ours, theirs, "--out", out)
    assert refused.returncode == 1
    assert refused.stderr.startswith("not the same on both sides: epochs;")
    assert not out.exists()
    theirs.write_text(json.dumps({**other, "same": {"arrays": "a", "epochs": 60}}))
    joined = run("table.py", ours, theirs, "--out", out)
    assert joined.returncode == 0, joined.stderr
    assert joined.stdout.splitlines()[-1].split() == ["lwf", "0.500", "0.250", "+0.250", "1.0", "1.0"]
    assert all(len(line) <= 80 for line in joined.stdout.splitlines())
    assert json.loads(out.read_text())["rows"][0]["ahead"] == 0.25


def test_the_arrays_are_those_of_a_run(tmp_path: Path) -> None:
    out = tmp_path / "made" / "arrays.npz"
    few = ("-s", "data.moving_digits.train_clips_per_class=2", "-s", "data.moving_digits.test_clips_per_class=1")
    done = run("arrays.py", "--out", out, *few, "-s", "features.views=0", "-s", f"data.root={tmp_path / 'data'}")
    assert done.returncode == 0, done.stderr
    with np.load(out) as arrays:
        assert arrays["X"].shape == (48, 8, 128)
        assert arrays["y"].tolist() == sorted(arrays["y"].tolist())
        assert np.bincount(arrays["yt"]).tolist() == [1] * 24
        assert arrays["sizes"].tolist() == [4] * 6


def test_what_their_side_takes_of_essential_is_there() -> None:
    imports = [node for node in ast.walk(ast.parse((PEERS / "theirs.py").read_text())) if type(node) is ast.ImportFrom]
    taken = {(node.module or "", each.name) for node in imports for each in node.names}
    of_essential = {(module, name) for module, name in taken if module.startswith("essential.")}
    assert ("essential.methods.trained", "build_classifier") in of_essential
    missing = {(module, name) for module, name in of_essential if not hasattr(importlib.import_module(module), name)}
    assert not missing


@pytest.mark.skipif(not THEIR_PYTHON.exists(), reason="Avalanche has no environment here: `make -C benchmarks/peers`")
def test_their_side_has_a_run_for_each_of_ours(arrays: Path, tmp_path: Path) -> None:
    out = tmp_path / "theirs.json"
    done = run("theirs.py", arrays, "--out", out, "--seeds", "0", "--epochs", "1", python=THEIR_PYTHON)
    assert done.returncode == 0, done.stderr
    written = json.loads(out.read_text())
    runs = {(each["method"], each["change"]): each["accuracies"] for each in written["runs"]}
    assert {method for method, change in runs if not change} == METHODS
    assert all(len(accuracies) == 2 for accuracies in runs.values())
    assert runs["slda", "both"] == [1.0, 1.0]
