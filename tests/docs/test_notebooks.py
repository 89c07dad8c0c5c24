"""Every notebook of the examples runs from top to bottom, in a process of its own, and is kept without outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from documents import ROOT
from threads import THREADS

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def test_there_is_a_notebook() -> None:
    assert [path.name for path in NOTEBOOKS] == ["scripts.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    program = "\n\n".join("".join(cell["source"]) for cell in code)
    # What a notebook would show of its last value.
    program += "\n\nassert 0 < final['finetune'] < final['icarl'] <= 1, final"
    program += "\nassert '<table>' in result._repr_html_()"
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    assert list(tmp_path.iterdir()) == []
