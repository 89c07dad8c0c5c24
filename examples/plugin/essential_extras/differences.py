"""An encoder of whole clips without weights: what changes from frame to frame in a thumbnail of 4 x 4 pixels."""

from torch import Tensor, nn

from essential.encoders import EncoderConfig
from essential.encoders.base import Encoder
from essential.video.config import PixelFormat

_SIDE = 4


class Differences(Encoder):
    """Reads some frames, and gives a step for each two neighbours: how the mean colours of 4 x 4 fields change."""

    def __init__(self, frames: int) -> None:
        pixels = PixelFormat(32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="bilinear")
        super().__init__(
            "differences", dim=3 * _SIDE**2, pixel_format=pixels, architecture="differences-1", clip_frames=frames
        )

    def encode(self, clips: Tensor) -> Tensor:
        """Encode the frames of each clip together."""
        fields = nn.functional.adaptive_avg_pool2d(clips.flatten(0, 1), _SIDE)
        return fields.flatten(1).unflatten(0, clips.shape[:2]).diff(dim=1)


def build_differences(config: EncoderConfig) -> Differences:
    """Return the encoder of `encoder.frames` frames; 16 if it is not set."""
    return Differences(config.frames or 16)
