"""Threads of one process that learn at once: they take turns, and get the numbers that one alone gets."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_arrays import QUICK, features

import essential as es
from small_runs import small_config

Y = [0, 1, 2, 3] * 4


def tasks() -> list[es.ArrayTask]:
    return es.tasks_from_arrays(features(Y), Y, sizes=[2, 2], test=(features(Y), Y))


def learned(seed: int, **callbacks: Any) -> es.Result:
    method = es.build_method("finetune", dim=8, frames=4, seed=seed, classifier={"heads": 2})
    return es.run(method, tasks(), 3, training=QUICK, **callbacks)


def one_task(on_epoch: Callable[[Any], None]) -> None:
    method = es.build_method("finetune", dim=8, frames=4, classifier={"heads": 2})
    es.learn_task(method, tasks()[0], es.TrainingConfig(**QUICK), on_epoch=on_epoch)


def test_runs_in_threads_give_the_numbers_of_one_alone_and_leave_torch_as_it_was() -> None:
    alone = [learned(seed) for seed in range(4)]
    before = torch.random.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(learned, range(4)))
    assert torch.equal(torch.random.get_rng_state(), before)
    for one, other in zip(alone, together, strict=True):
        assert one.log == other.log
        for expected, found in zip(one.predictions, other.predictions, strict=True):
            assert np.array_equal(expected.decided.scores, found.decided.scores)


@pytest.mark.parametrize("door", ["run", "learn_task", "train"])
def test_who_learns_is_waited_for_and_may_learn_in_its_callbacks(
    door: str, small_data: Path, small_store: Path, tmp_path: Path
) -> None:
    others: list[Future[es.Result]] = []

    with ThreadPoolExecutor(1) as pool:

        def meanwhile(_: object) -> None:
            if not others:
                others.append(pool.submit(learned, 1))
                with pytest.raises(NotDone):
                    others[0].result(timeout=0.3)
                assert learned(0).log

        if door == "run":
            learned(0, on_epoch=meanwhile)
        elif door == "learn_task":
            one_task(meanwhile)
        else:
            es.train(small_config("finetune", small_data, small_store), tmp_path, on_epoch=meanwhile)
        assert others[0].result().log == learned(1).log


def test_a_task_is_learned_with_the_threads_that_its_training_asks_for() -> None:
    threads: list[int] = []
    method = es.build_method("finetune", dim=8, frames=4, classifier={"heads": 2})
    training = es.TrainingConfig(**{**QUICK, "threads": 3})
    es.learn_task(method, tasks()[0], training, on_epoch=lambda _: threads.append(torch.get_num_threads()))
    assert threads == [3]
    assert torch.get_num_threads() != 3
