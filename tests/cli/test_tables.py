"""The table of runs in the terminal: one row per figure, and none where no run has it."""

import re
from typing import Any

import pytest

from essential.cli.runs import print_runs
from essential.records import Record

MEMORY = {"episodic": 0, "semantic": 0, "retrieval_modules": 0, "total": 0}
KNOWN_BEFORE = {
    "final_accuracy": 0.5,
    "average_incremental_accuracy": 0.625,
    "forgetting_from_best": 0.25,
    "backward_forgetting": 0.125,
}


def _record(**metrics: float | None) -> Record:
    content: dict[str, Any] = {
        "protocol": {"name": "p", "id": "1", "tasks": [{"classes": ["a"], "train_videos": 1, "test_videos": 1}]},
        "method": {"name": "finetune", "config": {}},
        "encoder": {"name": "tiny", "fingerprint": "ab"},
        **{"seed": 0, "accuracy": [[0.5]], "memory_bytes": MEMORY, "exemplars": 0, "skipped_videos": []},
        "metrics": {**KNOWN_BEFORE, **metrics},
        "seconds": {"extract": 1.0, "train": 1.0, "evaluate": 1.0},
        **{"versions": {}, "data": {}, "config": {}, "ledger": [], "memory_bytes_by_task": [MEMORY]},
    }
    return Record.model_validate(content)


def _rows(runs: dict[str, Record], capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    print_runs(list(runs.items()))
    _, _, _, *lines = [re.split(" {2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    return {label: cells for label, *cells in lines}


def test_a_row_that_no_run_has_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    rows = _rows({"old": _record()}, capsys)
    assert list(rows)[:4] == [
        *("final accuracy", "average incremental accuracy", "forgetting from best", "backward forgetting")
    ]
    assert rows["seed"] == ["0"]
    assert not {"vclimb accuracy", "tcd forgetting", "videos skipped", "coverage of test videos"} & rows.keys()


def test_vclimb_s_figures_and_nearest_means_have_rows_where_a_run_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    newer = _record(average_incremental_accuracy_nme=0.375, vclimb_accuracy=0.4375, vclimb_bwf=-0.0625)
    rows = _rows({"old": _record(), "new": newer}, capsys)
    assert list(rows)[:7] == [
        *("final accuracy", "average incremental accuracy", "average incremental accuracy nme", "vclimb accuracy"),
        *("vclimb bwf", "forgetting from best", "backward forgetting"),
    ], "in their place, whichever run comes first"
    assert rows["average incremental accuracy nme"] == ["-", "0.375"]
    assert rows["vclimb accuracy"] == ["-", "0.438"]
    assert rows["vclimb bwf"] == ["-", "-0.062"]


def test_a_run_without_test_videos_says_why_it_has_no_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    print_runs([("mine", _record(final_accuracy=None)), ("other", _record())])
    [note] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note:")]
    assert note == "note: mine: no accuracy, as there is no test video of the classes learned (the data has none)"
    lost = _record(final_accuracy=None).model_dump() | {
        "skipped_videos": [{"video": "test/a.mp4", "split": "test", "reason": "cut"}]
    }
    assert str(Record.model_validate(lost).untested).endswith("(all 1 were skipped)")
