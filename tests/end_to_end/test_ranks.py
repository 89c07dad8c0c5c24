"""Several ranks do what one process does: the same record and the same numbers, with one folder and one voice.

All runs are in float64, where sums in another order stay next to nothing (`in_float64.py`).
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from essential.contract.ranks_in_turns import in_turns
from essential.engine.run import train
from essential.engine.score import evaluate
from essential.errors import CheckpointError, EssentialError
from essential.files.sealed import read_sealed
from essential.progress import Progress
from essential.records import Record
from small_runs import IN_FLOAT64, StopAt, record_without_seconds, run_ranks, small_config, small_overrides

QUIET = Progress()
pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]

# A gradient is a sum of fewer than 512 numbers, here of size 1 at most, and is off by as many times 2^-53. AdamW
# divides by its epsilon, 1e-8, at least. The rates of all 112 steps, 1e-3 * 4 / 256 at most, add up to less than 2e-3.
_BOUND = 2e-3 * 512 * 2.0**-53 / 1e-8


def require_same_run(run: Path, other: Path) -> None:
    """Compare records, and every number that the two runs wrote.

    Scores are kept as float32, so one of two may be rounded to the next number.
    """
    assert record_without_seconds(run) == record_without_seconds(other)
    files = sorted(path.relative_to(run) for path in run.rglob("*.safetensors"))
    assert files == sorted(path.relative_to(other) for path in other.rglob("*.safetensors"))
    assert len(files) == 13
    for file in files:
        ours, theirs = (read_sealed(folder / file, CheckpointError)[0] for folder in (run, other))
        assert ours.keys() == theirs.keys()
        stored = 2.0**-23 if file.parent.name == "predictions" else 0.0
        for name, array in ours.items():
            np.testing.assert_allclose(array, theirs[name], rtol=stored, atol=_BOUND, err_msg=f"{file} {name}")


@pytest.fixture(scope="module")
def one_process(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of one process, which is new, as ranks are: nothing that other tests did is in it."""
    folder = tmp_path_factory.mktemp("one")
    settings = [part for each in small_overrides(small_data, folder / "features") for part in ("-s", each)]
    command = ["train", "--config", "moving-digits/essential", "--out", str(folder / "run"), *settings]
    subprocess.run([sys.executable, *IN_FLOAT64, *command], check=True, capture_output=True)
    return folder / "run"


def test_two_processes_extract_and_train_as_one_does(one_process: Path, small_data: Path, tmp_path: Path) -> None:
    settings = [part for each in small_overrides(small_data, tmp_path / "store") for part in ("-s", each)]
    ended = run_ranks("train", "--config", "moving-digits/essential", "--out", tmp_path / "run", *settings)
    assert ended.returncode == 0, ended.stderr
    require_same_run(tmp_path / "run", one_process)
    assert ended.stdout.count("record: ") == 1
    assert ended.stderr.count("task 1 of 4: task") == 1
    assert "extract features: 24 in" in ended.stderr, "rank 0 extracts half of the videos, and rank 1 the others"
    epochs = [json.loads(line)["event"] for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert epochs.count("epoch") == 4 * (6 + 4)


_RANK_THAT_STEPS = """
import os
import sys
from pathlib import Path

import torch

from essential.engine.ranks import open_process_group

def threads():
    return set(os.listdir("/proc/self/task"))

weight, before = torch.ones(8, requires_grad=True), threads()
with open_process_group() as group:
    weight.grad = group.all_reduce(torch.ones(8))
    torch.optim.AdamW([weight]).step()
    inside = threads()
Path(sys.argv[1], str(group.rank)).write_text(f"{inside > before} {threads() <= before}")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are listed in /proc")
def test_no_thread_of_a_group_outlives_it(tmp_path: Path) -> None:
    """One that did would abort the process now and then, when the interpreter ends before the thread."""
    (tmp_path / "rank.py").write_text(_RANK_THAT_STEPS)
    ended = run_ranks(tmp_path, program=[str(tmp_path / "rank.py")])
    assert ended.returncode == 0, ended.stderr
    assert [(tmp_path / str(rank)).read_text() for rank in range(2)] == ["True True"] * 2


@pytest.mark.parametrize(("ranks_before", "ranks_after"), [(1, 3), (2, 1)])
def test_a_run_goes_on_with_another_number_of_ranks(
    one_process: Path, small_data: Path, tmp_path: Path, ranks_before: int, ranks_after: int
) -> None:
    config, out = small_config("essential", small_data, one_process.with_name("features")), tmp_path / "run"
    stop = StopAt("task 2 of 4: rehearsal")
    with pytest.raises(StopAt.Stopped):
        in_turns(lambda group: train(config, out, resume=False, progress=stop, group=group), size=ranks_before)
    assert not (out / "record.json").exists()
    records = in_turns(lambda group: train(config, out, resume=True, progress=QUIET, group=group), size=ranks_after)
    require_same_run(out, one_process)
    assert records == [Record.read(out / "record.json")] * ranks_after
    again = in_turns(lambda group: train(config, out, resume=True, progress=QUIET, group=group), size=2)
    assert again == [records[0]] * 2, "what is complete is read, not repeated"


def test_ranks_score_checkpoints_together(one_process: Path, tmp_path: Path) -> None:
    shutil.copytree(one_process, tmp_path / "run")
    scored = in_turns(lambda group: evaluate(tmp_path / "run", progress=QUIET, group=group))
    assert scored == [Record.read(one_process / "record.json")] * 2


def test_rank_0_alone_refuses_a_folder_that_is_taken(one_process: Path) -> None:
    config = small_config("essential", Path("none"), Path("none"))
    with pytest.raises(EssentialError, match="holds"):
        in_turns(lambda group: train(config, one_process, resume=False, progress=QUIET, group=group))
