"""An encoder without weights: a frame's feature is its thumbnail of 8 x 8 pixels."""

from torch import Tensor, nn

from essential.encoders import EncoderConfig
from essential.encoders.base import Encoder
from essential.video.config import PixelFormat

_SIDE = 8


class Thumbnail(Encoder):
    """Mean colours of 8 x 8 fields."""

    def __init__(self, size: int) -> None:
        pixels = PixelFormat(size, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="bilinear")
        super().__init__("thumbnail", dim=3 * _SIDE**2, pixel_format=pixels, architecture="thumbnail-1", per_frame=True)

    def encode(self, clips: Tensor) -> Tensor:
        """Encode each frame on its own."""
        fields = nn.functional.adaptive_avg_pool2d(clips.flatten(0, 1), _SIDE)
        return fields.flatten(1).unflatten(0, clips.shape[:2])


def build_thumbnail(config: EncoderConfig) -> Thumbnail:
    """Return the encoder of frames of `encoder.size` pixels; 32 if it is not set."""
    return Thumbnail(config.size or 32)
