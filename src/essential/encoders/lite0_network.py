"""The network of `efficientnet-lite0`, with batch norms folded away; timm, which has it too, takes a second to load.

Modules are called as timm calls them, and compute the same to the last bit: fingerprints do not tell which was used.
"""

from importlib.metadata import version

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, pad, relu6
from torch.nn.utils.fusion import fuse_conv_bn_weights

from essential.encoders.base import Encoder
from essential.encoders.config import EncoderConfig
from essential.encoders.efficientnet_lite0 import FOLDED, package_weights
from essential.encoders.weight_files import State, read_weights
from essential.video.config import PixelFormat

_STEM, _HEAD = 32, 1280
# Of each stage after the first block: blocks, kernel, stride of the first of them, and channels.
_STAGES = ((2, 3, 2, 24), (2, 5, 2, 40), (3, 3, 2, 80), (3, 5, 1, 112), (4, 5, 2, 192), (1, 3, 1, 320))
_WIDENED = 6
_BATCH_NORM_EPSILON = 1e-3
# A convolution's weights in the file, and its batch norm's five tensors.
_TENSORS = 6


class _Convolution(nn.Conv2d):
    """A convolution that pads as TensorFlow does: at its stride by the frame's size, more at the right and below."""

    def __init__(self, before: int, after: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> None:
        padding = kernel // 2 if stride == 1 else 0
        # On no device: the weights come from a file, and none are drawn.
        super().__init__(before, after, kernel, stride, padding, groups=groups, device="meta")

    def forward(self, frames: Tensor) -> Tensor:
        stride, kernel = self.stride[0], self.kernel_size[0]
        if stride > 1:
            below, right = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in frames.shape[-2:])
            frames = pad(frames, (right // 2, right - right // 2, below // 2, below - below // 2))
        return super().forward(frames)


class _FirstBlock(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv_dw = _Convolution(before, before, 3, groups=before)
        self.conv_pw = _Convolution(before, after)

    def forward(self, frames: Tensor) -> Tensor:
        narrowed: Tensor = self.conv_pw(relu6(self.conv_dw(frames)))
        return narrowed


class _Block(nn.Module):
    """Widen, filter, narrow; added to what came in where that has the same shape."""

    def __init__(self, before: int, after: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        wide = before * _WIDENED
        self.conv_pw = _Convolution(before, wide)
        self.conv_dw = _Convolution(wide, wide, kernel, stride=stride, groups=wide)
        self.conv_pwl = _Convolution(wide, after)
        self._adds = stride == 1 and before == after

    def forward(self, frames: Tensor) -> Tensor:
        narrowed: Tensor = self.conv_pwl(relu6(self.conv_dw(relu6(self.conv_pw(frames)))))
        return narrowed + frames if self._adds else narrowed


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _Convolution(3, _STEM, 3, stride=2)
        before = 16
        stages = [nn.Sequential(_FirstBlock(_STEM, before))]
        for count, kernel, stride, after in _STAGES:
            first = _Block(before, after, kernel=kernel, stride=stride)
            rest = (_Block(after, after, kernel=kernel, stride=1) for _ in range(count - 1))
            stages.append(nn.Sequential(first, *rest))
            before = after
        self.blocks = nn.Sequential(*stages)
        self.conv_head = _Convolution(before, _HEAD)

    def forward(self, frames: Tensor) -> Tensor:
        seen = relu6(self.conv_head(self.blocks(relu6(self.conv_stem(frames)))))
        return adaptive_avg_pool2d(seen, 1).flatten(1)


class Lite0(Encoder):
    """The pooled features of the network, from the weights in their package."""

    def __init__(self, config: EncoderConfig, weights: State, *, architecture: str) -> None:
        pixel_format = PixelFormat(
            size=config.size or 224,
            mean=config.mean or (0.5, 0.5, 0.5),
            std=config.std or (0.5, 0.5, 0.5),
            interpolation=config.interpolation or "bicubic",
        )
        super().__init__(config.name, dim=_HEAD, pixel_format=pixel_format, architecture=architecture, per_frame=True)
        self.network = _Network()
        tensors = [*weights.values()]
        convolutions = [module for module in self.network.modules() if isinstance(module, nn.Conv2d)]
        for place, convolution in enumerate(convolutions):
            weight, scale, shift, mean, variance, _ = tensors[place * _TENSORS : (place + 1) * _TENSORS]
            convolution.weight, convolution.bias = fuse_conv_bn_weights(
                *(weight, None, mean, variance), *(_BATCH_NORM_EPSILON, scale, shift)
            )

    def encode(self, clips: Float[Tensor, "batch frames 3 size size"]) -> Float[Tensor, "batch frames dim"]:
        """Encode each frame on its own."""
        # Channels-last takes a quarter of the time away on a CPU.
        frames = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return torch.unflatten(self.network(frames), 0, clips.shape[:2])


def build_lite0(config: EncoderConfig) -> Encoder:
    """Return the encoder with the weights in their package; errors as of `package_weights`."""
    # As timm's network says: a bundle or a store of features may have been made with that.
    architecture = f"timm {version('timm')} {config.timm_name} {{}}{FOLDED}"
    return Lite0(config, read_weights(package_weights()), architecture=architecture)
