"""A checkpoint of the authors' network (jong980812/ESSENTIAL, `task{N}_checkpoint.pth`), split into our parts.

Their file is `{"model", "optimizer", "epoch", "args": argparse.Namespace}`. Every key of the model belongs to the
frozen image encoder, to the temporal encoder and head, or to an MR module; one that is missing, extra or of another
shape is an error. Nothing in the file is executed: it is read with `weights_only`, and `Namespace` is all that it may
name.
"""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from essential.encoders.clip_layout import split_clip
from essential.encoders.weight_files import faults_of, read_pickled_checkpoint
from essential.errors import CheckpointError

Shapes = dict[str, tuple[int, ...]]

_EMBEDDING, _QUERY = "decoder_temporal_embedding", "decoder_cls"
_LAYER, _MODULE = "decoder_transformer_for_cls", "mr_module"
# Theirs to ours. An attention's own parameters have the same names in both: it is torch's module.
_CLASSIFIER_NAMES = {_EMBEDDING: "encoder.temporal_embedding", _QUERY: "encoder.query", "head.": "head."}
_LAYER_NAMES = {"attn.": "attention.", "ln_cls.": "query_norm.", "ln_1.": "frame_norm."}
_MODULE_NAMES = {
    "prompt": "prompt",
    "attn.": "read.attention.",
    "ln_tokens.": "read.prompt_norm.",
    "ln_1.": "read.frame_norm.",
    "ln_2.": "mlp_norm.",
    "mlp.c_fc.": "mlp.0.",
    "mlp.c_proj.": "mlp.2.",
}
_NAMED_AT_MOST = 5
_Scalar = bool | int | float | str


@dataclass(frozen=True)
class AuthorsCheckpoint:
    """One checkpoint.

    Attributes:
        encoder: the image encoder's weights, under the authors' names.
        classifier: temporal encoder and head, as a state of our `ClipClassifier`.
        retrieval: the MR modules, each as a state of our `MemoryRetrieval`; none in the mode `identity`.
        flags: the command line that it was trained with, as far as its values are text or numbers.
    """

    encoder: Mapping[str, Tensor]
    classifier: Mapping[str, Tensor]
    retrieval: tuple[Mapping[str, Tensor], ...]
    flags: Mapping[str, Any]

    @property
    def frames(self) -> int:
        """Frames of a dense clip."""
        return len(self.classifier["encoder.temporal_embedding"])

    @property
    def layers(self) -> int:
        """Cross-attention layers of the temporal encoder."""
        return len({name.split(".")[2] for name in self.classifier if name.startswith("encoder.layers.")})

    @property
    def classes(self) -> int:
        """Rows of the head: all classes of the benchmark."""
        return len(self.classifier["head.weight"])


def read_authors_checkpoint(path: Path) -> AuthorsCheckpoint:
    """Read a checkpoint and account for every key; that none of the encoder's is missing is seen when it is built.

    Raises:
        CheckpointError: the file is missing, damaged or no such checkpoint; it names more than plain data; a key is
            missing, extra, or of another shape.
    """
    content = read_pickled_checkpoint(path)
    content = content if isinstance(content, dict) else {}
    model, arguments = content.get("model"), content.get("args", argparse.Namespace())
    if not isinstance(model, dict) or not isinstance(arguments, argparse.Namespace):
        held = ", ".join(
            f"{str(key)[:40]} ({type(value).__name__})" for key, value in [*content.items()][:_NAMED_AT_MOST]
        )
        raise CheckpointError(
            f"{path} is no checkpoint of the authors' code: it holds {held or 'nothing'}; give files with the "
            "network's state under 'model' and an argparse.Namespace under 'args'"
        )
    tower, own = split_clip(_dense(path, model))
    _account(path, own)
    return AuthorsCheckpoint(
        encoder=tower,
        classifier=_classifier(own),
        retrieval=tuple(_renamed(own, prefix, _MODULE_NAMES) for prefix in _module_prefixes(own)),
        flags={name: value for name, value in vars(arguments).items() if value is None or isinstance(value, _Scalar)},
    )


