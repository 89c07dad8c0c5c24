"""A checkpoint of the authors' network (jong980812/ESSENTIAL, `task{N}_checkpoint.pth`), split into our parts, and its
flags as settings of ours.

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

_EMBEDDING, _QUERY = "decoder_temporal_embedding", "decoder_cls"
_LAYER, _MODULE = "decoder_transformer_for_cls", "mr_module"
# Of each part of their network: their name, ours, and what follows in both, with its shape in dim (d), frames (f) and
# classes (c). An attention's own parameters have the same names in both: it is torch's module.
_Names = Mapping[str, tuple[str, Mapping[str, str]]]
_ATTENTION = {"in_proj_weight": "3d d", "in_proj_bias": "3d", "out_proj.weight": "d d", "out_proj.bias": "d"}
_NORM = {"weight": "d", "bias": "d"}
_CLASSIFIER: _Names = {
    _EMBEDDING: ("encoder.temporal_embedding", {"": "1 f d"}),
    _QUERY: ("encoder.query", {"": "d"}),
    "head.": ("head.", {"weight": "c d", "bias": "c"}),
}
_OF_LAYER: _Names = {
    "attn.": ("attention.", _ATTENTION),
    "ln_cls.": ("query_norm.", _NORM),
    "ln_1.": ("frame_norm.", _NORM),
}
_OF_MODULE: _Names = {
    "prompt": ("prompt", {"": "f d"}),
    "attn.": ("read.attention.", _ATTENTION),
    "ln_tokens.": ("read.prompt_norm.", _NORM),
    "ln_1.": ("read.frame_norm.", _NORM),
    "ln_2.": ("mlp_norm.", _NORM),
    "mlp.c_fc.": ("mlp.0.", {"weight": "4d d", "bias": "4d"}),
    "mlp.c_proj.": ("mlp.2.", {"weight": "d 4d", "bias": "d"}),
}
# Their flags (`run_cil.py` at aae26df) that a setting of ours has as they are; `docs/flags.md` treats every flag.
SETTINGS: dict[str, str] = {
    "num_frames": "video.frames",
    "input_size": "encoder.size",
    "reprob": "video.augment.erase_probability",
    "temporal_layer": "method.classifier.layers",
    "temporal_heads": "method.classifier.heads",
    "init_scale": "method.classifier.init_scale",
    "memory_mode": "method.memory_mode",
    "prompt_mode": "method.prompt_mode",
    "fs_topk": "method.frames_kept",
    "rehearsal_samples_per_class": "method.exemplars_per_class",
    "rehearsal_epochs": "method.rehearsal_epochs",
    "static_matching_weight": "method.static_matching_weight",
    "temporal_matching_weight": "method.temporal_matching_weight",
    "virtual_weight": "method.retrieved_weight",
    "batch_size": "training.batch_size",
    "epochs": "training.epochs",
    "lr": "training.learning_rate",
    "min_lr": "training.min_learning_rate",
    "warmup_epochs": "training.warmup_epochs",
    "weight_decay": "training.weight_decay",
    "seed": "seed",
}
_RENAMED_VALUES: dict[tuple[str, Any], str] = {("prompt_mode", "3_layer_mlp"): "mlp"}
_NAMED_AT_MOST = 5
_Scalar = bool | int | float | str


@dataclass(frozen=True)
class AuthorsCheckpoint:
    """One checkpoint."""

    encoder: Mapping[str, Tensor]  # the image encoder's weights, under the authors' names
    classifier: Mapping[str, Tensor]  # temporal encoder and head, as a state of our `ClipClassifier`
    retrieval: tuple[Mapping[str, Tensor], ...]  # MR modules, as states of our `MemoryRetrieval`; none: mode `identity`
    flags: Mapping[str, Any]  # the command line that it was trained with, as far as its values are text or numbers

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
    """Read a checkpoint and account for every key; missing ones of the encoder are found when it is built.

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
    classifier = _renamed({**own, _EMBEDDING: own[_EMBEDDING][0]}, "", _CLASSIFIER)
    for layer, prefix in enumerate(_numbered(own, _LAYER)):
        state = _renamed(own, prefix, _OF_LAYER)
        classifier |= {f"encoder.layers.{layer}.{name}": value for name, value in state.items()}
    return AuthorsCheckpoint(
        encoder=tower,
        classifier=classifier,
        retrieval=tuple(_renamed(own, prefix, _OF_MODULE) for prefix in _module_prefixes(own)),
        flags={name: value for name, value in vars(arguments).items() if value is None or isinstance(value, _Scalar)},
    )


def _dense(path: Path, model: dict[Any, Any]) -> dict[str, Tensor]:
    """Return the parameters as float32; raise a CheckpointError unless each is a dense tensor of finite numbers."""
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
    """Refuse a network in which a key is missing, extra, or of another shape."""
    bare = [name for name in (_QUERY, _EMBEDDING, "head.weight") if name not in own]
    # Without these the other shapes are not known.
    shapes = dict.fromkeys(bare, ()) if bare else _expected(own)
    faults = faults_of({} if bare else own, shapes)
    if faults:
        raise CheckpointError(
            f"{path} does not hold the authors' released network; {'; '.join(faults)}. Every key must be accounted "
            "for: give a checkpoint of their released code, prompt mode 'cross'"
        )


def _expected(own: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    dim = own[_QUERY].numel()
    frames = own[_EMBEDDING].shape[1] if own[_EMBEDDING].ndim == 3 else 0
    classes = own["head.weight"].shape[0] if own["head.weight"].ndim else 0
    sizes = {"1": 1, "d": dim, "3d": 3 * dim, "4d": 4 * dim, "f": frames, "c": classes}
    parts = [("", _CLASSIFIER)]
    parts += [(prefix, _OF_LAYER) for prefix in _numbered(own, _LAYER)]
    parts += [(prefix, _OF_MODULE) for prefix in _module_prefixes(own)]
    return {
        f"{prefix}{theirs}{rest}": tuple(sizes[size] for size in shape.split())
        for prefix, names in parts
        for theirs, (_, rests) in names.items()
        for rest, shape in rests.items()
    }


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


def _renamed(own: Mapping[str, Tensor], prefix: str, names: _Names) -> dict[str, Tensor]:
    return {
        f"{ours}{rest}": own[f"{prefix}{theirs}{rest}"] for theirs, (ours, rests) in names.items() for rest in rests
    }


def settings_of(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the flags of a checkpoint give, by their names in a config.

    Flags without a value, and those that no setting has as they are, are left out. Their code multiplies its learning
    rates by the batch size before it saves them, so they are not scaled again.
    """
    settings: dict[str, Any] = {"training.scale_learning_rate": False} if "lr" in flags else {}
    for name, value in flags.items():
        if name in SETTINGS and isinstance(value, _Scalar):
            settings[SETTINGS[name]] = _RENAMED_VALUES.get((name, value), value)
    return settings
