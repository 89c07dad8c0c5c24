"""The program as an ONNX model, its description in the model's metadata, and run by onnxruntime."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch.export import ExportedProgram

from essential.errors import ConfigError, ExportError
from essential.export.description import CLIPS
from essential.export.program import Run, Values, exporting

_NEEDED = ("onnx", "onnxscript", "onnxruntime")
# A protocol buffer holds less than 2 GiB; the graph itself is small.
_MOST_BYTES = 2**31 - 2**24


def require_onnx() -> None:
    """Refuse to go on without the packages that ONNX needs.

    Raises:
        ConfigError: names those that are missing, and what to install.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"an ONNX file needs {', '.join(missing)}, which is not installed here; install the extra: "
            "pip install 'essential-video[export]', or write a FILE.pt2, which needs torch alone"
        )


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
    with exporting("ONNX"), _without_notes():
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

    with exporting("onnxruntime"):
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (name,) = (each.name for each in session.get_inputs())

    def run(clips: Values) -> list[Values]:
        outputs: list[Values] = session.run(None, {name: clips})
        return outputs

    return run


@contextmanager
def _without_notes() -> Iterator[None]:
    """Keep the optimiser quiet, which says of every layer norm that it is not folded."""
    logger = logging.getLogger("onnxscript")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
