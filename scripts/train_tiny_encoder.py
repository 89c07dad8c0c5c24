"""Train the embedded encoder `tiny` and write its weights; the shipped ones are this script's output.

    python scripts/train_tiny_encoder.py --out src/essential/encoders/weights/tiny.safetensors

It draws clips of the scans that no benchmark clip uses, compresses them as video files, and learns from single frames
to name the digit, to say where it lies (place, size, angle) and to redraw it without the background. On one machine it
gives the same bytes each time; another kind of processor rounds differently. It takes five minutes on two cores.
"""

import argparse
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import torch
from scipy.ndimage import map_coordinates, zoom
from torch import Tensor, nn
from torch.nn import functional

from essential.encoders.tiny import TINY_CONVOLUTIONS, TINY_DIM, TINY_HIDDEN, TINY_PIXELS, TinyEncoder
from essential.files.sealed import write_sealed
from essential.protocols.digit_frames import Trajectory, draw_frames, draw_ink, draw_progress, draw_scene, scans
from essential.protocols.moving_digits import encode
from essential.seeding import numpy_generator, seed_from

SEED = 0
THREADS = 2  # the order of sums, and so the last bits, depend on it
FRAMES_PER_CLIP = 12
BATCH = 256
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
INK_SIDE = 16  # the digit is redrawn this small
# Wider than any benchmark clip, so that cropped training views stay inside.
PLACES = (0.15, 0.85)
LOG_SIZES = (math.log(0.32), math.log(0.95))
ANGLES = (math.radians(-65), math.radians(65))


@dataclass(frozen=True)
class Examples:
    """Frames with what is to be learned from them: uint8 pixels, digit, five pose numbers, ink."""

    frames: Tensor
    digits: Tensor
    poses: Tensor
    ink: Tensor


class Trainee(nn.Module):
    """`TinyEncoder` with batch normalisation and with the heads of its lessons."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
            for before, after, kernel, stride in TINY_CONVOLUTIONS
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(after) for _, after, _, _ in TINY_CONVOLUTIONS)
        self.hidden = nn.Linear(TINY_CONVOLUTIONS[-1][1] * 16, TINY_HIDDEN)
        self.output = nn.Linear(TINY_HIDDEN, TINY_DIM)
        self.feature_norm = nn.BatchNorm1d(TINY_DIM, affine=False)
        self.digit_head = nn.Linear(TINY_DIM, 10)
        self.pose_head = nn.Linear(TINY_DIM, 5)
        self.ink_head = nn.Sequential(nn.Linear(TINY_DIM, 256), nn.ReLU(), nn.Linear(256, INK_SIDE**2))

    def features(self, pixels: Tensor) -> Tensor:
        """Return (frames, TINY_DIM) features, before they are standardised."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            pixels = norm(convolution(pixels)).relu()
        features: Tensor = self.output(self.hidden(pixels.flatten(1)).relu())
        return features

    def loss(self, pixels: Tensor, batch: Examples) -> Tensor:
        """Return the sum of the three lessons' losses."""
        features = self.feature_norm(self.features(pixels))
        naming = functional.cross_entropy(self.digit_head(features), batch.digits, label_smoothing=0.05)
        placing = functional.mse_loss(self.pose_head(features), batch.poses)
        drawing = functional.binary_cross_entropy_with_logits(self.ink_head(features), batch.ink)
        return naming + placing + 2.0 * drawing


def draw_examples(clips: int) -> Examples:
    """Draw `clips` clips in parallel and stack their frames."""
    with ThreadPoolExecutor(THREADS) as executor:
        parts = list(executor.map(draw_clip, range(clips)))
    frames, digits, poses, ink = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Examples(*(torch.from_numpy(array) for array in (frames, digits, poses, ink)))


