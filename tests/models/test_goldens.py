"""Our modules against the outputs of the authors' code, from weights drawn as `goldens/README.md` says."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from essential.models.classifier import ClipClassifier
from essential.models.memory_retrieval import MemoryRetrieval
from goldens.drawing import NAMES, draw, draw_weights, read_notes

GOLDENS = Path(__file__).parents[3] / "shared" / "goldens"

pytestmark = pytest.mark.skipif(not GOLDENS.is_dir(), reason="the authors' golden outputs are not beside this clone")


def _renamed(weights: dict[str, Tensor], prefix: str, names: dict[str, str]) -> dict[str, Tensor]:
    return {
        ours + rest: value
        for theirs, ours in names.items()
        for key, value in weights.items()
        if key.startswith(prefix + theirs) and (rest := key[len(prefix + theirs) :]) is not None
    }


def _classifier(weights: dict[str, Tensor], layers: int) -> ClipClassifier:
    classifier = ClipClassifier(768, frames=8, layers=layers, heads=12, dropout=0.2, drop_path=0.2, init_scale=1.0)
    state = {
        "encoder.temporal_embedding": weights["decoder_temporal_embedding"][0],
        "encoder.query": weights["decoder_cls"],
        "head.weight": weights["head.weight"],
        "head.bias": weights["head.bias"],
    }
    for layer in range(layers):
        names = {"attn.": "attention.", "ln_cls.": "query_norm.", "ln_1.": "frame_norm."}
        names = {theirs: f"encoder.layers.{layer}.{ours}" for theirs, ours in names.items()}
        state |= _renamed(weights, f"decoder_transformer_for_cls.{layer}.", names)
    classifier.resize(state)
    classifier.load_state_dict(state)
    return classifier.eval()


def _retrieval(weights: dict[str, Tensor], task: int) -> MemoryRetrieval:
    module = MemoryRetrieval(768, frames=8, kept=2, heads=12, drop_path=0.2)
    names = {
        "prompt": "prompt",
        "attn.": "read.attention.",
        "ln_tokens.": "read.prompt_norm.",
        "ln_1.": "read.frame_norm.",
        "ln_2.": "mlp_norm.",
        "mlp.c_fc.": "mlp.0.",
        "mlp.c_proj.": "mlp.2.",
    }
    module.load_state_dict(_renamed(weights, f"mr_module.{task}.", names))
    return module.eval()


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_modules_match_the_authors_outputs(name: str) -> None:
    meta = read_notes(GOLDENS, name)
    golden = load_file(GOLDENS / f"{name}.safetensors")
    seed = int(meta["seed"])
    weights = draw_weights(GOLDENS, name, seed)
    classifier = _classifier(weights, int(meta["temporal_layers"]))
    features = draw(seed, "features", [6, 8, 768])
    dense_positions = torch.arange(8).expand(6, 8)
    dense = classifier.encoder.place(features, dense_positions)
    kept = torch.gather(features, 1, golden["positions"][..., None].expand(-1, -1, 768))
    sparse = classifier.encoder.place(kept, golden["positions"])
    modules = [_retrieval(weights, task) for task in range(int(meta["tasks"]))]
    retrieved = torch.cat([modules[task](sparse[i : i + 1]) for i, task in enumerate(golden["task"].tolist())])
    dense_tokens, retrieved_tokens = classifier.encoder(dense), classifier.encoder(retrieved)
    sparse_tokens = classifier.tokens(kept, golden["positions"])
    ours = {
        "dense_tokens": dense_tokens,
        "logits_dense": classifier(features),
        "sparse_tokens": sparse_tokens,
        "logits_sparse": classifier.logits(sparse_tokens),
        "retrieved": retrieved,
        "retrieved_tokens": retrieved_tokens,
        "logits_retrieved": classifier.logits(retrieved_tokens),
        "static_matching": torch.nn.functional.mse_loss(retrieved, dense)[None],
        "temporal_matching_encoded": torch.nn.functional.mse_loss(retrieved_tokens, dense_tokens)[None],
    }
    for array, value in ours.items():
        torch.testing.assert_close(value, golden[array], atol=1e-5, rtol=0, msg=lambda m, a=array: f"{a}: {m}")
