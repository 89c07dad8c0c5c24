"""A child process that answers, raises, hangs, dies, runs out of memory, sends garbage, or loses its parent."""

import inspect
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from essential.child_process import ChildDied, ChildProcess, Say, StartMethod
from essential.errors import DataError

SECONDS = 300.0


def begin(work: Callable[[Any], object], _: Say) -> tuple[int, Callable[[Any], object]]:
    return os.getpid(), work


@contextmanager
def child(work: Callable[[Any], object], start_method: StartMethod = "fork") -> Iterator[ChildProcess]:
    """Give a child that is ready."""
    process = ChildProcess(partial(begin, work), start_method)
    process.start()
    try:
        assert received(process)[0] == "ready"
        yield process
    finally:
        process.end()
        assert not multiprocessing.active_children()


def received(process: ChildProcess) -> tuple[str, Any]:
    message = process.receive(SECONDS)
    assert message is not None
    return message


def outcome(process: ChildProcess, request: object) -> Any:
    """Return the result of a request, before which comes the word that it began."""
    process.send(request)
    kind, moment = received(process)
    assert kind == "begun"
    assert moment <= time.monotonic()
    kind, result = received(process)
    assert kind == "done"
    return result


@pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
def test_requests_are_done_in_their_order(start_method: StartMethod) -> None:
    with child(abs, start_method) as process:
        for number in range(3):
            process.send(-number)
        said = [received(process) for _ in range(6)]
        assert [kind for kind, _ in said] == ["begun", "done"] * 3
        assert [content for kind, content in said if kind == "done"] == [0, 1, 2]
        assert process.receive(0) is None


def test_requests_are_prepared_before_those_that_wait_are_begun(tmp_path: Path) -> None:
    prepared: list[int] = []

    def work(_: int) -> list[int]:
        while not (tmp_path / "sent").exists():
            time.sleep(0.001)
        return [*prepared]

    process = ChildProcess(partial(begin, work), "fork", prepared.append)
    process.start()
    try:
        for number in range(3):
            process.send(number)
        (tmp_path / "sent").touch()
        said = [received(process) for _ in range(7)]
        assert [content for kind, content in said if kind == "done"][1:] == [[0, 1, 2]] * 2
    finally:
        process.end()


def test_what_the_preparation_raises_is_raised() -> None:
    def prepare(number: int) -> None:
        raise ValueError(f"{number} cannot be prepared")

    process = ChildProcess(partial(begin, abs), "fork", prepare)
    process.start()
    try:
        process.send(3)
        with pytest.raises(ValueError, match="3 cannot be prepared"):
            [received(process) for _ in range(3)]
    finally:
        process.end()


def test_progress_comes_before_the_result() -> None:
    def counting(say: Say) -> tuple[None, Callable[[Any], object]]:
        say("loading")
        return None, lambda steps: [say(step) for step in range(steps)]

    process = ChildProcess(counting, "fork")
    process.start()
    process.send(2)
    kinds = [received(process) for _ in range(6)]
    assert kinds[:2] == [("progress", "loading"), ("ready", None)]
    assert kinds[2][0] == "begun"
    assert kinds[3:] == [("progress", 0), ("progress", 1), ("done", [None, None])]
    process.end()


def test_what_is_raised_comes_with_its_traceback_and_fields_and_costs_nothing_else() -> None:
    def fail_at_zero(number: int) -> float:
        if number == 0:
            raise DataError("no number", where="here", remedy="give one")
        return number

    with child(fail_at_zero) as process:
        with pytest.raises(DataError, match="here: no number; give one") as caught:
            outcome(process, 0)
        assert (caught.value.where, caught.value.remedy) == ("here", "give one")
        assert "in fail_at_zero" in str(caught.value.__cause__)
        assert outcome(process, 2) == 2


