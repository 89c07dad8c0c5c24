"""From a folder of the authors' checkpoints to a run that `essential evaluate` scores.

The run has no memory and no predictions: their checkpoints hold neither. It can be evaluated, not trained on.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from essential.authors.checkpoint import AuthorsCheckpoint, read_authors_checkpoint, settings_of
from essential.encoders import build_encoder
from essential.encoders.base import Encoder
from essential.encoders.clip_layout import describe_clip
from essential.engine.config import load_config
from essential.engine.run_folder import Place, RunFolder
from essential.engine.settings import RunConfig
from essential.errors import CheckpointError, RunError
from essential.files.atomic import folder_lock, write_json
from essential.files.sealed import write_sealed
from essential.memory.ledger import total_by_kind
from essential.methods import build_method
from essential.methods.contract import Method
from essential.methods.state import pack
from essential.progress import Progress, phase

_FILE = re.compile(r"task(\d{1,6})_checkpoint\.pth")
# What their evaluation feeds CLIP with: ImageNet's statistics, and frames scaled bilinearly.
_PIXELS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "interpolation": "bilinear"}


@dataclass(frozen=True)
class ImportedRun:
    """What an import found."""

    config: RunConfig
    checkpoints: int  # one per task
    classes: int  # rows of the head
    modules: int  # MR modules
    layers: int  # of the temporal encoder
    keys: int  # parameters in each checkpoint, all of which are accounted for
    unused: tuple[str, ...]  # those that the network holds and its authors' forward pass does not read


def import_checkpoints(
    folder: Path,
    out: Path,
    *,
    config: str,
    overrides: Sequence[str],
    temporal_embedding: bool | None,
    progress: Progress,
) -> ImportedRun:
    """Read `task1_checkpoint.pth`, `task2_checkpoint.pth`, ... of `folder` and write the run `out`.

    Args:
        out: the run's folder; it must not hold a run.
        config: the config that gives data and tasks to score on, by name or path.
        overrides: of the config, such as `data.root=DIR`.
        temporal_embedding: whether the encoder adds its temporal embedding; None: as the checkpoint's arguments say,
            or else if it has adapters.

    Raises:
        CheckpointError: a file is missing or is no such checkpoint; the encoder changes from one to the next.
        RunError: `out` holds a run.
    """
    files = checkpoint_files(folder)
    run = RunFolder(out)
    # Wrong settings are refused before a checkpoint is read; the encoder is the checkpoint's.
    load_config(config, [*(each for each in overrides if not each.startswith("encoder")), "method.name=essential"])
    with folder_lock(out), phase(progress, "import checkpoints", len(files)):
        _begin(run, folder)
        try:
            first = read_authors_checkpoint(files[0])
            settings = _settings(first, out, config, overrides, temporal_embedding)
            encoder = _write_encoder(run, first, settings, files[0])
            method = _method(settings, encoder, _write_checkpoints(run, files, first, progress))
            by_task = (total_by_kind(method.ledger()),) * len(files)
            place = Place(task=len(files), memory_bytes_by_task=by_task)
            # On which videos it is scored is decided by its first evaluation.
            run.write_config(settings)
            write_json(run.import_note, {"from": str(folder), "encoder_fingerprint": encoder.fingerprint})
            run.save(place, method, None)
        except BaseException:
            run.discard_import()
            raise
    unused = {"temporal_embedding"} & first.encoder.keys() if not settings.encoder.adds_temporal_embedding else ()
    keys = sum(map(len, (first.encoder, first.classifier, *first.retrieval)))
    return ImportedRun(settings, len(files), first.classes, len(first.retrieval), first.layers, keys, tuple(unused))


def _begin(run: RunFolder, source: Path) -> None:
    """Mark the folder as that of an import; refuse one that holds a run, or files to be replaced."""
    run.remove_leftovers()
    if run.begun:
        raise RunError(f"{run.path} holds a run already", remedy="choose another --out")
    run.discard_import()
    foreign = next((path for path in run.of_import if path.exists()), None)
    if foreign is not None:
        raise RunError(f"{foreign} is there, and no import wrote it", remedy="choose another --out, or move the file")
    write_json(run.import_note, {"from": str(source)})


def checkpoint_files(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder by task, from 1 or 0 on; a CheckpointError if there is none, or one lacks."""
    if not folder.is_dir():
        raise CheckpointError(f"there is no folder {folder}; give the folder of the task*_checkpoint.pth files")
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        match = _FILE.fullmatch(path.name)
        if match and found.setdefault(number := int(match[1]), path) is not path:
            raise CheckpointError(f"{found[number]} and {path} are both of task {number}; keep one of them")
    if not found:
        raise CheckpointError(f"{folder} holds no task1_checkpoint.pth, task2_checkpoint.pth, ...; give their folder")
    first = 0 if 0 in found else 1
    for missing in sorted({*range(first, max(found))} - found.keys()):
        raise CheckpointError(
            f"{folder / f'task{missing}_checkpoint.pth'} is missing, but task {max(found)} is there; an evaluation "
            "needs the checkpoint after every task up to the last"
        )
    return [found[number] for number in sorted(found)]


