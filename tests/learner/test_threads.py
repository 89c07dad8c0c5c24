"""A learner in others' programs: threads and forked processes, what it leaves as it was, and paths that arrive."""

import multiprocessing
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import torch

from essential import VideoLearner
from essential.encoders.base import Encoder
from essential.engine.turns import turn
from essential.errors import ConfigError
from essential.features import cores
from essential.features.cores import torch_threads
from essential.learner.threads import Arrivals
from essential.progress import Progress
from essential.video import windows
from essential.video.views import plain_view
from taught import Clips

_TWO_THREADS = ["training.device=cpu", "training.threads=2", "features.workers=0"]


def test_threads_get_the_answers_that_one_alone_gets(learner: VideoLearner, clips: Clips) -> None:
    asked = [path for paths in clips.to_ask("left", "right").values() for path in paths]
    alone = [answer.top for answer in learner.predict(asked)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: [answer.top for answer in learner.predict(asked)], range(4)))
    assert answers == [alone] * 4


def test_who_learns_is_waited_for(taught_bundle: Path, clips: Clips) -> None:
    learner = VideoLearner.load(taught_bundle, overrides=_TWO_THREADS)
    asked = clips.to_ask("left")["left"][0]
    begun, may_end = threading.Event(), threading.Event()

    class Waits(Progress):
        def start(self, *_: object) -> None:
            begun.set()
            assert may_end.wait(60)

    learner._progress = Waits()
    with ThreadPoolExecutor(2) as pool:
        learning = pool.submit(learner.learn, clips.to_teach("up"))
        assert begun.wait(60)
        answering = pool.submit(learner.predict, asked)
        assert not answering.done()
        may_end.set()
        learning.result()
        (answer,) = answering.result()
    assert {scored.label for scored in answer.top} == set(learner.classes)
    assert len(learner.classes) == 3


def test_nothing_of_the_process_is_left_changed(taught_bundle: Path, clips: Clips) -> None:
    def state() -> list[object]:
        return [
            torch.get_num_threads(),
            torch.random.get_rng_state().tolist(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_grad_enabled(),
            torch.nn.modules.module._global_forward_pre_hooks.copy(),
            list(warnings.filters),
            dict(os.environ),
            multiprocessing.get_start_method(allow_none=True),
        ]

    before = state()
    learner = VideoLearner.load(taught_bundle, overrides=_TWO_THREADS)
    assert state() == before
    learner.predict(clips.to_ask("left")["left"])
    assert state() == before
    learner.predict_spans(clips.to_ask("left")["left"][0], window_seconds=0.4)
    assert state() == before
    learner.learn(clips.to_teach("up"))
    learner.forget(learner.classes[-1])
    assert state() == before


def test_an_unfinished_stream_keeps_nobody_waiting(learner: VideoLearner, clips: Clips) -> None:
    stream = learner.stream(clips.to_ask("left")["left"])
    next(stream)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(learner.predict, clips.to_ask("left")["left"][:1]).result(timeout=60)
    stream.close()  # type: ignore[attr-defined]


def test_a_forked_process_does_not_wait_for_what_its_parent_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pool that forks while another thread predicts: that one's turn, and torch's threads, are not there."""
    entered, may_leave = threading.Event(), threading.Event()

    def hold() -> None:
        with turn(2):
            entered.set()
            assert may_leave.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(60)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with turn(2):
        assert torch.get_num_threads() == 1
    may_leave.set()
    holder.join()


def test_a_fork_server_has_computed_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    server = multiprocessing.get_context("forkserver").Process()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    monkeypatch.setattr(cores, "current_process", lambda: server)
    with torch_threads(2):
        assert torch.get_num_threads() == 2


def test_a_forked_process_is_told_that_it_has_no_gpu(learner: VideoLearner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "_device", torch.device("cuda"))
    monkeypatch.setattr(learner, "_process_id", -1)
    for use in (
        lambda: learner.predict("v.mp4"),
        lambda: learner.learn({}),
        lambda: learner.predict_spans("v", window_seconds=1),
    ):
        with pytest.raises(ConfigError, match="start the processes by spawn"):
            use()


@pytest.mark.parametrize(("workers", "decoding"), [(0, (3, True)), (2, (1, False))])
def test_long_videos_are_decoded_beside_the_encoder(
    taught_bundle: Path, clips: Clips, monkeypatch: pytest.MonkeyPatch, workers: int, decoding: tuple[int, bool]
) -> None:
    overrides = ["training.device=cpu", "training.threads=3", f"features.workers={workers}"]
    learner = VideoLearner.load(taught_bundle, overrides=overrides)
    monkeypatch.setattr(cores, "cpu_cores", lambda: 4)
    monkeypatch.setattr(cores, "clip_operations", lambda *_: 1e15)  # as of a large ViT
    encode, here = type(learner.encoder).encode, threading.get_ident()
    seen: dict[str, set[tuple[int, bool]]] = {"encoding": set(), "decoding": set()}

    def note(what: str) -> None:
        seen[what].add((torch.get_num_threads(), threading.get_ident() == here))

    def encodes(encoder: Encoder, frames: torch.Tensor) -> torch.Tensor:
        note("encoding")
        return encode(encoder, frames)

    def views(*arguments: Any) -> torch.Tensor:
        note("decoding")
        return plain_view(*arguments)

    monkeypatch.setattr(type(learner.encoder), "encode", encodes)
    monkeypatch.setattr(windows, "plain_view", views)
    learner.predict_spans(clips.to_ask("left")["left"][0], window_seconds=0.4)
    assert seen == {"encoding": {(3, True)}, "decoding": {decoding}}


def _soon(true: Callable[[], bool]) -> bool:
    for _ in range(500):
        if true():
            return True
        time.sleep(0.01)
    return False


def test_items_come_in_order_and_few_are_drawn_ahead() -> None:
    drawn = []

    def source() -> Iterator[int]:
        for number in range(20):
            drawn.append(number)
            yield number

    arrivals = iter(Arrivals(source(), ahead=2))
    assert [next(arrivals) for _ in range(5)] == list(range(5))
    assert len(drawn) <= 5 + 2 + 1
    assert list(arrivals) == list(range(5, 20))


def test_it_is_told_whether_the_next_must_be_waited_for() -> None:
    sent: Queue[int | None] = Queue()
    arrivals = Arrivals(iter(sent.get, None), ahead=1)
    items = iter(arrivals)
    assert not arrivals.is_next_known()
    sent.put(1)
    assert _soon(arrivals.is_next_known)
    assert next(items) == 1
    assert not arrivals.is_next_known()
    sent.put(None)
    # That there is none is known as well.
    assert _soon(arrivals.is_next_known)
    assert list(items) == []
    assert arrivals.is_next_known()


def test_an_error_is_for_whoever_reads_and_is_not_hurried_to() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("the list is gone")

    arrivals = Arrivals(source(), ahead=4)
    items = iter(arrivals)
    assert next(items) == 1
    assert _soon(lambda: arrivals._entries.qsize() == 1)
    assert not arrivals.is_next_known()
    with pytest.raises(OSError, match="the list is gone"):
        next(items)


def test_the_thread_ends_with_what_it_reads_when_it_is_closed() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    arrivals = Arrivals(endless(), ahead=3)
    assert next(iter(arrivals)) == 1
    assert not closed.is_set()
    arrivals.close()
    assert closed.wait(5)
