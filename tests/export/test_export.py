"""`essential export`: the file says what the bundle says, of clips that were read, and is there only if it does."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from labelled_predictors import held_out, labelled_predictor_of
from torchvision.transforms import InterpolationMode, v2
from typer.testing import CliRunner

from essential import VideoLearner, extras
from essential.cli import app
from essential.encoders.tiny import TINY_DIM, build_tiny
from essential.errors import ConfigError, DataError, ExportError, FileSystemError
from essential.export import bundle_export, export_bundle, forms
from essential.export.bundle_export import write_export
from essential.learner.prediction import Prediction
from video_files import turn

EXAMPLE = Path(__file__).parents[2] / "examples" / "use_onnx.py"


@pytest.fixture(scope="module")
def onnx(bundle: Path) -> Path:
    """Return the bundle as an ONNX file, made by the command."""
    path = bundle.with_name("squares.onnx")
    outcome = CliRunner().invoke(app, ["export", str(bundle), "--out", str(path)], catch_exceptions=False)
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith(f"written: {path} (")
    assert "2 labels" in outcome.stdout
    return path


@pytest.fixture(scope="module")
def asked(bundle: Path, clips: dict[str, list[Path]]) -> list[Prediction]:
    """Return what the bundle says of all clips, with the frames that it saw."""
    files = [path for paths in clips.values() for path in paths]
    return list(VideoLearner.load(bundle, overrides=["features.workers=0"]).stream(files, with_frames=True))


def _agrees(labels: list[str], outputs: list[np.ndarray], asked: list[Prediction]) -> None:
    probabilities, unknown = outputs
    wanted = [[dict(prediction.top)[label] for label in labels] for prediction in asked]
    np.testing.assert_allclose(probabilities, wanted, atol=1e-4)
    np.testing.assert_allclose(unknown, [each.unknown_score for each in asked], rtol=1e-4, atol=1e-4)
    # Otherwise the same numbers for every clip would do.
    assert np.ptp(np.array(wanted), axis=0).max() > 0.2
    assert np.ptp(unknown) > 0.2


def test_onnxruntime_says_of_the_frames_what_the_bundle_says(onnx: Path, asked: list[Prediction]) -> None:
    session = onnxruntime.InferenceSession(onnx)
    note = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    assert note["labels"] == ["left", "right"]
    assert [(each.name, each.type, each.shape) for each in session.get_inputs()] == [
        ("frames", "tensor(uint8)", ["clips", 8, 64, 64, 3])
    ]
    assert [each.name for each in session.get_outputs()] == list(note["outputs"]) == ["probabilities", "unknown_score"]
    frames = np.stack([each.frames for each in asked])
    _agrees(note["labels"], session.run(None, {"frames": frames}), asked)
    alone = session.run(None, {"frames": frames[:1]})
    np.testing.assert_allclose(alone[0], [[dict(asked[0].top)[label] for label in note["labels"]]], atol=1e-4)
    beside = json.loads(onnx.with_name("squares.onnx.json").read_text())
    assert beside.pop("checked")["largest_difference"] < 1e-4
    assert beside == note


def test_the_loaded_program_of_torch_export_does_too(bundle: Path, asked: list[Prediction], tmp_path: Path) -> None:
    path = tmp_path / "squares.pt2"
    made = export_bundle(bundle, path)
    assert (made.path, made.labels, made.bytes) == (path, ("left", "right"), path.stat().st_size)
    notes = {"essential.json": ""}
    program = torch.export.load(path, extra_files=notes).module()
    note = json.loads(notes["essential.json"])
    outputs = program(torch.from_numpy(np.stack([each.frames for each in asked])))
    _agrees(note["labels"], [output.numpy() for output in outputs], asked)
    assert json.loads(made.note.read_text())["preparation"] == note["preparation"]


@pytest.mark.parametrize("matrix", [None, (0, 1, -1, 0)])
def test_the_example_needs_nothing_of_us_and_says_the_same(
    onnx: Path, bundle: Path, clips: dict[str, list[Path]], tmp_path: Path, matrix: tuple[int, int, int, int] | None
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clips["right"][5].read_bytes())
    if matrix is not None:
        turn(path, matrix=matrix)
    line = [sys.executable, str(EXAMPLE), str(onnx), str(path)]
    said = subprocess.run(line, capture_output=True, text=True, check=False)
    assert said.stderr == ""
    learner = VideoLearner.load(bundle, overrides=["features.workers=0"])
    (prediction,) = learner.predict(path)
    *label, score = said.stdout.split()
    none = ["none", "of", "these:"] if prediction.unknown else []
    assert label == [*none, prediction.label]
    # A pixel may be rounded to its neighbour.
    assert float(score) == pytest.approx(prediction.score, abs=0.02)


def test_the_example_imports_what_it_says() -> None:
    tree = ast.parse(EXAMPLE.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert names == {"json", "sys", "av", "numpy", "onnxruntime"}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    assert len(EXAMPLE.read_text().splitlines()) < 40


@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
@pytest.mark.parametrize("length", [17, 64, 150])
def test_the_example_scales_as_we_do(kind: str, length: int) -> None:
    (scaled,) = [node for node in ast.parse(EXAMPLE.read_text()).body if isinstance(node, ast.FunctionDef)]
    names: dict[str, Any] = {"np": np}
    exec(compile(ast.Module([scaled], []), str(EXAMPLE), "exec"), names)
    pixels = np.random.default_rng(0).integers(0, 256, (90, 40, 3), np.uint8)
    ours = v2.functional.resize(
        torch.from_numpy(pixels).permute(2, 0, 1), [length, 40], InterpolationMode(kind), antialias=True
    )
    theirs = names["scaled"](pixels, length, kind)
    assert np.abs(theirs - ours.permute(1, 2, 0).numpy().astype(float)).max() <= 1


def test_an_export_of_features_wants_features(tmp_path: Path) -> None:
    labelled, path = labelled_predictor_of("ncm", dim=TINY_DIM), tmp_path / "deep" / "ncm.onnx"
    made = write_export(labelled, build_tiny(), path, held_out=held_out(12, dim=TINY_DIM).features, takes="features")
    assert made.worst_difference < 1e-5
    (given,) = onnxruntime.InferenceSession(path).get_inputs()
    assert (given.name, given.type, given.shape) == ("features", "tensor(float)", ["clips", 8, TINY_DIM])
    assert json.loads(made.note.read_text())["preparation"]["normalise"].endswith("before the encoder")


def _export_ncm(path: Path) -> None:
    labelled = labelled_predictor_of("ncm", dim=TINY_DIM)
    write_export(labelled, build_tiny(), path, held_out=held_out(12, dim=TINY_DIM).features, takes="features")


def _wrong(run: Callable[[np.ndarray], list[np.ndarray]]) -> Callable[[np.ndarray], list[np.ndarray]]:
    return lambda clips: [output[:, ::-1] if output.ndim == 2 else output for output in run(clips)]


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_an_export_that_says_something_else_is_not_written(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = forms.FORMS[suffix]
    wrong = form._replace(run=lambda content: _wrong(form.run(content)))
    monkeypatch.setitem(forms.FORMS, suffix, wrong)
    with pytest.raises(ExportError, match="differs from the learner"):
        _export_ncm(tmp_path / f"ncm{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_the_model_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "ncm.pt2"
    path.mkdir()  # nothing can be renamed to it
    for before in (None, "before"):
        beside = tmp_path / "ncm.pt2.json"
        if before is not None:
            beside.write_text(before)
        with pytest.raises(FileSystemError, match=r"cannot write .*ncm\.pt2"):
            bundle_export._write_both(path, b"model", beside, {"labels": []})
        assert (beside.read_text() if beside.exists() else None) == before
    assert len(list(tmp_path.iterdir())) == 2


def test_a_model_too_large_for_one_forms_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "_MOST_BYTES", 1000)
    with pytest.raises(
        ExportError, match=r"0\.0 GiB of numbers, and one ONNX file holds less than 2; write a FILE\.pt2"
    ):
        _export_ncm(tmp_path / "ncm.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_one_sentence_says_what_to_install(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(name: str) -> object:
        return None if name in {"onnxscript", "onnxruntime"} else find_spec(name)

    monkeypatch.setattr(extras, "find_spec", without)
    wanted = r"needs onnxscript, onnxruntime, .*pip install 'essential-video\[export\]'"
    with pytest.raises(ConfigError, match=wanted):
        export_bundle(bundle, tmp_path / "squares.onnx")


@pytest.mark.parametrize("name", ["squares", "squares.bin", "onnx"])
def test_a_name_that_says_no_form_is_refused(name: str, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: the export's name must end in \.onnx or \.pt2"):
        export_bundle(bundle, tmp_path / name)


def test_a_learner_that_knows_nothing_is_not_exported(tmp_path: Path) -> None:
    VideoLearner(encoder="tiny").save(tmp_path / "new.bundle")
    with pytest.raises(DataError, match="nothing was taught yet"):
        export_bundle(tmp_path / "new.bundle", tmp_path / "new.onnx")
