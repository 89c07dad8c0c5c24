"""The embedded encoder `tiny`: a small convolutional network for single frames of 64 pixels.

Its weights ship in the package, stored in half precision. `scripts/train_tiny_encoder.py` makes them, from scans of
digits that no clip of `moving-digits` uses. They carry what a digit is and how it lies in the frame.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from essential.encoders.base import Encoder
from essential.encoders.config import EncoderConfig
from essential.errors import CheckpointError
from essential.files.sealed import read_sealed
from essential.video.config import PixelFormat

TINY_DIM = 128
TINY_WEIGHTS = Path(__file__).parent / "weights" / "tiny.safetensors"
TINY_PIXELS = PixelFormat(size=64, mean=(0.35, 0.35, 0.35), std=(0.2, 0.2, 0.2), interpolation="bilinear")

# (channels in, channels out, kernel, stride): 64 x 64 pixels become 4 x 4 cells.
TINY_CONVOLUTIONS = (
    (3, 24, 5, 2),
    (24, 48, 3, 2),
    (48, 64, 3, 1),
    (64, 96, 3, 2),
    (96, 96, 3, 1),
    (96, 128, 3, 2),
    (128, 64, 1, 1),
)
TINY_HIDDEN = 256
_CELLS = 4 * 4


class TinyEncoder(Encoder):
    """See the module. Features have zero mean and unit variance on the frames the encoder was trained on."""

    def __init__(self) -> None:
        # The shapes are in the weights; the rest is this.
        architecture = f"convolutions {TINY_CONVOLUTIONS} with ReLU, flatten, linear with ReLU, linear"
        super().__init__("tiny", dim=TINY_DIM, pixel_format=TINY_PIXELS, architecture=architecture, per_frame=True)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel, stride, kernel // 2) for before, after, kernel, stride in TINY_CONVOLUTIONS
        )
        self.hidden = nn.Linear(TINY_CONVOLUTIONS[-1][1] * _CELLS, TINY_HIDDEN)
        self.output = nn.Linear(TINY_HIDDEN, TINY_DIM)

    def encode(self, clips: Float[Tensor, "batch frames 3 size size"]) -> Float[Tensor, "batch frames dim"]:
        """Encode each frame on its own."""
        # Channels-last is about twice as fast on a CPU.
        maps = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        for convolution in self.convolutions:
            maps = convolution(maps).relu()
        features = self.output(self.hidden(maps.flatten(1)).relu())
        return torch.unflatten(features, 0, clips.shape[:2])


def build_tiny(_: EncoderConfig | None = None) -> Encoder:
    """Return the embedded encoder with its shipped weights; a CheckpointError if they are missing or damaged."""
    arrays, _metadata = read_sealed(TINY_WEIGHTS, CheckpointError)
    encoder = TinyEncoder()
    encoder.load_state_dict({name: torch.from_numpy(array).float() for name, array in arrays.items()})
    return encoder.freeze()
