import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

import pytest

from essential.errors import FileSystemError, InUseError, RunError
from essential.files import atomic as atomic_files
from essential.files.atomic import (
    file_lock,
    folder_lock,
    is_unused,
    refuse_unwritable,
    sha256_of_json,
    write_bytes,
    write_json,
)


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
from essential.files.atomic import folder_lock
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
from essential.files.atomic import folder_lock
with folder_lock(Path(sys.argv[1])):
    if os.fork() == 0:
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


Lock = Callable[[Path], AbstractContextManager[None]]


def refused(number: int) -> Callable[..., None]:
    """Return a call to the system that is refused."""

    def call(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("next_one", [lambda path: write_bytes(path, b"new"), lambda path: file_lock(path).__enter__()])
def test_what_a_killed_writer_left_is_removed_by_the_next_and_what_is_being_written_is_not(
    tmp_path: Path, next_one: Callable[[Path], object]
) -> None:
    others = {tmp_path / ".f.tmp.d": b"", tmp_path / ".g.abcdefgh.tmp": b"", tmp_path / "f.abcdefgh.tmp": b""}
    for path in (tmp_path / ".f.abcdefgh.tmp", tmp_path / ".f.x.tmp", *others):
        path.write_bytes(b"left")
    with (tmp_path / ".f.written0.tmp").open("wb") as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        held = next_one(tmp_path / "f")
        assert {path for path in tmp_path.iterdir() if "lock" not in path.name and path.name != "f"} == {
            *others,
            tmp_path / ".f.written0.tmp",
        }
    del held


def test_a_temporary_file_that_another_takes_for_one_that_was_left_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its lock, a write of the same name in another process may remove it."""
    make, made = atomic_files.tempfile.mkstemp, []

    def removed_at_once(**settings: object) -> tuple[int, str]:
        handle, name = make(**settings)  # type: ignore[call-overload]
        made.append(name)
        if len(made) == 1:
            Path(name).unlink()
        return handle, name

    monkeypatch.setattr(atomic_files.tempfile, "mkstemp", removed_at_once)
    write_bytes(tmp_path / "f", b"new")
    assert len(made) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("lock", [file_lock, folder_lock])
@pytest.mark.parametrize("name", ["ftruncate", "pwrite"])
def test_a_full_disk_has_no_room_for_the_note_who_holds_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, lock: Lock
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(atomic_files.os, name, refused(errno.ENOSPC))
        with lock(tmp_path / "x"), pytest.raises(InUseError), lock(tmp_path / "x"):
            pass


@pytest.mark.parametrize("lock", [file_lock, folder_lock])
@pytest.mark.parametrize(
    ("number", "words"),
    [
        *(
            (number, "this disk has no locks, .*choose a folder on another disk")
            for number in (errno.ENOLCK, errno.ENOSYS)
        ),
        (errno.EOPNOTSUPP, "this disk has no locks"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_disk_without_locks_is_named_and_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str, lock: Lock
) -> None:
    for name in (".x.lock", "x/.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("999999")
    monkeypatch.setattr(atomic_files.fcntl, "lockf", refused(number))
    with pytest.raises(FileSystemError, match=f"cannot write .*lock: .*{words}"), lock(tmp_path / "x"):
        pass


@pytest.mark.parametrize("lock", [file_lock, folder_lock])
def test_a_lock_on_what_is_then_not_made_leaves_nothing(tmp_path: Path, lock: Lock) -> None:
    with suppress(RunError), lock(tmp_path / "deep" / "new"):
        assert [*tmp_path.rglob("*lock")]
        raise RunError("refused")
    assert not [*tmp_path.iterdir()]


def test_no_lock_stays_beside_what_is_there(tmp_path: Path) -> None:
    (tmp_path / ".f.lock").write_text("999999")  # as a killed process leaves it
    with file_lock(tmp_path / "f"), folder_lock(tmp_path / "d"):
        assert (tmp_path / ".f.lock").read_text() == (tmp_path / "d" / ".lock").read_text() == str(os.getpid())
        write_bytes(tmp_path / "f", b"")
        write_bytes(tmp_path / "d" / "f", b"")
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == [tmp_path / "d" / "f", tmp_path / "f"]


def test_the_lock_of_a_folder_that_took_the_place_of_one_held_is_left_alone(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "d"):
        (tmp_path / "d").rename(tmp_path / "old")
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / ".lock").write_text("of another process")
    assert (tmp_path / "d" / ".lock").exists()


_COUNT = """
import sys
from pathlib import Path
from essential.files.atomic import file_lock
from essential.errors import InUseError
count, left = Path(sys.argv[1]), 100
sys.stdin.read()
while left:
    try:
        with file_lock(count):
            before = int(count.read_text())
            count.write_text("")
            count.write_text(str(before + 1))
            left -= 1
    except InUseError:
        pass
"""


def test_no_two_processes_hold_a_lock_whose_file_each_takes_away(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    counting = [subprocess.Popen([sys.executable, "-c", _COUNT, count], stdin=subprocess.PIPE) for _ in range(3)]
    for process in counting:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait() for process in counting] == [0, 0, 0]
    assert count.read_text() == "300"
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


def test_a_lock_keeps_the_threads_of_a_process_apart_and_one_can_wait_for_another(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    waited: list[bool] = []

    def wait() -> None:
        with folder_lock(tmp_path, wait=True):
            waited.append(True)

    with folder_lock(tmp_path):
        with pytest.raises(InUseError, match=f"in use by process {os.getpid()}; wait for it"), folder_lock(tmp_path):
            pass
        other = threading.Thread(target=wait)
        other.start()
        assert not waited
    other.join()
    assert waited


def test_a_lock_does_not_follow_a_link_to_a_file_of_others(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / ".f.lock").symlink_to(tmp_path / "mine")
    with pytest.raises(FileSystemError), file_lock(tmp_path / "f"):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("names", "unused"),
    [
        ((), True),
        ((".lock", ".plan-lock", ".lock-0-of-2", ".store.json.x.tmp"), True),
        ((".git",), False),
        (("a",), False),
    ],
)
def test_a_folder_with_nothing_but_what_a_killed_process_left_is_unused(
    tmp_path: Path, names: tuple[str, ...], unused: bool
) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert is_unused(tmp_path) is unused
    assert is_unused(tmp_path / "missing")


@pytest.mark.parametrize(
    "use",
    [
        lambda path: ExitStack().enter_context(file_lock(path)),
        lambda path: ExitStack().enter_context(folder_lock(path)),
        is_unused,
        refuse_unwritable,
    ],
)
def test_a_name_that_is_too_long_is_said_to_be_so(tmp_path: Path, use: Callable[[Path], object]) -> None:
    with pytest.raises(FileSystemError, match="this name is too long; choose a shorter one"):
        use(tmp_path / ("a" * 300) / "x")


def test_a_lock_that_can_never_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> int:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr("os.open", never)
    with (
        pytest.raises(FileSystemError, match=r"\.a\.bundle\.lock: there is no such folder"),
        file_lock(tmp_path / "a.bundle"),
    ):
        pass


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.bundle").mkdir()
    with pytest.raises(FileSystemError, match=r"cannot write .*a\.bundle: it is a folder; give the name of a file"):
        write_bytes(tmp_path / "a.bundle", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.bundle"]
