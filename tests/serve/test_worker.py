"""A worker's requests that need too much memory or time, fail, or end their process: what a client is told."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest

from essential.child_process import Say
from essential.errors import BundleError
from essential.serve import worker as module
from essential.serve.messages import Knowledge, Limits, Refusal, Setup, Step
from essential.serve.service import _restarted
from essential.serve.worker import ServiceError, Worker

KNOWN = Knowledge(encoder="tiny")


class Answers:
    """Stands for `Answering`, without a learner."""

    def __init__(self, say: Say, folder: Path) -> None:
        self._say, self._folder = say, folder

    def double(self, number: int) -> int:
        self._say(Step("double", 0, 1, ""))
        return 2 * number

    def refuse(self) -> None:
        raise Refusal(409, "nothing_taught", "teach a class")

    def exhaust(self) -> None:
        raise MemoryError

    def fail(self) -> None:
        raise ZeroDivisionError

    def die_once(self) -> str:
        if not (self._folder / "died").exists():
            (self._folder / "died").touch()
            os._exit(4)
        return "done"

    def die(self) -> None:
        os._exit(4)

    def sleep(self) -> None:
        self._say(Step("sleep", 1, 2, ""))
        time.sleep(600)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Worker]:
    """A worker that has not started."""

    def begin(setup: Setup, say: Say) -> tuple[Knowledge, Callable[[Any], object]]:
        if (tmp_path / "broken").exists():
            raise ZeroDivisionError("a fault")
        if setup.begin_with is not None:
            setup.bundle.touch()
        if not setup.bundle.exists():
            raise BundleError(f"there is no bundle {setup.bundle}", where=setup.bundle)
        say(Step("load", 0, 1, ""))
        answers = Answers(say, tmp_path)
        return KNOWN, lambda call: call(answers)

    monkeypatch.setattr(module, "_begin", begin)
    monkeypatch.setattr(module, "start_method", lambda _: "fork")
    (tmp_path / "a.bundle").touch()
    one = Worker(Setup(tmp_path / "a.bundle", (), None, Limits()))
    yield one
    one.close()


def _refusal(worker: Worker, name: str, *, seconds: float = 30) -> Refusal:
    with pytest.raises(Refusal) as caught:
        worker.ask(methodcaller(name), seconds_limit=seconds)
    return caught.value


def test_requests_are_answered_with_their_steps(worker: Worker) -> None:
    steps: list[Step] = []
    assert worker.start() == KNOWN
    assert worker.ask(methodcaller("double", 4), seconds_limit=30, progress=steps.append) == 8
    assert steps == [Step("double", 0, 1, "")]


@pytest.mark.parametrize(
    ("name", "status", "code", "message"),
    [
        ("refuse", 409, "nothing_taught", "teach a class"),
        ("exhaust", 422, "too_much_memory", "more memory is needed for it than a worker has; send smaller clips"),
        ("fail", 422, "worker_died", "the process that worked on it failed (ZeroDivisionError), and so did a second"),
        ("die", 422, "worker_died", "the process that worked on it ended (exit code 4), and so did a second one"),
    ],
)
def test_what_cannot_be_done_is_refused_and_the_next_is_answered(
    worker: Worker, name: str, status: int, code: str, message: str
) -> None:
    worker.start()
    refusal = _refusal(worker, name)
    assert (refusal.status, refusal.code) == (status, code)
    assert refusal.message.startswith(message)
    assert worker.ask(methodcaller("double", 4), seconds_limit=30) == 8


def test_a_request_whose_process_died_is_done_once_more(worker: Worker) -> None:
    worker.start()
    assert worker.ask(methodcaller("die_once"), seconds_limit=30) == "done"


def test_a_request_that_stands_still_is_given_up(worker: Worker) -> None:
    worker.start()
    refusal = _refusal(worker, "sleep", seconds=0.1)
    assert (refusal.status, refusal.code) == (504, "too_slow")
    assert refusal.message.startswith("sleep (1 of 2 done) took longer than 0.1 seconds")
    assert worker.ask(methodcaller("double", 4), seconds_limit=30) == 8


def test_a_bundle_that_is_gone_and_comes_back(worker: Worker, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    worker.start()
    (tmp_path / "a.bundle").unlink()
    with pytest.raises(ServiceError, match="there is no bundle"):
        worker.start()
    with pytest.raises(Refusal) as caught:
        asyncio.run(_restarted(worker))
    for refusal in (caught.value, _refusal(worker, "double")):
        assert (refusal.status, refusal.code) == (503, "not_ready")
        # A client does not learn where the bundle is; the log says it.
        assert str(tmp_path) not in refusal.message
    assert f"there is no bundle {tmp_path / 'a.bundle'}" in caplog.text
    (tmp_path / "a.bundle").touch()
    # The process that replaced it may have begun before that.
    with suppress(Refusal):
        worker.ask(methodcaller("double", 4), seconds_limit=30)
    assert worker.ask(methodcaller("double", 4), seconds_limit=30) == 8


@pytest.mark.usefixtures("worker")
def test_a_bundle_that_is_lost_is_not_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "new.bundle"
    new = Worker(Setup(path, (), "tiny", Limits()))
    try:
        new.start()
        path.unlink()
        with pytest.raises(ServiceError, match="there is no bundle"):
            new.start()
        # Its process has ended, and another takes its place.
        assert _refusal(new, "double").code == "not_ready"
        assert not path.exists()
    finally:
        new.close()


def test_one_that_never_begins_is_an_error_of_the_service(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("essential.child_process._run", lambda *_: os._exit(7))
    with pytest.raises(ServiceError, match=r"a worker process ended \(exit code 7\) before it was ready"):
        worker.start()
    assert _refusal(worker, "refuse").code == "worker_died"


def test_one_that_fails_as_it_begins_is_an_error_of_the_service_and_not_of_the_clip(
    worker: Worker, tmp_path: Path
) -> None:
    worker.start()
    (tmp_path / "broken").touch()
    with pytest.raises(ServiceError, match=r"failed before it was ready \(ZeroDivisionError: a fault\)"):
        worker.start()
    refusal = _refusal(worker, "refuse")
    assert (refusal.status, refusal.code) == (503, "not_ready")
    (tmp_path / "broken").unlink()
    _refusal(worker, "refuse")  # of the process that replaced it, which may have begun before that
    assert worker.ask(methodcaller("double", 4), seconds_limit=30) == 8


def test_after_its_end_it_refuses(worker: Worker) -> None:
    worker.start()
    worker.close()
    assert (_refusal(worker, "refuse").status, _refusal(worker, "refuse").code) == (503, "not_ready")
