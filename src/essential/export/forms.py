"""The forms of an export, each a file that takes any number of clips: ONNX, and `torch.export` (`.pt2`)."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from essential.errors import ConfigError, ExportError
from essential.extras import require_extra

Values = np.ndarray[Any, np.dtype[Any]]
# Clips, any number of them, in; every output for them, out.
Run = Callable[[Values], list[Values]]

# The name of the dimension of clips, and that of the description inside a `.pt2`.
CLIPS, NOTE = "clips", "essential.json"
# A program is made by tracing some clips; one clip would count as "always one".
CLIPS_TRACED = 2
# What tracing and translating were seen to raise; torch's own errors are among them.
_REFUSALS = (RuntimeError, TypeError, ValueError, NotImplementedError)
_ONNX_NEEDS = ("onnx", "onnxscript", "onnxruntime")
# A protocol buffer holds less than 2 GiB; the graph itself is small.
_MOST_BYTES = 2**31 - 2**24


class Form(NamedTuple):
    """How a file is made of a program and its description, and how it is loaded to be run."""

    require: Callable[[], None]
    content: Callable[[ExportedProgram, Mapping[str, Any]], bytes]
    run: Callable[[bytes], Run]


def form_of(path: Path) -> Form:
    """Return the form that a file's name asks for; ConfigError if there is none."""
    if path.suffix.lower() not in FORMS:
        raise ConfigError(f"the export's name must end in {' or '.join(FORMS)}", where=path)
    return FORMS[path.suffix.lower()]


def program_of(module: nn.Module, clips: Tensor) -> ExportedProgram:
    """Return the program of a module, traced on `CLIPS_TRACED` clips; ExportError if it cannot be one."""
    with torch.no_grad(), _exporting("torch.export"):
        return torch.export.export(module, (clips,), dynamic_shapes=({0: Dim(CLIPS)},))


def eager_run(module: nn.Module) -> Run:
    """Return what runs a module of torch, such as one that is to be exported."""

    def run(clips: Values) -> list[Values]:
        with torch.no_grad():
            return [output.numpy() for output in module(torch.from_numpy(clips))]

    return run


def pt2_bytes(program: ExportedProgram, note: Mapping[str, Any]) -> bytes:
    """Return the content of the file that `torch.export.load` reads, with the description in it."""
    target = BytesIO()
    with _exporting("torch.export"):
        torch.export.save(program, target, extra_files={NOTE: json.dumps(note, ensure_ascii=False)})
    return target.getvalue()


def pt2_run(content: bytes) -> Run:
    """Load such a file's content, as its user would, and return what runs it."""
    with _exporting("torch.export"):
        return eager_run(torch.export.load(BytesIO(content)).module())


def require_onnx() -> None:
    """Raise a ConfigError if a package that ONNX needs is missing."""
    require_extra("export", *_ONNX_NEEDS, of="an ONNX file", instead=", or write a FILE.pt2, which needs torch alone")


def onnx_bytes(program: ExportedProgram, note: Mapping[str, Any]) -> bytes:
    """Return the content of an ONNX file, every entry of the description a JSON text in its metadata.

    Raises:
        ExportError: it would be too large, or a part of it is not in ONNX.
    """
    import onnx

    weights = [*program.state_dict.values(), *program.constants.values()]
    size = sum(each.numel() * each.element_size() for each in weights if isinstance(each, torch.Tensor))
    if size > _MOST_BYTES:
        raise ExportError(
            f"the model has {size / 2**30:.1f} GiB of numbers, and one ONNX file holds less than 2; write a FILE.pt2"
        )
    names = list(note["outputs"])
    with _exporting("ONNX"), _without_notes():
        made = torch.onnx.export(
            program, dynamo=True, input_names=[note["input"]["name"]], output_names=names, verbose=False
        )
    assert made is not None, "what the exporter returns without a file's name"
    model = made.model_proto
    # Names of shapes in between, which nothing needs.
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = CLIPS
    onnx.helper.set_model_props(model, {name: json.dumps(value, ensure_ascii=False) for name, value in note.items()})
    content: bytes = model.SerializeToString()
    return content


def onnx_run(content: bytes) -> Run:
    """Load such content with onnxruntime, on the CPU, and return what runs it."""
    import onnxruntime

    with _exporting("onnxruntime"):
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (name,) = (each.name for each in session.get_inputs())

    def run(clips: Values) -> list[Values]:
        outputs: list[Values] = session.run(None, {name: clips})
        return outputs

    return run


FORMS = {".onnx": Form(require_onnx, onnx_bytes, onnx_run), ".pt2": Form(lambda: None, pt2_bytes, pt2_run)}


@contextmanager
def _exporting(what: str) -> Iterator[None]:
    """Turn an exporter's refusal into an ExportError of one sentence, and hide its notes to its own authors."""
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


@contextmanager
def _without_notes() -> Iterator[None]:
    """Silence the optimiser, which notes of every layer norm that it is not folded."""
    logger = logging.getLogger("onnxscript")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