def draw_clip(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw one clip: frames as they come back from a video file, digits, poses and ink."""
    generator = numpy_generator("tiny encoder", SEED, index)
    digit = int(generator.integers(10))
    choices = scans(digit, "encoder")
    scan = deform(choices[generator.integers(len(choices))], generator)
    trajectory = draw_wandering(generator)
    frames = draw_frames(scan, trajectory, draw_scene(generator, TINY_PIXELS.size), generator)
    content = encode(frames, "avi" if index % 4 == 3 else "mp4")
    ink = draw_ink(scan, trajectory, TINY_PIXELS.size)
    cell = TINY_PIXELS.size // INK_SIDE
    coarse = ink.reshape(len(ink), INK_SIDE, cell, INK_SIDE, cell).mean((2, 4)).reshape(len(ink), -1)
    return decode(content), np.full(len(ink), digit), poses_of(trajectory), coarse


def draw_wandering(generator: np.random.Generator) -> Trajectory:
    """Draw a trajectory between two poses that have nothing to do with each other."""
    done, _ = draw_progress(generator, FRAMES_PER_CLIP)
    values = {"strength": np.ones(FRAMES_PER_CLIP)}
    for name, bounds in {"x": PLACES, "y": PLACES, "log_size": LOG_SIZES, "angle": ANGLES}.items():
        start, end = generator.uniform(*bounds, size=2)
        values[name] = start + (end - start) * done
    return Trajectory(**values)


def deform(scan: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Bend a scan a little and change its stroke, so that few scans stand for many hands."""
    side = len(scan)
    shifts = [zoom(generator.normal(0.0, 0.03 * side, (4, 4)), side / 4, order=3, mode="nearest") for _ in range(2)]
    rows, columns = np.mgrid[:side, :side]
    bent = map_coordinates(scan, [rows + shifts[0], columns + shifts[1]], order=1)
    return np.asarray(np.clip(bent, 0.0, 1.0) ** generator.uniform(0.7, 1.4)).astype(np.float32)


def poses_of(trajectory: Trajectory) -> np.ndarray:
    """Return (frames, 5) numbers of about unit variance: place, size, angle."""
    return np.stack(
        [
            (trajectory.x - 0.5) / 0.2,
            (trajectory.y - 0.5) / 0.2,
            (trajectory.log_size - sum(LOG_SIZES) / 2) / 0.3,
            np.sin(trajectory.angle) / 0.6,
            (np.cos(trajectory.angle) - 0.8) / 0.2,
        ],
        axis=1,
    ).astype(np.float32)


def decode(content: bytes) -> np.ndarray:
    """Return all frames of a video file as RGB."""
    with av.open(BytesIO(content)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


def to_pixels(frames: Tensor) -> Tensor:
    """Return uint8 frames as the encoder wants them."""
    mean, std = TINY_PIXELS.mean[0], TINY_PIXELS.std[0]
    pixels = frames.permute(0, 3, 1, 2).float().div(255).sub(mean).div(std)
    return pixels.contiguous(memory_format=torch.channels_last)


def vary(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Change brightness and contrast of each frame and add noise of a random strength."""
    shape = (len(pixels), 1, 1, 1)
    contrast = torch.empty(shape).uniform_(0.7, 1.3, generator=generator)
    brightness = torch.empty(shape).uniform_(-0.4, 0.4, generator=generator)
    strength = torch.empty(shape).uniform_(0.0, 0.3, generator=generator)
    noise = torch.empty_like(pixels).normal_(generator=generator)
    return pixels * contrast + brightness + strength * noise


def batches(examples: Examples, generator: torch.Generator) -> Iterator[Examples]:
    """Yield one epoch of shuffled whole batches."""
    order = torch.randperm(len(examples.frames), generator=generator)
    for rows in order[: len(order) // BATCH * BATCH].split(BATCH):
        yield Examples(examples.frames[rows], examples.digits[rows], examples.poses[rows], examples.ink[rows])


def train(trainee: Trainee, examples: Examples, epochs: int) -> None:
    """Train by AdamW with one rise and fall of the learning rate."""
    generator = torch.Generator().manual_seed(seed_from("tiny encoder batches", SEED))
    optimizer = torch.optim.AdamW(trainee.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = epochs * (len(examples.frames) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    for epoch in range(epochs):
        total = 0.0
        for batch in batches(examples, generator):
            optimizer.zero_grad()
            loss = trainee.loss(vary(to_pixels(batch.frames), generator), batch)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1} of {epochs}: loss {total * epochs / steps:.4f}", flush=True)


@torch.no_grad()
def fold(trainee: Trainee, examples: Examples) -> TinyEncoder:
    """Return the encoder in half precision, batch norms folded in and features standardised on the examples."""
    encoder = TinyEncoder()
    for source, norm, target in zip(trainee.convolutions, trainee.norms, encoder.convolutions, strict=True):
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        target.weight.copy_(source.weight * gain[:, None, None, None])
        target.bias.copy_(norm.bias - norm.running_mean * gain)
    encoder.hidden.load_state_dict(trainee.hidden.state_dict())
    encoder.output.load_state_dict(trainee.output.state_dict())
    encoder.half().float()
    features = torch.cat([encoder(to_pixels(part)[None])[0] for part in examples.frames[::4].split(BATCH)])
    std, mean = torch.std_mean(features, dim=0)
    encoder.output.weight.div_(std[:, None])
    encoder.output.bias.sub_(mean).div_(std)
    return encoder.half()


def main(arguments: list[str] | None = None) -> None:
    """Read the options, train, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    parser.add_argument("--clips", type=int, default=6000, help="clips to draw (default 6000)")
    parser.add_argument("--epochs", type=int, default=4, help="passes over their frames (default 4)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed_from("tiny encoder weights", SEED))
    examples = draw_examples(options.clips)
    trainee = Trainee().to(memory_format=torch.channels_last)
    trainee.train()
    train(trainee, examples, options.epochs)
    trainee.eval()
    encoder = fold(trainee, examples)
    arrays = {name: tensor.numpy() for name, tensor in encoder.state_dict().items()}
    note = {"clips": options.clips, "epochs": options.epochs, "seed": SEED}
    print(f"{options.out}: {write_sealed(options.out, arrays, note)} bytes")


if __name__ == "__main__":
    main()