def _dense(path: Path, model: dict[Any, Any]) -> dict[str, Tensor]:
    """Return the parameters as plain float32 tensors.

    Raises:
        CheckpointError: one is not a dense tensor of finite real numbers.
    """
    plain = {}
    for name, value in model.items():
        reason = None
        if not isinstance(name, str) or not isinstance(value, Tensor):
            reason = f"is a {type(value).__name__}"
        elif value.layout != torch.strided or value.device.type != "cpu" or not value.is_floating_point():
            reason = f"is {value.dtype}, {value.layout}, on {value.device.type}"
        elif not torch.isfinite(value).all():
            reason = "holds numbers that are not finite"
        if reason is not None:
            raise CheckpointError(
                f"{path}: {str(name)[:80]!r} {reason}; the network's state must be dense floating-point tensors by name"
            )
        plain[name] = value.detach().float()
    return plain


def _account(path: Path, own: Mapping[str, Tensor]) -> None:
    bare = [name for name in (_QUERY, _EMBEDDING, "head.weight") if name not in own]
    # Without these the other shapes are not known.
    shapes = _expected(own) if not bare else dict.fromkeys(bare, ())
    faults = faults_of({} if bare else own, shapes)
    if faults:
        raise CheckpointError(
            f"{path} does not hold the authors' released network; {'; '.join(faults)}. Every key must be accounted "
            "for: give a checkpoint of their released code, prompt mode 'cross'"
        )


def _expected(own: Mapping[str, Tensor]) -> Shapes:
    dim = own[_QUERY].numel()
    frames = own[_EMBEDDING].shape[1] if own[_EMBEDDING].ndim == 3 else 0
    classes = own["head.weight"].shape[0] if own["head.weight"].ndim else 0
    shapes: Shapes = {
        _QUERY: (dim,),
        _EMBEDDING: (1, frames, dim),
        "head.weight": (classes, dim),
        "head.bias": (classes,),
    }
    for prefix in _numbered(own, _LAYER):
        shapes |= _attention(prefix, dim) | _norms(prefix, dim, "ln_1", "ln_cls")
    for prefix in _module_prefixes(own):
        shapes |= _attention(prefix, dim) | _norms(prefix, dim, "ln_1", "ln_2", "ln_tokens")
        shapes[f"{prefix}prompt"] = (frames, dim)
        shapes |= {f"{prefix}mlp.c_fc.weight": (4 * dim, dim), f"{prefix}mlp.c_fc.bias": (4 * dim,)}
        shapes |= {f"{prefix}mlp.c_proj.weight": (dim, 4 * dim), f"{prefix}mlp.c_proj.bias": (dim,)}
    return shapes


def _attention(prefix: str, dim: int) -> Shapes:
    return {
        f"{prefix}attn.in_proj_weight": (3 * dim, dim),
        f"{prefix}attn.in_proj_bias": (3 * dim,),
        f"{prefix}attn.out_proj.weight": (dim, dim),
        f"{prefix}attn.out_proj.bias": (dim,),
    }


def _norms(prefix: str, dim: int, *names: str) -> Shapes:
    return {f"{prefix}{name}.{part}": (dim,) for name in names for part in ("weight", "bias")}


def _module_prefixes(own: Mapping[str, Tensor]) -> list[str]:
    """Return the prefix of each MR module: numbered, one per task, or the only one of the mode `global`."""
    return [f"{_MODULE}."] if f"{_MODULE}.prompt" in own else _numbered(own, _MODULE)


def _numbered(own: Mapping[str, Tensor], name: str) -> list[str]:
    """Return `name.0.`, `name.1.`, ...: those that there are, and the first number that is missing among them."""
    numbers = {int(match[1]) for key in own if (match := re.match(rf"{name}\.(\d{{1,6}})\.", key))}
    first_free = next(number for number in range(len(numbers) + 1) if number not in numbers)
    if numbers and first_free < max(numbers):
        numbers.add(first_free)
    return [f"{name}.{number}." for number in sorted(numbers)]


def _classifier(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state = _renamed({**own, _EMBEDDING: own[_EMBEDDING][0]}, "", _CLASSIFIER_NAMES)
    for layer, prefix in enumerate(_numbered(own, _LAYER)):
        renamed = _renamed(own, prefix, _LAYER_NAMES)
        state |= {f"encoder.layers.{layer}.{name}": value for name, value in renamed.items()}
    return state


def _renamed(own: Mapping[str, Tensor], prefix: str, names: Mapping[str, str]) -> dict[str, Tensor]:
    return {
        ours + name.removeprefix(prefix + theirs): value
        for theirs, ours in names.items()
        for name, value in own.items()
        if name.startswith(prefix + theirs)
    }
