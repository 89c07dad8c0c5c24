"""Runs that were imported from checkpoints of other code: how one is written, and what it may be scored on.

Only a folder with the import's note is ever cleaned: no other file is taken for one of an import.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from essential.engine.run_folder import Place, RunFolder, differences
from essential.engine.settings import RunConfig
from essential.errors import RunError
from essential.files.atomic import write_json
from essential.files.sealed import write_sealed
from essential.files.untrusted import read_json
from essential.methods.contract import Method

# What the checkpoints do not say; all else is theirs.
_FREE = frozenset({"data", "protocol", "features"})


def begin_import(run: RunFolder, source: str) -> None:
    """Mark the folder as that of an import from `source`; refuse one that holds a run, or files to be replaced."""
    run.remove_leftovers()
    if run.begun:
        raise RunError(f"{run.path} holds a run already", remedy="choose another --out")
    discard_import(run)
    foreign = next((path for path in _files(run) if path.exists()), None)
    if foreign is not None:
        raise RunError(f"{foreign} is there, and no import wrote it", remedy="choose another --out, or move the file")
    write_json(run.import_note, {"from": source})


def discard_import(run: RunFolder) -> None:
    """Delete what an import has written that failed, or was killed."""
    if run.imported:
        for path in (*_files(run), run.import_note):
            path.unlink(missing_ok=True)


def write_encoder(run: RunFolder, weights: Mapping[str, Tensor]) -> None:
    """Write the weights of an imported run's encoder."""
    write_sealed(run.encoder, {name: tensor.numpy() for name, tensor in weights.items()}, {"what": "encoder"})


def finish_import(
    run: RunFolder, config: RunConfig, place: Place, method: Method, *, source: str, encoder_fingerprint: str
) -> None:
    """Complete an import of `source` whose encoder and checkpoints are written; `method` is as after the last of them.

    On which videos it is scored is decided by its first evaluation.
    """
    run.write_config(config)
    write_json(run.import_note, {"from": source, "encoder_fingerprint": encoder_fingerprint})
    run.save(place, method, None)


def refuse_unlike_import(run: RunFolder, config: RunConfig, encoder_fingerprint: str) -> None:
    """Refuse to score an imported run with anything but its own network; data and tasks are free."""
    theirs, ours = (
        {name: part for name, part in each.identity().items() if name not in _FREE} for each in (run.config(), config)
    )
    found = differences(theirs, ours)
    try:
        fingerprint = read_json(run.import_note)["encoder_fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run.import_note} is damaged ({error})", remedy="import the checkpoints again") from error
    if fingerprint != encoder_fingerprint:
        found.append("encoder: other weights than those that were imported")
    if found:
        raise RunError(
            f"{run.path} was imported with another config: {'; '.join(found)}",
            remedy="only its data, protocol and features may be chosen",
        )


def _files(run: RunFolder) -> list[Path]:
    return [run.state_file, run.encoder, *sorted(run.checkpoint(0).parent.glob("task-*.safetensors"))]
