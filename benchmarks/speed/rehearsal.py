"""A rehearsal epoch at the size of the UCF101 20-task recipe, against a per-sample loop over the MR modules.

The recipe's last task: 1,616 exemplars of 2 of 8 frames, 20 MR modules, D = 768, 12 heads, batches of 24. The loop is
what the method says in plain words: in every step each exemplar goes through the module of its own task, then the
encoder reads the sparse and the retrieved clips, with `nn.MultiheadAttention` and torch's default AdamW. Ours retrieves
once for the stage (a twentieth of that is counted with the epoch, for the recipe rehearses 20), and reads both replays
in one call. Both must give the same logits to 1e-5 before anything is measured.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from measuring import Result, main, ratios_in_turns, seconds
from published_size import TASKS, before_rehearsal, recipe
from torch import Tensor, nn

from essential.engine.allocator import keep_freed_memory
from essential.engine.learn_task import Start, fit
from essential.methods.contract import Batch, Stage, nothing
from essential.methods.essential import Essential
from essential.models.memory_retrieval import MemoryRetrieval

TURNS = 3


def plain_attention(layer: nn.Module, query: Tensor, frames: Tensor, prefix: str) -> Tensor:
    """Normalise and attend as the modules say, without folding."""
    frames = layer.get_submodule("frame_norm")(frames)
    query = layer.get_submodule(f"{prefix}_norm")(query)
    attended: Tensor = layer.get_submodule("attention")(query, frames, frames, need_weights=False)[0]
    return attended


def plain_tokens(method: Essential, placed: Tensor) -> Tensor:
    """Encode clips layer by layer."""
    encoder = method.classifier.encoder
    token = encoder.query.expand(len(placed), 1, -1)
    for layer in encoder.layers:
        token = token + layer.get_submodule("drop_path")(plain_attention(layer, token, placed, "query"))
    return token[:, 0]


def plain_retrieved(module: nn.Module, sparse: Tensor) -> Tensor:
    """Rebuild one clip: prompts look at the stored frames, then an MLP."""
    assert isinstance(module, MemoryRetrieval)
    prompts = module.prompt[None]
    prompts = prompts + plain_attention(module.read, prompts, sparse[None], "prompt")
    rebuilt: Tensor = prompts + module.mlp(module.mlp_norm(prompts))
    return rebuilt[0]


def plain_logits(method: Essential, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the logits of a batch's sparse and retrieved clips, one clip at a time through the modules."""
    classifier = method.classifier
    sparse = classifier.encoder.place(batch.features, batch.positions)
    rows = zip(sparse, batch.tasks.tolist(), strict=True)
    retrieved = torch.stack([plain_retrieved(method.retrieval[task], clip) for clip, task in rows])
    return classifier.logits(plain_tokens(method, sparse)), classifier.logits(plain_tokens(method, retrieved))


def largest_difference(method: Essential, stage: Stage) -> float:
    """Compare the logits of all exemplars, in evaluation."""
    method.network.eval()
    table, worst = stage.data().epoch(0), 0.0
    for indices in torch.arange(len(table)).split(24):
        batch = table.rows(indices)
        assert batch.retrieved is not None
        encoder = method.classifier.encoder
        tokens = encoder.together(encoder.place(batch.features, batch.positions), batch.retrieved)
        logits = method.classifier.logits(tokens).unbind(1)
        for ours, plain in zip(logits, plain_logits(method, batch), strict=True):
            worst = max(worst, float((ours - plain).abs().max() / plain.abs().max()))
    return worst


def plain_epoch(method: Essential, stage: Stage, batch_size: int) -> None:
    """Train one epoch, the loop's way."""
    method.network.requires_grad_(False).eval()
    method.classifier.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(method.classifier.parameters(), lr=1e-5)
    table = stage.data().epoch(0)
    for indices in torch.randperm(len(table)).split(batch_size)[: len(table) // batch_size]:
        batch = table.rows(indices)
        losses = [nn.functional.cross_entropy(logits, batch.slots) for logits in plain_logits(method, batch)]
        optimizer.zero_grad()
        sum(losses, torch.zeros(())).backward()
        optimizer.step()


def measure() -> Sequence[Result]:
    """Compare the numbers, then the epochs."""
    keep_freed_memory()
    config = recipe()
    training = config.training.model_copy(update={"learning_rate": 1e-5, "warmup_epochs": 0})
    method, stages = before_rehearsal(config, TASKS - 1)
    stage, epochs = stages[1], stages[1].epochs
    with torch.no_grad():
        difference = largest_difference(method, stage)
    if not difference <= 1e-5:
        raise SystemExit(f"the logits differ by {difference:.1e} of their size")
    retrieval = [seconds(stage.data) for _ in range(TURNS)]
    data = stage.data()
    once = replace(stage, data=lambda: data, epochs=1, prepare=nothing)

    def ours() -> float:
        on_cpu = training.model_copy(update={"device": "cpu"})
        whole = seconds(lambda: fit(method, once, on_cpu, start=Start(0), on_epoch=lambda _: None))
        return whole + min(retrieval) / epochs

    ours()
    plain, fast = [], []

    def loop() -> float:
        plain.append(seconds(lambda: plain_epoch(method, once, training.batch_size)))
        return plain[-1]

    def batched() -> float:
        fast.append(ours())
        return fast[-1]

    ratio, spread = ratios_in_turns(loop, batched, turns=TURNS)
    detail = {
        "exemplars": float(len(method.memory)),
        "loop, seconds per epoch": min(plain),
        "ours, seconds per epoch": min(fast),
        "of them retrieval, a share of the stage's": min(retrieval) / epochs,
        "largest difference of a logit, of the largest": difference,
    }
    return [Result("rehearsal epoch: loop over MR modules / ours", ratio, ">=", 10, spread, detail)]


if __name__ == "__main__":
    main(measure, __doc__ or "")
