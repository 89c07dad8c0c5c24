"""What the UCF101 20-task recipe asks for: the authors' loops counted, against ours with 4 views. Nothing is timed.

Their loops (README, `run_cil.py` and `engine_for_cil.py` of jong980812/ESSENTIAL): every epoch of the task stage
decodes and encodes every clip of the task, every epoch of the rehearsal stage every exemplar, without those of a last
batch that is not full, and after each task every test clip of the classes seen. Ours encodes each training clip in 4
augmented views and the plain one, and each test clip once.

Operations are those of matrix products, two for a multiplication and an addition: the encoder's from its shape, a
training step's as torch counts them; theirs without folding, and with every exemplar retrieved in every step.
"""

from collections.abc import Sequence

import torch
from measuring import Result, main
from published_size import FRAMES, STARTS, TASKS, TEST_CLIPS, TRAINING_CLIPS, before_rehearsal, recipe
from recipe import operations, run
from rehearsal import plain_attention, plain_logits, plain_tokens
from torch import Tensor, nn

from essential.engine.learn_task import steps_per_epoch
from essential.features.extract import view_numbers
from essential.methods.contract import Batch
from essential.methods.essential import Essential, EssentialConfig
from essential.methods.exemplars import MemoryClips, take_frames
from essential.models.memory_retrieval import MemoryRetrieval

VIEWS = 4
WIDTH, LAYERS, PATCHES, PATCH_PIXELS = 768, 12, 196, 3 * 16 * 16


def encoder_operations() -> int:
    """Count those of ViT-B/16 for one clip: patches, then attention and an MLP of four times the width per layer."""
    tokens = PATCHES + 1
    projections = tokens * (4 + 8) * WIDTH**2
    attention = 2 * tokens**2 * WIDTH
    return FRAMES * 2 * (PATCHES * PATCH_PIXELS * WIDTH + LAYERS * (projections + attention))


def plain_task_loss(method: Essential, batch: Batch) -> Tensor:
    """Compute the task stage's loss without folding."""
    classifier, module = method.classifier, method.retrieval[-1]
    assert isinstance(module, MemoryRetrieval)
    dense = classifier.encoder.place(batch.features, batch.positions)
    sparse = take_frames(dense, torch.arange(method.keeper.kept).expand(len(dense), -1))
    prompts = module.prompt.expand(len(dense), -1, -1)
    prompts = prompts + plain_attention(module.read, prompts, sparse, "prompt")
    retrieved = prompts + module.mlp(module.mlp_norm(prompts))
    tokens = [plain_tokens(method, clips) for clips in (dense, retrieved)]
    loss = nn.functional.mse_loss(retrieved, dense) + nn.functional.mse_loss(*tokens)
    for token in tokens:
        loss = loss + nn.functional.cross_entropy(classifier.logits(token), batch.slots)
    return loss


def plain_rehearsal_loss(method: Essential, batch: Batch) -> Tensor:
    """Compute the rehearsal stage's loss with a module call per exemplar."""
    losses = [nn.functional.cross_entropy(logits, batch.slots) for logits in plain_logits(method, batch)]
    return losses[0] + losses[1]


def measure() -> Sequence[Result]:
    """Count passes, then operations."""
    config = recipe()
    training = config.training
    assert isinstance(config.method, EssentialConfig)
    method, (learning, rehearsal) = before_rehearsal(config, TASKS - 1)
    method.network.requires_grad_(False).eval()
    method.classifier.requires_grad_(True).train()
    method.retrieval[-1].requires_grad_(True).train()
    batch = learning.data().epoch(0).rows(torch.arange(training.batch_size))
    their_task_step = operations(lambda: plain_task_loss(method, batch).backward())
    method.retrieval[-1].requires_grad_(False)
    exemplars = MemoryClips(method.memory).rows(torch.arange(training.batch_size))
    their_rehearsal_step = operations(lambda: plain_rehearsal_loss(method, exemplars).backward())
    our_steps = []
    for stage in (learning, rehearsal):
        data = stage.data()
        steps = steps_per_epoch(len(data.epoch(0)), training)
        once = type(stage)(stage.name, lambda data=data: data, stage.trains, 1)
        our_steps.append(operations(lambda once=once: run(method, once, training, lambda: None)) / steps)
    our_retrieval = operations(rehearsal.data)

    passes = train_steps = rehearsal_steps = 0
    for task in range(TASKS):
        clips = TRAINING_CLIPS * STARTS[task + 1] // STARTS[-1] - TRAINING_CLIPS * STARTS[task] // STARTS[-1]
        kept = STARTS[task + 1] * (config.method.exemplars_per_class or 0)
        train_steps += training.epochs * steps_per_epoch(clips, training)
        rehearsal_steps += config.method.rehearsal_epochs * steps_per_epoch(kept, training)
        passes += TEST_CLIPS * STARTS[task + 1] // STARTS[-1]
    passes += (train_steps + rehearsal_steps) * training.batch_size
    ours = TRAINING_CLIPS * len(view_numbers("train", VIEWS)) + TEST_CLIPS * len(view_numbers("test", VIEWS))
    per_pass = encoder_operations()
    their_operations = passes * per_pass + train_steps * their_task_step + rehearsal_steps * their_rehearsal_step
    # Retrieval grows with the memory: on average, half of what the last task's takes.
    our_operations = (
        ours * per_pass + train_steps * our_steps[0] + rehearsal_steps * our_steps[1] + TASKS * our_retrieval / 2
    )
    detail = {
        "encoder passes, theirs": float(passes),
        "encoder passes, ours": float(ours),
        "operations, theirs": float(their_operations),
        "operations, ours": float(our_operations),
        "a task step, theirs / ours": their_task_step / our_steps[0],
        "a rehearsal step, theirs / ours": their_rehearsal_step / our_steps[1],
        "passes per video, theirs": passes / (TRAINING_CLIPS + TEST_CLIPS),
    }
    return [
        Result("encoder passes of the UCF101 20-task recipe: theirs / ours", passes / ours, ">=", 12, None, detail),
        Result("operations of the same: theirs / ours", their_operations / our_operations, ">=", 12),
    ]


if __name__ == "__main__":
    main(measure, __doc__ or "")
