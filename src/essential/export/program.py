"""The module as a program of `torch.export` that takes any number of clips, and the file of one (`.pt2`)."""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from essential.errors import ExportError
from essential.export.description import CLIPS

Values = np.ndarray[Any, np.dtype[Any]]
# Clips, any number of them, in; every output for them, out.
Run = Callable[[Values], list[Values]]

# The name of the description inside the file.
NOTE = "essential.json"
# A program is made by watching it work on some clips; one clip would count as "always one".
CLIPS_WATCHED = 2
# What watching and translating were seen to raise; torch's own errors are among them.
_REFUSALS = (RuntimeError, TypeError, ValueError, NotImplementedError)


def program_of(module: nn.Module, clips: Tensor) -> ExportedProgram:
    """Return the program of a module, made by watching it work on `clips`, `CLIPS_WATCHED` of them.

    Raises:
        ExportError: a part of it cannot be in such a program.
    """
    with torch.no_grad(), exporting("torch.export"):
        return torch.export.export(module, (clips,), dynamic_shapes=({0: Dim(CLIPS)},))


def pt2_bytes(program: ExportedProgram, note: Mapping[str, Any]) -> bytes:
    """Return the content of the file that `torch.export.load` reads, with the description in it."""
    target = BytesIO()
    with exporting("torch.export"):
        torch.export.save(program, target, extra_files={NOTE: json.dumps(note, ensure_ascii=False)})
    return target.getvalue()


def pt2_run(content: bytes) -> Run:
    """Load such a file's content, as its user would, and return what runs it."""
    with exporting("torch.export"):
        return eager_run(torch.export.load(BytesIO(content)).module())


def eager_run(module: nn.Module) -> Run:
    """Return what runs a module of torch, such as one that is to be exported."""

    def run(clips: Values) -> list[Values]:
        with torch.no_grad():
            return [output.numpy() for output in module(torch.from_numpy(clips))]

    return run


@contextmanager
def exporting(what: str) -> Iterator[None]:
    """Say in one sentence why something cannot be exported, and keep the exporters' notes to their own authors quiet.

    Raises:
        ExportError: that sentence.
    """
    with warnings.catch_warnings():
        # torch warns of how it copies its own trees, and of how it reads its own files.
        warnings.filterwarnings("ignore", r".*LeafSpec", FutureWarning)
        warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
        try:
            yield
        except _REFUSALS as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise ExportError(
                f"{what} cannot take this model: {reason}. Nothing was written; a model of another method or encoder "
                "may do, or essential itself can be used (`essential predict`)"
            ) from error
