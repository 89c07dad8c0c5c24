"""A learner in others' programs: threads and forked processes, and what it leaves as it was."""

import multiprocessing
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from essential import VideoLearner
from essential.errors import ConfigError
from essential.features import cores
from essential.features.cores import clip_operations, torch_threads
from essential.learner.turns import turn
from essential.progress import Progress
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


def test_operations_are_counted_in_this_thread_alone(learner: VideoLearner) -> None:
    hooks = torch.nn.modules.module._global_forward_pre_hooks
    seen = []
    encode = type(learner.encoder).encode

    def looks(_: object, clips: torch.Tensor) -> torch.Tensor:
        seen.append(len(hooks))
        return encode(learner.encoder, clips)

    before = len(hooks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(learner.encoder), "encode", looks)
        assert clip_operations(learner.encoder, 2) > 0
    assert seen == [before]
