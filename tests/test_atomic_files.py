import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from essential import atomic_files
from essential.atomic_files import folder_lock, sha256_of_json, write_bytes, write_json
from essential.errors import FileSystemError, RunError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_bytes(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_files.os, "fsync", full)
    with pytest.raises(FileSystemError, match=r"cannot write .*/f: the disk is full"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["f"]


def test_a_read_only_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(atomic_files.tempfile, "mkstemp", read_only)
    with pytest.raises(FileSystemError, match="read-only; choose another folder"):
        write_bytes(tmp_path / "f", b"")


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    write_bytes(tmp_path / "f", b"")
    with pytest.raises(FileSystemError, match=r"cannot write .*/f/g: .*choose another folder"):
        write_bytes(tmp_path / "f" / "g" / "h", b"")


def test_json_is_readable_and_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "j", {"b": [1], "a": "é"})
    assert (tmp_path / "j").read_text() == '{\n  "b": [\n    1\n  ],\n  "a": "é"\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "j", float("nan"))
    assert json.loads((tmp_path / "j").read_text())["b"] == [1]


def test_the_hash_of_json_ignores_key_order() -> None:
    assert sha256_of_json({"a": 1, "b": 2}) == sha256_of_json({"b": 2, "a": 1})
    assert sha256_of_json({"a": 1}) != sha256_of_json({"a": 2})


_HOLD = """
import sys, time
from pathlib import Path
from essential.atomic_files import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"in use by process {holder.pid}"), folder_lock(tmp_path):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with folder_lock(tmp_path):
        pass


_HOLD_AND_FORK = """
import os, sys, time
from pathlib import Path
from essential.atomic_files import drop_inherited_locks, folder_lock
with folder_lock(Path(sys.argv[1])):
    if os.fork() == 0:
        drop_inherited_locks()
        print("forked", flush=True)
    time.sleep(60)
"""


def test_a_worker_that_outlives_a_killed_process_does_not_keep_its_lock(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", _HOLD_AND_FORK, tmp_path]
    holder = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "forked\n"
        holder.kill()
        holder.wait()
        with folder_lock(tmp_path):
            pass
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.communicate()
