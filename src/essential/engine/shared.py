"""What rank 0 alone reads or makes, on every rank: the videos and their order, a run's saved state, its record."""

from collections.abc import Callable

from essential.engine.protocol_file import protocol_from_json, protocol_to_json
from essential.engine.run_folder import RunFolder, Saved
from essential.engine.settings import RunConfig
from essential.engine.team import Message, Team
from essential.engine.workspace import Workspace, data_root, open_workspace
from essential.progress import Progress
from essential.protocols.protocol import Protocol
from essential.records import Record


def open_shared_workspace(config: RunConfig, progress: Progress, *, protocol: Protocol | None, team: Team) -> Workspace:
    """Open the workspace; rank 0 makes or lists the videos, and the others take its list. See `open_workspace`."""
    if team.first:
        workspace = open_workspace(config, progress, protocol=protocol)
        team.share(Message(note=protocol_to_json(workspace.protocol, workspace.root)))
        return workspace
    listed = protocol_from_json(team.share(Message()).note, data_root(config))
    return open_workspace(config, progress, protocol=listed)


def shared_state(folder: RunFolder, team: Team) -> Saved | None:
    """Return the state that was saved in the folder, which rank 0 alone needs to see.

    Raises:
        CheckpointError: the state is damaged.
    """
    saved = folder.saved() if team.first else None
    if team.size == 1:
        return saved
    message = team.share(Message() if saved is None else Message(*saved.packed()))
    return saved if team.first or message.note is None else Saved.unpacked(message.arrays, message.note)


def shared_record(make: Callable[[], Record], team: Team) -> Record:
    """Return on every rank the record that rank 0 makes."""
    if team.first:
        record = make()
        team.share(Message(note=record.model_dump_json()))
        return record
    return Record.model_validate_json(team.share(Message()).note, strict=True)