def _settings(
    first: AuthorsCheckpoint, out: Path, config: str, overrides: Sequence[str], temporal_embedding: bool | None
) -> RunConfig:
    """Return the config with the checkpoint's flags put in, then the overrides, then what the network itself is."""
    adds_embedding = _wanted_embedding(first, temporal_embedding)
    encoder = describe_clip(first.encoder, weights=RunFolder(out).encoder.absolute(), temporal_embedding=adds_embedding)
    network: dict[str, Any] = {
        "method.name": "essential",
        "method.classifier.layers": first.layers,
        # Their heads are a flag, or of 64 numbers each; those of a config for narrow features are not theirs.
        "method.classifier.fewest_heads": 1,
        "video.frames": first.frames,
        "encoder": {**encoder.model_dump(mode="json", exclude_defaults=True), **_PIXELS},
    }
    if len(first.retrieval) != 1 or first.flags.get("memory_mode") != "global":
        network["method.memory_mode"] = "task" if first.retrieval else "identity"
    flags = {key: value for key, value in settings_of(first.flags).items() if not key.startswith("encoder.")}
    return load_config(config, [*_texts(flags), *overrides, *_texts(network)]).with_absolute_paths()


def _texts(settings: Mapping[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


def _wanted_embedding(first: AuthorsCheckpoint, asked: bool | None) -> bool:
    if asked is not None:
        return asked
    for flag in ("use_clip_temporal", "use_aim_weight"):
        if flag in first.flags:
            return bool(first.flags[flag])
    return any("_Adapter" in name for name in first.encoder)


def _write_encoder(run: RunFolder, first: AuthorsCheckpoint, config: RunConfig, file: Path) -> Encoder:
    """Write the encoder's weights and build it from them, which accounts for every one of its keys."""
    kept = dict(first.encoder)
    if not config.encoder.adds_temporal_embedding:
        kept.pop("temporal_embedding", None)
    write_sealed(run.encoder, {name: tensor.numpy() for name, tensor in kept.items()}, {"what": "encoder"})
    try:
        return build_encoder(config.encoder)
    except CheckpointError as error:
        # The user knows the checkpoint, not the file that was just made of it.
        raise CheckpointError(error.problem, where=file, remedy=error.remedy) from error


def _write_checkpoints(
    run: RunFolder, files: Sequence[Path], first: AuthorsCheckpoint, progress: Progress
) -> AuthorsCheckpoint:
    """Write the classifier of each checkpoint, and return the last checkpoint."""
    last = first
    for task, file in enumerate(files):
        if task:
            last = read_authors_checkpoint(file)
            _refuse_another_network(file, last, first)
        run.write_checkpoint(task, last.classifier)
        progress.advance(task + 1)
    return last


def _refuse_another_network(file: Path, here: AuthorsCheckpoint, first: AuthorsCheckpoint) -> None:
    remedy = "the files are not of one run"
    changed = sorted(first.encoder.keys() ^ here.encoder.keys()) or [
        name for name in sorted(first.encoder) if not torch.equal(here.encoder[name], first.encoder[name])
    ]
    if changed:
        problem = f"the frozen encoder differs from the first checkpoint's, for example in {changed[0]}"
        raise CheckpointError(problem, where=file, remedy=remedy)
    for what, ours, theirs in (
        ("classes", here.classes, first.classes),
        ("frames", here.frames, first.frames),
        ("temporal layers", here.layers, first.layers),
        ("MR modules", len(here.retrieval), len(first.retrieval)),
    ):
        if ours != theirs:
            raise CheckpointError(f"{file} has {ours} {what}, the first checkpoint {theirs}", remedy=remedy)


def _method(config: RunConfig, encoder: Encoder, last: AuthorsCheckpoint) -> Method:
    """Return the method as it is after the last checkpoint, with an empty memory."""
    method = build_method(config.method, dim=encoder.dim, frames=config.video.frames, seed=config.seed)
    network: dict[str, Tensor] = dict(method.network.state_dict())
    network |= {f"predictor.{name}": value for name, value in last.classifier.items()}
    for index, module in enumerate(last.retrieval):
        network |= {f"retrieval.{index}.{name}": value for name, value in module.items()}
    method.load_state_dict(pack(network, method.memory, []))
    return method
