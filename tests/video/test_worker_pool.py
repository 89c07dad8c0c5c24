"""Processes that die, hang, fail and never begin: each costs its own task, and the others go on."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from essential import child_process
from essential.errors import DataError
from essential.video import worker_pool
from essential.video.worker_pool import Lost, in_flight, map_files, run_tasks
from seen_progress import SeenProgress

NEVER_SECONDS = 600.0


def done(folder: Path) -> list[int]:
    """Return the numbers of the tasks that were worked on, once for each time."""
    return sorted(int(path.name.partition("-")[0]) for path in folder.iterdir())


def square(folder: Path, number: int) -> int:
    (folder / f"{number}-{time.monotonic_ns()}").touch()
    return number * number


def deadly(folder: Path, number: int, *, times: int) -> int:
    """Kill the process at task 4, the first `times` times."""
    result = square(folder, number)
    if number == 4 and done(folder).count(4) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return result


def run(work: object, tasks: int, *, workers: int = 2, seconds_limit: float = NEVER_SECONDS) -> list[object]:
    running = run_tasks(work, iter(range(tasks)), workers=workers, start="fork", seconds_limit=seconds_limit)  # type: ignore[arg-type]
    results = dict(running)
    assert not multiprocessing.active_children()
    return [results[place] for place in range(tasks)]


@pytest.mark.parametrize("workers", [1, 3])
def test_every_task_is_done_once(tmp_path: Path, workers: int) -> None:
    assert run(partial(square, tmp_path), 20, workers=workers) == [number**2 for number in range(20)]
    assert done(tmp_path) == list(range(20))


@pytest.mark.parametrize("each", [2, 5])
def test_no_more_than_agreed_are_under_way(tmp_path: Path, each: int) -> None:
    drawn = taken = 0
    ahead = []

    def tasks() -> Iterator[int]:
        nonlocal drawn
        for number in range(20):
            drawn += 1
            ahead.append(drawn - taken)
            yield number

    running = run_tasks(
        partial(square, tmp_path), tasks(), workers=2, start="fork", seconds_limit=NEVER_SECONDS, each=each
    )
    for place, result in running:
        assert result == place**2
        # The one yielded last counts: it was drawn, and is not taken back before the next is asked for.
        time.sleep(0.005)
        taken += 1
    assert taken == 20
    assert max(ahead) == in_flight(2, each=each)


def test_a_task_whose_process_was_killed_is_done_by_the_next(tmp_path: Path) -> None:
    assert run(partial(deadly, tmp_path, times=1), 12) == [number**2 for number in range(12)]
    assert done(tmp_path) == sorted([*range(12), 4])


def test_what_killed_processes_leave_is_removed_while_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = []
    monkeypatch.setattr(worker_pool, "remove_leftovers", lambda: removed.append(True))
    work = partial(deadly, tmp_path, times=2)
    running = run_tasks(work, range(12), workers=2, start="fork", seconds_limit=NEVER_SECONDS)
    results = [(result, len(removed)) for _, result in running]
    assert [before for result, before in results if isinstance(result, Lost)] == [2]
    assert len(removed) == 3, "and once at the end"


def test_a_task_that_kills_twice_is_given_up_alone(tmp_path: Path) -> None:
    results = run(partial(deadly, tmp_path, times=9), 12)
    reason = "the process that read it died (signal 9), and so did a second one"
    assert results == [Lost(reason) if number == 4 else number**2 for number in range(12)]
    assert done(tmp_path) == sorted([*range(12), 4])


def test_a_process_that_ends_says_how() -> None:
    results = run(lambda number: os._exit(3) if number == 1 else number, 3, workers=1)
    assert results == [0, Lost("the process that read it ended (exit code 3), and so did a second one"), 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_hangs_is_given_up_at_once_and_those_behind_it_are_done(tmp_path: Path, workers: int) -> None:
    def hang(number: int) -> int:
        result = square(tmp_path, number)
        if number == 2:
            time.sleep(NEVER_SECONDS)
        return result

    results = run(hang, 8, workers=workers, seconds_limit=3.0)
    reason = "reading it took longer than 3 seconds (features.video_seconds_limit)"
    assert results == [Lost(reason) if number == 2 else number**2 for number in range(8)]
    assert done(tmp_path) == list(range(8))


def test_one_long_task_does_not_hold_up_the_others(tmp_path: Path) -> None:
    def wait_for_six(number: int) -> int:
        square(tmp_path, number)
        while number == 0 and 6 not in done(tmp_path):
            time.sleep(0.01)
        return number

    # Stalled, it would wait for ever, and be given up.
    assert run(wait_for_six, 12, seconds_limit=30.0) == list(range(12))


def test_time_in_which_nobody_listens_does_not_count(tmp_path: Path) -> None:
    running = run_tasks(partial(square, tmp_path), range(6), workers=1, start="fork", seconds_limit=2.0)
    for place, result in running:
        assert result == place**2
        time.sleep(2.5 if place == 0 else 0)


def test_an_error_of_the_work_comes_through_with_its_place() -> None:
    def fail(number: int) -> int:
        raise KeyError(f"a bug at {number}")

    with pytest.raises(KeyError, match="a bug at 0") as caught:
        run(fail, 3, workers=1)
    assert "in fail" in str(caught.value.__cause__)
    assert not multiprocessing.active_children()


def test_an_error_that_cannot_be_sent_is_told_in_words() -> None:
    class Local(Exception):
        """Not picklable: its class has no name in a module."""

    def fail(number: int) -> int:
        raise Local(f"number {number}")

    with pytest.raises(RuntimeError, match=r"Local\('number 0'\)"):
        run(fail, 3, workers=1)


def test_a_process_that_never_begins_ends_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "_run", lambda *_: os._exit(7))
    with pytest.raises(DataError, match=r"ended \(exit code 7\) before it could begin"):
        run(abs, 3)
    assert not multiprocessing.active_children()


def name_length(file: str) -> int:
    if file == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return len(file)


def test_files_in_spawned_processes() -> None:
    seen = SeenProgress()
    results = map_files(name_length, ["a", "deadly", "abc"], workers=1, seconds_limit=60.0, progress=seen)
    assert results.keys() == {"a", "deadly", "abc"}
    assert (results["a"], results["abc"]) == (1, 3)
    assert isinstance(results["deadly"], Lost)
    assert seen.steps == [(1, 3), (2, 3), (3, 3)]
    assert map_files(name_length, [], workers=1, seconds_limit=60.0) == {}


def test_what_is_done_is_given_while_the_next_task_is_not_there_yet(tmp_path: Path) -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(6):
            # Whoever sends the tasks waits for the result of the third before it sends the fourth.
            assert number < 3 or 2 in taken, "a task was drawn that was not there"
            yield number

    running = run_tasks(
        partial(square, tmp_path),
        tasks(),
        workers=2,
        start="fork",
        seconds_limit=NEVER_SECONDS,
        is_next_known=lambda: len(taken) >= 3 or len(done(tmp_path)) == 0,
    )
    for place, result in running:
        assert result == place**2
        taken.append(place)
    assert taken == list(range(6))


def test_a_task_that_is_lost_before_it_is_begun_is_its_own_result(tmp_path: Path) -> None:
    tasks: list[int | Lost] = [Lost("no number"), 1, Lost("none either"), 3]
    running = run_tasks(partial(square, tmp_path), tasks, workers=2, start="fork", seconds_limit=NEVER_SECONDS)
    assert list(running) == [(0, tasks[0]), (1, 1), (2, tasks[2]), (3, 9)]
    assert done(tmp_path) == [1, 3]
    nothing = run_tasks(abs, [Lost("no number")] * 9, workers=2, start="fork", seconds_limit=NEVER_SECONDS)
    assert [place for place, _ in nothing] == list(range(9))


def test_no_more_processes_begin_than_there_are_tasks(tmp_path: Path) -> None:
    running = run_tasks(partial(square, tmp_path), [5], workers=4, start="fork", seconds_limit=NEVER_SECONDS)
    assert next(running) == (0, 25)
    assert len(multiprocessing.active_children()) == 1
    running.close()


def test_a_process_may_begin_while_a_thread_waits_for_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with open(read) as waits, open(write, "w") as sends:  # noqa: PTH123
        monkeypatch.setattr("sys.stdin", waits)
        reader = threading.Thread(target=waits.readline)
        reader.start()
        time.sleep(0.1)
        # One that closes what the thread has locked would never be ready.
        assert run(abs, 2, seconds_limit=60.0) == [0, 1]
        assert reader.is_alive()
        sends.write("at last\n")
        sends.flush()
        reader.join()


def test_a_process_that_may_have_no_children_does_the_work_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of a `multiprocessing.Pool`."""
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    tasks = [2, Lost("no number"), 3]
    running = run_tasks(partial(square, tmp_path), tasks, workers=2, start="fork", seconds_limit=NEVER_SECONDS)
    assert next(running) == (0, 4)
    assert not multiprocessing.active_children()
    assert list(running) == [(1, Lost("no number")), (2, 9)]


@pytest.mark.parametrize("start", ["spawn", "forkserver"])
def test_a_script_without_a_guard_is_told_of_it(start: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from essential.video.worker_pool import run_tasks\n"
        f"print(list(run_tasks(abs, [-1], workers=1, start={start!r}, seconds_limit=60)))\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    last = run.stderr.splitlines()[-1]
    assert last.startswith("essential.errors.DataError: a process that reads videos ended")
    assert 'below the line `if __name__ == "__main__":`' in last


def test_a_program_that_is_no_file_is_told_how_to_begin() -> None:
    program = "from essential.video.worker_pool import run_tasks\nprint(list(run_tasks({})))\n"
    outcomes = {}
    for start in ("fork", "spawn"):
        arguments = f"abs, [-1], workers=1, start={start!r}, seconds_limit=60"
        run = subprocess.run(
            [sys.executable], input=program.format(arguments), capture_output=True, text=True, check=False
        )
        outcomes[start] = (run.stdout, run.stderr)
    assert outcomes["fork"][0] == "[(0, 1)]\n"
    assert "put that into a file" in outcomes["spawn"][1]
