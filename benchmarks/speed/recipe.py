"""The whole UCF101 20-task recipe from features, against its own floating-point operations at the matmul rate.

9,280 training clips in 20 tasks, 30 epochs each, then 20 epochs on a memory that grows to 1,616 exemplars. The engine's
own loop trains at least 300 steps of each stage in the second task and in the last; the steps' time between the two is
taken to grow in a line. Operations are those of the code as it runs, folded attention and all (a plain form would
count more, and flatter us), as torch counts them: matrix products forward and backward, nothing else. The matmul rate
is measured beside every epoch: that of `torch.mm`, which is MKL's. Where MKL has no AVX-512 the products of linear
layers are oneDNN's (`essential.products`), so a step may take less than its operations at that rate.

The floor of a step is measured too: its products once more, on the same matrices and by the same libraries, and AdamW
on as many weights, without anything else. What a step takes beyond it is ours to save; what the floor takes beyond the
matmul rate is small products and memory traffic.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from measuring import Result, main, matmul_rate, seconds
from published_size import STARTS, TASKS, TRAINING_CLIPS, before_rehearsal, recipe
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from essential.engine.allocator import keep_freed_memory
from essential.engine.learn_task import Start, fit, steps_per_epoch
from essential.engine.settings import TrainingConfig
from essential.methods.contract import Stage, nothing
from essential.methods.essential import Essential, EssentialConfig
from essential.products import plain

STEPS = 300
POINTS = (1, TASKS - 1)
TURNS = 20
PRODUCTS = [
    *(getattr(torch.ops.aten, name) for name in ("mm", "addmm", "addmm_", "bmm", "baddbmm", "baddbmm_")),
    torch.ops.mkldnn._linear_pointwise,
]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Step:
    """What one step takes, and what it would take if it were matrix products alone."""

    seconds: float
    ideal_seconds: float
    floor_seconds: float = 0.0


def run(method: Essential, stage: Stage, training: TrainingConfig, on_epoch: Callable[[], None]) -> None:
    """Train with the engine's loop."""
    fit(method, stage, training.model_copy(update={"device": "cpu"}), start=Start(0), on_epoch=lambda _: on_epoch())


def operations(work: Callable[[], object]) -> int:
    """Count the floating-point operations of matrix products; torch's counter does not know oneDNN's."""
    with plain(), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


class FirstStep(TorchDispatchMode):
    """Keeps the matrix products of the first step, with the matrices themselves, as calls that do them again."""

    def __init__(self) -> None:
        super().__init__()
        self.products: list[Callable[[], object]] = []
        self._over = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        self._over |= func.overloadpacket == torch.ops.aten._fused_adamw_
        if not self._over and func.overloadpacket in PRODUCTS:
            self.products.append(partial(func, *args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))


def floor_seconds(method: Essential, stage: Stage, training: TrainingConfig) -> float:
    """Return what a step's products take in their own shapes and libraries, and AdamW on its weights, without more."""
    with FirstStep() as step:
        run(method, replace(stage, epochs=1), training, lambda: None)
    weights = [parameter.detach().clone() for module in stage.trains for parameter in module.parameters()]
    for weight in weights:
        weight.requires_grad_().grad = torch.zeros_like(weight)
    optimizer = torch.optim.AdamW(weights, lr=1e-5, fused=True)
    with torch.no_grad():
        turns = [seconds(lambda: [again() for again in step.products]) + seconds(optimizer.step) for _ in range(TURNS)]
    return statistics.median(turns)


def measured(method: Essential, stage: Stage, training: TrainingConfig) -> Step:
    """Train `STEPS` steps or more, the matmul rate beside every epoch; return the medians."""
    data = stage.data()
    steps = steps_per_epoch(len(data.epoch(0)), training)
    stage = replace(stage, data=lambda: data, prepare=nothing, epochs=1)
    count = operations(lambda: run(method, stage, training, lambda: None)) / steps
    times: list[float] = []
    rates = [matmul_rate(at_least_seconds=0.1)]
    last = time.perf_counter()

    def lap() -> None:
        nonlocal last
        times.append((time.perf_counter() - last) / steps)
        rates.append(matmul_rate(at_least_seconds=0.1))
        last = time.perf_counter()

    epochs = -(-STEPS // steps) + 1
    run(method, replace(stage, epochs=epochs), training, lap)
    ideal = [2 * count / (before + after) for before, after in pairwise(rates)]
    # The first epoch pays for what is set up once.
    floor = floor_seconds(method, replace(stage, epochs=1), training)
    return Step(statistics.median(times[1:]), statistics.median(ideal[1:]), floor)


def between(first: Step, last: Step, task: int) -> Step:
    """Interpolate a step between the two tasks that were measured."""
    share = (task - POINTS[0]) / (POINTS[1] - POINTS[0])
    both = ((first.seconds, last.seconds), (first.ideal_seconds, last.ideal_seconds))
    return Step(*(early + share * (late - early) for early, late in both))


def measure() -> Sequence[Result]:
    """Measure the steps, and add them up."""
    keep_freed_memory()
    config = recipe()
    assert isinstance(config.method, EssentialConfig)
    training = config.training
    tried: dict[str, list[Step]] = {"task": [], "rehearsal": []}
    retrieval = Step(0.0, 0.0)
    for index in POINTS:
        method, (learning, rehearsal) = before_rehearsal(config, index)
        tried["task"].append(measured(method, learning, training))
        tried["rehearsal"].append(measured(method, rehearsal, training))
        rate = matmul_rate()
        retrieval = Step(seconds(rehearsal.data), operations(rehearsal.data) / rate)
    total = {"task": [0.0, 0.0], "rehearsal": [0.0, 0.0], "retrieval": [0.0, 0.0]}
    for task in range(TASKS):
        exemplars = STARTS[task + 1] * (config.method.exemplars_per_class or 0)
        clips = TRAINING_CLIPS * (STARTS[task + 1] - STARTS[task]) // STARTS[-1]
        steps = {
            "task": training.epochs * steps_per_epoch(clips, training),
            "rehearsal": config.method.rehearsal_epochs * steps_per_epoch(exemplars, training),
        }
        for stage, count in steps.items():
            step = between(*tried[stage], task)
            total[stage][0] += count * step.seconds
            total[stage][1] += count * step.ideal_seconds
        total["retrieval"][0] += retrieval.seconds * STARTS[task + 1] / STARTS[-1]
        total["retrieval"][1] += retrieval.ideal_seconds * STARTS[task + 1] / STARTS[-1]
    whole, ideal = (sum(part[side] for part in total.values()) for side in (0, 1))
    detail = {"the whole recipe, seconds": whole, "its matrix products at the measured rate, seconds": ideal}
    for stage, steps_tried in tried.items():
        for index, step in zip(POINTS, steps_tried, strict=True):
            detail[f"a {stage} step in task {index + 1}, milliseconds"] = 1e3 * step.seconds
            detail[f"a {stage} step in task {index + 1}, over its products"] = step.seconds / step.ideal_seconds
            floor = step.floor_seconds / step.ideal_seconds
            detail[f"the same, of its products in their own shapes and AdamW alone: {stage}, task {index + 1}"] = floor
    detail |= {f"{stage}, share of the time": part[0] / whole for stage, part in total.items()}
    return [
        Result(
            "the UCF101 20-task recipe: time / its products at the matmul rate", whole / ideal, "<=", 1.7, None, detail
        )
    ]


if __name__ == "__main__":
    main(measure, __doc__ or "")
