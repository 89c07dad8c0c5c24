"""A sample of the fault sweep; all of it: scripts/sweep_faults.py."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from essential.files import atomic as atomic_files
from faults.commands import COMMANDS
from faults.sweep import sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
_BY_NAME = {command.name: command for command in COMMANDS}


@pytest.mark.parametrize(
    ("name", "kinds", "every"),
    [
        ("forget", ("kill", "EDQUOT"), 3),
        ("features import", ("kill", "ENOSPC"), 15),
        ("features merge", ("kill", "EIO"), 11),
        ("site, new", ("kill",), 23),
    ],
)
def test_a_command_that_a_fault_broke_off_is_repeated_and_leaves_nothing(
    tmp_path: Path, name: str, kinds: tuple[str, ...], every: int
) -> None:
    faults = list(sweep(_BY_NAME[name], tmp_path / "sweep", kinds=kinds, part=slice(None, None, every)))
    assert len(faults) >= 4 * len(kinds)
    assert [fault for fault in faults if fault.wrong] == []


def test_the_sweep_sees_what_is_left_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_files, "remove_unfinished", lambda *_, **__: None)
    faults = list(sweep(_BY_NAME["forget"], tmp_path / "sweep", kinds=("kill",), part=slice(7, None)))
    wrong = {fault.call: fault.wrong for fault in faults if fault.wrong}
    assert "fsync" in wrong
    assert all(line.startswith("left over: .a.bundle.") for lines in wrong.values() for line in lines)


def test_the_sweep_sees_a_refused_repetition_and_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("essential.features.store.is_unused", lambda folder: not folder.exists())
    monkeypatch.setattr(atomic_files, "explained_os_errors", lambda _: nullcontext())
    faults = sweep(_BY_NAME["features import"], tmp_path / "sweep", kinds=("kill", "EIO"), part=slice(3, 7))
    wrong = [(fault.kind, line) for fault in faults for line in fault.wrong]
    assert any(
        kind == "kill" and "it ended with 2: error: deep/store holds other files" in line for kind, line in wrong
    )
    assert any(kind == "EIO" and "Traceback" in line for kind, line in wrong)
