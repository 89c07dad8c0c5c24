"""Weight files of other people, read without running anything that is in them, and fitted to a network key by key."""

import argparse
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from essential.errors import CheckpointError
from essential.files.given import plain_file

PICKLE_SUFFIXES = (".pth", ".pt", ".bin")
# Where a training script puts the weights in its checkpoint, and what it puts in front of their names.
_WRAPPERS = ("state_dict", "model", "module")
_PREFIXES = ("module.", "backbone.")
_DEEPEST_WRAPPING = 3
_NAMED = 3

State = Mapping[str, Tensor]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weight file by name, without the wrapping of the script that wrote them.

    A pickle may hold tensors, plain data and `argparse.Namespace`, as the authors' checkpoints do; anything else is
    refused before it is made.

    Raises:
        CheckpointError: the file is missing, damaged, of another kind, or a pickle that asks for something else.
    """
    if not path.exists():
        raise CheckpointError(f"there is no weight file {path}; give it with -s encoder.weights=FILE")
    plain_file(path)
    if path.suffix == ".safetensors":
        try:
            return _unwrapped(load_file(path), path)
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"{path} is damaged and cannot be read ({error}); get it again") from error
    if path.suffix in PICKLE_SUFFIXES:
        return _unwrapped(read_pickled_checkpoint(path), path)
    raise CheckpointError(
        f"{path} ends in {path.suffix!r}; a weight file ends in .safetensors, {', '.join(PICKLE_SUFFIXES)}"
    )


def read_pickled_checkpoint(path: Path) -> Any:
    """Return what a checkpoint of torch holds; a CheckpointError names what else than plain data it asks for."""
    if _is_torchscript(plain_file(path)):
        raise CheckpointError(
            f"{path} is a TorchScript program, not a weight file, and programs are not run here; in a Python that "
            "trusts it: torch.save(torch.jit.load(FILE, map_location='cpu').state_dict(), 'weights.pt'), then use "
            "weights.pt"
        )
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            # Of other pickle protocols and of sparse tensors: the file is read, or it is not.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        # Torch's own words advise to switch the check off.
        reason = f"it asks for {wanted[1]}" if wanted else "it is damaged, or not plain data"
        raise CheckpointError(
            f"{path} is refused: {reason}, and only tensors, plain data and argparse.Namespace are read; save its "
            "state_dict alone, best as .safetensors"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged and cannot be read ({error}); get it again") from error


def fit_weights(
    network: nn.Module,
    state: State,
    *,
    path: Path,
    encoder: str,
    leftovers: Sequence[str] = (),
    shown: Callable[[str], str] = str,
) -> None:
    """Load `state` into `network`: every tensor of the network from the file, and every one of the file in it.

    Args:
        leftovers: starts of names that are known not to be the network's: a classifier, a text tower.
        shown: from a name in `state` to the one in the file, for the message.

    Raises:
        CheckpointError: a key is missing, is not known, or has another shape.
    """
    wanted = network.state_dict()
    shapes = {key: tensor.shape for key, tensor in wanted.items()}
    faults = faults_of(state, shapes, leftovers=leftovers, shown=shown)
    mistyped = [
        f"{shown(key)} {state[key].dtype}"
        for key in wanted
        if key in state and state[key].is_floating_point() != wanted[key].is_floating_point()
    ]
    if mistyped:
        faults.append(_fault("of another type", mistyped))
    if faults:
        raise CheckpointError(
            f"it does not fit the encoder {encoder!r}: its keys are not the network's ({'; '.join(faults)}). These "
            "are weights of another architecture",
            where=path,
            remedy="give the encoder.name, encoder.arguments and encoder.temporal_adapters that they were trained with",
        )
    network.load_state_dict({key: state[key] for key in wanted})


def faults_of(
    state: State,
    shapes: Mapping[str, Sequence[int]],
    *,
    leftovers: Sequence[str] = (),
    shown: Callable[[str], str] = str,
) -> list[str]:
    """Return what of `state` is missing, not known or of another shape, a text for each; see `fit_weights`."""
    found = {
        "missing": [shown(key) for key in shapes if key not in state],
        "not known": [shown(key) for key in state if key not in shapes and not key.startswith(tuple(leftovers))],
        "of another shape": [
            f"{shown(key)} {_shape(state[key].shape)} instead of {_shape(shape)}"
            for key, shape in shapes.items()
            if key in state and tuple(state[key].shape) != tuple(shape)
        ],
    }
    return [_fault(what, keys) for what, keys in found.items() if keys]


def _fault(what: str, keys: Sequence[str]) -> str:
    return f"{len(keys)} {what}: {', '.join(keys[:_NAMED])}{', ...' if len(keys) > _NAMED else ''}"


def _is_torchscript(path: Path) -> bool:
    # Of a file that is no archive, or a damaged one, torch says what is wrong with it.
    with suppress(zipfile.BadZipFile, OSError), zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
    return False


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    for _ in range(_DEEPEST_WRAPPING):
        inside = [content.get(name) for name in _WRAPPERS] if isinstance(content, Mapping) else []
        content = next((one for one in inside if isinstance(one, Mapping)), content)
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{path} holds {type(content).__name__}, not named tensors; it is no weight file")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: {repr(key)[:80]} is a {type(value).__name__}, not a tensor; the weights must stand alone or "
                f"under one of {', '.join(_WRAPPERS)}"
            )
    state = dict(content)
    for prefix in _PREFIXES:
        bare = {key.removeprefix(prefix): value for key, value in state.items()}
        # Two tensors of one name: the prefix distinguishes them, and stays.
        state = bare if len(bare) == len(state) else state
    return state


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
