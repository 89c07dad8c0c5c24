"""A checkpoint of the authors' code: every key has its place, or the file is refused and nothing in it runs."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from authors_files import FRAMES, WIDTH, classifier_shapes, network, save, tower_shapes
from torch import Tensor

from essential.authors.checkpoint import read_authors_checkpoint
from essential.errors import CheckpointError
from essential.models.classifier import ClipClassifier, GrowingHead
from essential.models.memory_retrieval import MemoryRetrieval

Change = Callable[[dict[str, Tensor]], Any]


@pytest.mark.parametrize(("modules", "layers"), [(0, 1), (1, 1), (3, 2)])
def test_every_key_goes_to_its_part(modules: int, layers: int, tmp_path: Path) -> None:
    model = network(classes=5, modules=modules, layers=layers)
    read = read_authors_checkpoint(save(tmp_path / "task1_checkpoint.pth", model, fs_topk=2, lr=1e-3))
    assert read.encoder.keys() == tower_shapes().keys()
    assert len(read.classifier) + sum(map(len, read.retrieval)) == len(
        classifier_shapes(classes=5, modules=modules, layers=layers)
    )
    assert (read.frames, read.layers, read.classes, len(read.retrieval)) == (FRAMES, layers, 5, modules)
    assert read.flags == {"fs_topk": 2, "lr": 1e-3}
    head = GrowingHead(WIDTH, init_scale=1.0)
    classifier = ClipClassifier(WIDTH, frames=FRAMES, layers=layers, heads=1, dropout=0.0, drop_path=0.0, head=head)
    classifier.load_state_dict(read.classifier)
    for state in read.retrieval:
        MemoryRetrieval(WIDTH, frames=FRAMES, kept=2, heads=1, drop_path=0.0).load_state_dict(state)


def test_the_only_module_of_the_mode_global_has_no_number(tmp_path: Path) -> None:
    model = {name.replace("mr_module.0.", "mr_module."): value for name, value in network(modules=1).items()}
    assert len(read_authors_checkpoint(save(tmp_path / "c.pth", model)).retrieval) == 1


def _without(name: str) -> Change:
    return lambda model: model.pop(name)


def _with(name: str, *shape: int) -> Change:
    return lambda model: model.update({name: torch.zeros(shape)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("decoder_cls"), "missing: decoder_cls"),
        (_without("mr_module.1.attn.in_proj_bias"), r"missing: mr_module\.1\.attn\.in_proj_bias\. Every key"),
        (_with("mr_module.3.prompt", FRAMES, WIDTH), r"missing: mr_module\.2\..*mr_module\.2\..*, \.\.\."),
        (_with("head.scale", 1), r"not known: head\.scale\."),
        (_with("mr_module.0.layers.0.weight", 3, 3), r"not known: mr_module\.0\.layers\.0\.weight"),
        (_with("head.bias", 9), r"of another shape: head\.bias 9 instead of 8"),
        (_with("mr_module.0.prompt", 8, WIDTH), rf"mr_module\.0\.prompt 8x{WIDTH} instead of 4x{WIDTH}"),
        (_with("decoder_temporal_embedding", FRAMES, WIDTH), "decoder_temporal_embedding .* instead of"),
        (_with("head.weight"), r"head\.weight scalar instead of"),
        (_with("mr_module.30000000.prompt", FRAMES, WIDTH), r"not known: mr_module\.30000000\.prompt"),
        (_with("mr_module.300000.prompt", FRAMES, WIDTH), r"missing: mr_module\.2\."),
        (_with("decoder_transformer_for_cls.99999999999.x", 1), "not known: decoder_transformer_for_cls"),
    ],
)
def test_a_key_too_few_too_many_or_of_another_shape(change: Change, message: str, tmp_path: Path) -> None:
    model = network()
    change(model)
    with pytest.raises(CheckpointError, match=rf"task1_checkpoint\.pth does not hold .*{message}"):
        read_authors_checkpoint(save(tmp_path / "task1_checkpoint.pth", model))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("head.bias", 3, r"'head\.bias' is a int"),
        (7, torch.zeros(2), "'7' is a Tensor"),
        ("head.bias", torch.zeros(8, dtype=torch.int8), r"'head\.bias' is torch\.int8"),
        ("head.bias", torch.zeros(8, dtype=torch.complex64), r"'head\.bias' is torch\.complex64"),
        ("head.bias", torch.zeros(8).to_sparse(), r"'head\.bias' is torch\.float32, torch\.sparse_coo"),
        ("head.bias", torch.full((8,), float("nan")), r"'head\.bias' holds numbers that are not finite"),
    ],
)
def test_a_parameter_that_is_none(name: Any, value: Any, message: str, tmp_path: Path) -> None:
    path = save(tmp_path / "task1_checkpoint.pth", {**network(), name: value})
    with pytest.raises(CheckpointError, match=rf"task1_checkpoint\.pth: {message}"):
        read_authors_checkpoint(path)


def test_parameters_of_other_floating_types_become_float32(tmp_path: Path) -> None:
    model: dict[str, Any] = network()
    for name, kind in (
        ("head.weight", torch.bfloat16),
        ("decoder_cls", torch.float16),
        ("conv1.weight", torch.float64),
    ):
        model[name] = model[name].to(kind)
    model["head.bias"] = torch.nn.Parameter(model["head.bias"])
    read = read_authors_checkpoint(save(tmp_path / "c.pth", model))
    for state in (read.encoder, read.classifier, *read.retrieval):
        assert {value.dtype for value in state.values()} == {torch.float32}
        assert not any(value.requires_grad for value in state.values())


def test_flags_that_are_no_text_or_number_are_left_out(tmp_path: Path) -> None:
    flags = {"lr": 0.1, "mixup_fn": None, "n_videos": [3, 4], "skip": {"a"}, "weights": torch.zeros(2)}
    assert read_authors_checkpoint(save(tmp_path / "c.pth", network(), **flags)).flags == {"lr": 0.1, "mixup_fn": None}


@pytest.mark.parametrize("content", [{"state_dict": {}}, {"model": {}, "args": 3}, {"model": 3}, {3: 4}, [], {}])
def test_a_file_of_another_kind(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "task1_checkpoint.pth")
    with pytest.raises(CheckpointError, match=r"task1_checkpoint\.pth is no checkpoint of the authors' code"):
        read_authors_checkpoint(tmp_path / "task1_checkpoint.pth")


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)

    def __init__(self, path: Path) -> None:
        self.path = path


def test_nothing_in_it_runs(tmp_path: Path) -> None:
    bait = tmp_path / "it ran"
    for name, content in (("zip.pth", None), ("raw.pth", pickle.dumps({"model": _Trap(bait)}, protocol=2))):
        path = tmp_path / name
        if content is None:
            torch.save({"model": network(), "args": _Trap(bait)}, path)
        else:
            path.write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"{name} (is refused|is damaged)"):
            read_authors_checkpoint(path)
        assert not bait.exists()
    pickle.loads((tmp_path / "raw.pth").read_bytes())  # the trap works where a pickle is executed
    assert bait.exists()


def test_a_damaged_or_missing_file(tmp_path: Path) -> None:
    path = save(tmp_path / "task1_checkpoint.pth", network())
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CheckpointError, match=r"task1_checkpoint\.pth"):
        read_authors_checkpoint(path)
