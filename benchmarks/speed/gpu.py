"""With a GPU: how long the whole UCF101 20-task recipe takes from features, and how much of the time the GPU computes.

9,280 training clips in 20 tasks, 30 epochs each, and 20 epochs on the memory after every task, as the shipped config
has it (bfloat16 where torch's autocast allows it): every step is taken, by the engine's own loop. Decoding and encoding
are not in it, nor is evaluation. Encoding with a ViT-B/16 is measured beside, over bfloat16 products of one layer.

Gives no figure where torch sees no GPU.
"""

from collections.abc import Callable, Sequence

import torch
from encoding import frame_operations
from measuring import Result, main, seconds
from published_size import DIM, FRAMES, TASKS, NoiseTask, before_rehearsal, recipe
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from essential.encoders import EncoderConfig, build_encoder
from essential.engine.learn_task import Start, fit
from essential.engine.process_group import SingleProcess, change
from essential.engine.settings import RunConfig
from essential.features.pipeline import ClipEncoder
from essential.methods import build_method
from essential.methods.contract import Method, Stage

GPU = torch.device("cuda")
ALLOWED_SECONDS = 180
CLIPS, ENCODED = 32, 40


def run_stage(method: Method, stage: Stage, config: RunConfig) -> None:
    """Train one stage to its end."""
    training = config.training.model_copy(update={"device": "cuda"})
    fit(method, stage, training, start=Start(0), on_epoch=lambda _: None)
    torch.cuda.synchronize()


def whole_recipe(config: RunConfig) -> dict[str, float]:
    """Learn all tasks; return the seconds by stage."""
    method = build_method(config.method, dim=DIM, frames=FRAMES, seed=0)
    spent: dict[str, float] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        spent[name] = spent.get(name, 0.0) + seconds(work)

    for task in map(NoiseTask, range(TASKS)):
        timed("begin", lambda task=task: change(SingleProcess(), method, lambda: method.begin(task), device=GPU))
        for stage in method.stages(task):
            timed(stage.name, lambda stage=stage: run_stage(method, stage, config))
        timed("finish", lambda task=task: change(SingleProcess(), method, lambda: method.finish(task), device=GPU))
    return spent


def computing(config: RunConfig, index: int) -> dict[str, float]:
    """Return by stage which share of the time the GPU computes, in one task, as torch's profiler sees it."""
    method, stages = before_rehearsal(config, index)
    method.network.to(GPU)
    shares = {}
    for stage in stages:
        run_stage(method, stage, config)
        with profile(activities=[ProfilerActivity.CUDA]) as traced:
            took = seconds(lambda stage=stage: run_stage(method, stage, config))
        kernels = (event for event in traced.events() if event.device_type == DeviceType.CUDA)
        shares[stage.name] = sum(event.time_range.elapsed_us() for event in kernels) / 1e6 / took
    return shares


def encoding() -> dict[str, float]:
    """Encode clips in bfloat16, and multiply matrices as its widest layer does."""
    encoder = build_encoder(EncoderConfig(name="imagenet-vit-b16", weights="random")).to(GPU)
    batches = ClipEncoder(encoder, frames=FRAMES, batch_clips=CLIPS, precision="bfloat16")
    clips = torch.randn(CLIPS, FRAMES, 3, 224, 224)

    def encode() -> None:
        for place in range(ENCODED):
            list(batches.add(place, clips))
        list(batches.finish())

    rows = CLIPS * FRAMES * 197
    left, right = (torch.randn(shape, device=GPU, dtype=torch.bfloat16) for shape in ((rows, 768), (768, 3072)))

    def multiply() -> None:
        for _ in range(100):
            left @ right
        torch.cuda.synchronize()

    for work in (encode, multiply):
        work()
    clips_a_second = ENCODED * CLIPS / seconds(encode)
    products = 100 * 2 * rows * 768 * 3072 / seconds(multiply)
    return {
        "ViT-B/16 in bfloat16, clips a second": clips_a_second,
        "ViT-B/16 in bfloat16 over its widest products": clips_a_second * FRAMES * frame_operations() / products,
    }


def measure() -> Sequence[Result]:
    """Look at both stages of the second task, and run the recipe once."""
    if not torch.cuda.is_available():
        print("torch sees no GPU here: nothing was measured")
        return []
    config = recipe()
    shares = computing(config, 1)
    spent = whole_recipe(config)
    detail: dict[str, float | str] = {"GPU": torch.cuda.get_device_name()}
    detail |= {f"{name}, seconds": took for name, took in spent.items()}
    detail |= {f"the GPU computes in the {name} stage, share of its time": share for name, share in shares.items()}
    whole = sum(spent.values())
    detail["the GPU computes, share of all training, from task 2"] = (
        sum(shares[name] * spent[name] for name in shares) / whole
    )
    detail |= encoding()
    name = "GPU: the whole UCF101 20-task recipe from features, over three minutes"
    return [Result(name, whole / ALLOWED_SECONDS, "<=", 1.0, None, detail)]


if __name__ == "__main__":
    main(measure, __doc__ or "")
