"""Runs that were imported from checkpoints of other code: how one is written, and what it may be scored on."""

from essential.engine.run_folder import Place, RunFolder, differences
from essential.engine.settings import RunConfig
from essential.errors import RunError
from essential.files.atomic import write_json
from essential.files.untrusted import read_json
from essential.methods.contract import Method

# What the checkpoints do not say; all else is theirs.
_FREE = frozenset({"data", "protocol", "features"})


def finish_import(
    run: RunFolder,
    config: RunConfig,
    place: Place,
    method: Method,
    *,
    source: str,
    encoder_fingerprint: str,
) -> None:
    """Write that the run was imported; on which videos it is scored is settled by its first evaluation.

    Args:
        run: its encoder and checkpoints have been written.
        config: the run's.
        place: behind the last checkpoint.
        method: as it is there.
        source: where the checkpoints were.
        encoder_fingerprint: of their encoder.
    """
    run.write_config(config)
    write_json(run.import_note, {"from": source, "encoder_fingerprint": encoder_fingerprint})
    run.save(place, method, None)


def refuse_unlike_import(run: RunFolder, config: RunConfig, encoder_fingerprint: str) -> None:
    """Refuse to score an imported run with anything but its own network; data and tasks are free.

    Raises:
        RunError: lists what differs.
    """
    theirs, ours = (
        {name: part for name, part in each.identity().items() if name not in _FREE} for each in (run.config(), config)
    )
    found = differences(theirs, ours)
    if _imported_fingerprint(run) != encoder_fingerprint:
        found.append("encoder: other weights than those that were imported")
    if found:
        raise RunError(
            f"{run.path} was imported with another config: {'; '.join(found)}. Only its data, protocol and features "
            "may be chosen"
        )


def _imported_fingerprint(run: RunFolder) -> str:
    try:
        return str(read_json(run.import_note)["encoder_fingerprint"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run.import_note} is damaged ({error}); import the checkpoints again") from error
