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
from essential.models.classifier import ClipClassifier
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
    classifier = ClipClassifier(
        WIDTH, frames=FRAMES, layers=layers, heads=1, dropout=0.0, drop_path=0.0, init_scale=1.0
    )
    classifier.resize(read.classifier)
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
        (_with("mr_module.3.prompt", FRAMES, WIDTH), r"missing: mr_module\.2\..*mr_module\.2\..* and \d+ more"),
        (_with("head.scale", 1), r"extra: head\.scale\."),
        (_with("mr_module.0.layers.0.weight", 3, 3), r"extra: mr_module\.0\.layers\.0\.weight"),
        (_with("head.bias", 9), r"misshapen: head\.bias is \[9\], expected \[8\]"),
        (_with("mr_module.0.prompt", 8, WIDTH), rf"mr_module\.0\.prompt is \[8, {WIDTH}\], expected \[4, {WIDTH}\]"),
        (_with("decoder_temporal_embedding", FRAMES, WIDTH), "decoder_temporal_embedding is"),
    ],
)
def test_a_key_too_few_too_many_or_of_another_shape(change: Change, message: str, tmp_path: Path) -> None:
    model = network()
    change(model)
    with pytest.raises(CheckpointError, match=rf"task1_checkpoint\.pth does not hold .*{message}"):
        read_authors_checkpoint(save(tmp_path / "task1_checkpoint.pth", model))


@pytest.mark.parametrize("content", [{"state_dict": {}}, {"model": {"a": 1}}, {"model": 3}, [], {}])
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
