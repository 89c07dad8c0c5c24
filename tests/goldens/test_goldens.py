"""The authors' outputs, from checkpoints that go through `essential import-checkpoint`: every array, both goldens."""

import sys
from pathlib import Path

import pytest
from check import compare, import_golden, load_run
from drawing import read_golden

ARRAYS = {
    *("frame_features", "dense_tokens", "logits_dense", "sparse_tokens", "logits_sparse", "retrieved"),
    *("retrieved_tokens", "logits_retrieved", "static_matching"),
    *("temporal_matching_encoded", "temporal_matching_released"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain_1layer", "adapted_3layer"])
def test_an_imported_checkpoint_computes_what_the_authors_do(
    name: str, shared_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [])
    folder = shared_folder / "goldens"
    golden = read_golden(folder, name)
    differences = compare(golden, *load_run(import_golden(folder, name, tmp_path)))
    assert differences.keys() == ARRAYS
    assert max(differences.values()) < 1e-5, differences
    assert f"{len(golden.keys)} keys in each checkpoint, all accounted for" in capsys.readouterr().out
