"""Compare what we compute from a checkpoint of the authors with what their code computes: check.py FOLDER NAME

Makes the checkpoint that `FOLDER/NAME.keys.json` and the metadata of `FOLDER/NAME.safetensors` describe, imports it
with `essential import-checkpoint`, prints the largest difference for every array of `FOLDER/NAME.safetensors`, and
exits with 0 if all are within the tolerance, 1 if one is not.
"""

import argparse
import runpy
import sys
import tempfile
from pathlib import Path

import torch
from drawing import Golden, draw, read_golden, write_checkpoint
from torch import Tensor, nn

from essential.cli import main as essential
from essential.encoders import build_encoder
from essential.encoders.base import Encoder
from essential.engine.run_folder import RunFolder
from essential.methods import build_method
from essential.methods.contract import Method
from essential.models.classifier import ClipClassifier

TOLERANCE = 1e-4


def main() -> None:
    """Read the command line, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where NAME.safetensors and NAME.keys.json are")
    parser.add_argument("name", help="the golden's name")
    arguments = parser.parse_args()
    if not (arguments.folder / f"{arguments.name}.safetensors").is_file():
        parser.error(f"there is no {arguments.folder / arguments.name}.safetensors")
    golden = read_golden(arguments.folder, arguments.name)
    with tempfile.TemporaryDirectory() as folder:
        run = import_golden(arguments.folder, arguments.name, Path(folder))
        differences = compare(golden, *load_run(run))
    for name, difference in differences.items():
        print(f"{name:28} {difference:.2e}  {'' if difference <= TOLERANCE else 'TOO FAR'}")
    sys.exit(0 if all(difference <= TOLERANCE for difference in differences.values()) else 1)


def import_golden(goldens: Path, name: str, folder: Path) -> Path:
    """Write the golden's checkpoint below `folder`, import it with the command, and return the run's folder.

    Where the goldens have a `make_checkpoint.py` of their own, that writes the checkpoint.
    """
    golden = read_golden(goldens, name)
    checkpoints, run = folder / "checkpoints", folder / "run"
    checkpoints.mkdir()
    file, script = checkpoints / "task1_checkpoint.pth", goldens / "make_checkpoint.py"
    if script.exists():
        sys.argv = [str(script), name, str(file), str(goldens)]
        runpy.run_path(str(script), run_name="__main__")
    else:
        write_checkpoint(golden, file)
    embedding = "--temporal-embedding" if golden.temporal_embedding else "--no-temporal-embedding"
    sys.argv = ["essential", "import-checkpoint", str(checkpoints), "--out", str(run), embedding]
    try:
        essential()
    except SystemExit as stop:
        if stop.code:
            raise
    return run


def load_run(run: Path) -> tuple[Encoder, Method]:
    """Return the encoder and the method that an imported run holds."""
    folder = RunFolder(run)
    config = folder.config()
    encoder = build_encoder(config.encoder)
    method = build_method(config.method, dim=encoder.dim, frames=config.video.frames, seed=0)
    saved = folder.state()
    assert saved is not None
    method.load_state_dict(saved.method)
    method.network.eval()
    return encoder, method


@torch.no_grad()
def compare(golden: Golden, encoder: Encoder, method: Method) -> dict[str, float]:
    """Return the largest absolute difference for every array of the golden file.

    Raises:
        KeyError: the file holds an array that nothing here computes.
    """
    ours = outputs(golden, encoder, method)
    inputs = {"positions", "task"}
    return {
        name: float((ours[name].reshape(array.shape) - array).abs().max())
        for name, array in golden.arrays.items()
        if name not in inputs
    }


def outputs(golden: Golden, encoder: Encoder, method: Method) -> dict[str, Tensor]:
    """Compute every array that a golden file may hold, under its name there."""
    classifier = method.predictor
    assert isinstance(classifier, ClipClassifier)
    positions, tasks = golden.arrays["positions"], golden.arrays["task"]
    frames, dim = classifier.encoder.temporal_embedding.shape
    features = draw(golden.seed, "features", [len(tasks), frames, dim])
    size = encoder.pixel_format.size
    pixels = draw(golden.seed, "pixels", [1, 3, frames, size, size]).transpose(1, 2)
    everywhere = torch.arange(frames).expand(len(tasks), -1)
    dense = classifier.encoder.place(features, everywhere)
    kept = features.gather(1, positions[..., None].expand(-1, -1, dim))
    sparse = classifier.encoder.place(kept, positions)
    retrieval = method.network["retrieval"]
    assert isinstance(retrieval, nn.ModuleList)
    # One module is everybody's (mode `global`).
    modules = [retrieval[task if len(retrieval) > 1 else 0] for task in tasks.tolist()]
    retrieved = torch.cat([module(sparse[row : row + 1]) for row, module in enumerate(modules)])
    tokens = {
        "dense": classifier.encoder(dense),
        "sparse": classifier.encoder(sparse),
        "retrieved": classifier.encoder(retrieved),
    }
    mse = nn.functional.mse_loss
    return {
        "frame_features": encoder(pixels),
        "retrieved": retrieved,
        **{f"{name}_tokens": value for name, value in tokens.items()},
        **{f"logits_{name}": classifier.logits(value) for name, value in tokens.items()},
        "static_matching": mse(retrieved, dense),
        "temporal_matching_encoded": mse(tokens["retrieved"], tokens["dense"]),
        "temporal_matching_released": mse(classifier.encoder.query.expand_as(tokens["dense"]), tokens["dense"]),
    }


if __name__ == "__main__":
    main()