class NeedsTwo(Exception):
    """Can be pickled, and cannot be read again."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


def test_what_cannot_be_sent_is_an_error_in_words() -> None:
    class Local(Exception):
        """Cannot be pickled: no module has its name."""

    def awkward(number: int) -> object:
        if number == 0:
            raise Local("zero")
        if number == 1:
            raise NeedsTwo("a", "b")
        return (each for each in [number])

    with child(awkward) as process:
        for number, words in ((0, r"Local\('zero'\)"), (1, r"NeedsTwo\('a: b'\)")):
            with pytest.raises(RuntimeError, match=words):
                outcome(process, number)
        with pytest.raises(TypeError, match="cannot pickle"):
            outcome(process, 2)


def test_what_fails_before_it_is_ready_says_why() -> None:
    def never(_: Say) -> tuple[None, Callable[[Any], object]]:
        raise DataError("no bundle")

    process = ChildProcess(never, "fork")
    process.start()
    with pytest.raises(DataError, match="no bundle"):
        process.receive(SECONDS)
    process.end()


@pytest.mark.parametrize(
    ("end", "how"),
    [(lambda: os.kill(os.getpid(), signal.SIGKILL), r"died \(signal 9\)"), (lambda: os._exit(3), r"exit code 3")],
)
def test_one_that_dies_says_how_and_is_replaced(end: Callable[[], None], how: str) -> None:
    with child(lambda number: end() if number == 0 else number) as process:
        with pytest.raises(ChildDied, match=how):
            outcome(process, 0)
        process.send(1)
        process.start()
        assert received(process)[0] == "ready"
        assert outcome(process, 2) == 2


def test_one_that_hangs_is_replaced_at_once() -> None:
    with child(lambda number: time.sleep(600) if number == 0 else number) as process:
        process.send(0)
        assert received(process)[0] == "begun"
        assert process.receive(0.05) is None
        process.start()
        first = received(process)
        assert first[0] == "ready"
        assert len(multiprocessing.active_children()) == 1
        assert outcome(process, 2) == 2


@pytest.mark.skipif(sys.platform == "darwin", reason="this system does not limit addresses")
def test_one_that_runs_out_of_memory_says_so_and_goes_on() -> None:
    def allocate(size: int) -> int:
        resource.setrlimit(resource.RLIMIT_AS, (8 * 1024**4, resource.RLIM_INFINITY))
        return len(bytes(size))

    with child(allocate) as process:
        with pytest.raises(MemoryError):
            outcome(process, 16 * 1024**4)
        assert outcome(process, 5) == 5


@pytest.mark.parametrize("content", [b"\0\0\0\5hello", b"\0\0\0\5", b"\0\0\0\6\x80\4K\7.."])
def test_garbage_and_half_a_message_are_a_death(content: bytes) -> None:
    def sending_garbage(say: Say) -> tuple[None, Callable[[Any], object]]:
        connection = inspect.getclosurevars(say).nonlocals["connection"]

        def work(_: object) -> None:
            os.write(connection.fileno(), content)
            os._exit(0)

        return None, work

    process = ChildProcess(sending_garbage, "fork")
    process.start()
    assert received(process)[0] == "ready"
    process.send(1)
    assert received(process)[0] == "begun"
    with pytest.raises(ChildDied, match=r"sent a damaged message|ended \(exit code 0\)"):
        process.receive(SECONDS)
    process.end()


def test_one_that_is_ended_is_not_started_again_and_who_waits_hears_of_it() -> None:
    with child(time.sleep) as process:
        process.send(600)
        assert received(process)[0] == "begun"
        threading.Timer(0.05, process.end).start()
        with pytest.raises(ChildDied, match="signal 9"):
            process.receive(SECONDS)
        process.start()
        assert process.is_ended
        assert not multiprocessing.active_children()


def test_an_interruption_is_left_to_the_parent() -> None:
    def interrupt(number: int) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return number

    with child(interrupt) as process:
        assert outcome(process, 1) == 1


PARENT = """
import sys, time
from test_child_process import received, begin
from essential.child_process import ChildProcess
from functools import partial
if __name__ == "__main__":
    children = [ChildProcess(partial(begin, time.sleep), sys.argv[1]) for _ in range(2)]
    for child in children:
        child.start()
        child.send(600)
        print(received(child)[1], flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no /proc")
@pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
def test_it_ends_with_its_parent_also_while_it_hangs(start_method: StartMethod, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    # The script imports this file.
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    started = [sys.executable, script, start_method]
    with subprocess.Popen(started, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        children = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
    end = time.monotonic() + SECONDS
    while any(_is_alive(number) for number in children):
        assert time.monotonic() < end
        time.sleep(0.02)


def _is_alive(number: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{number}/status").read_text()
    except OSError:
        return False
