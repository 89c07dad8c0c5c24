"""What rank 0 alone reads or makes, on every rank: the videos and their order, a run's saved state, its record."""

from collections.abc import Callable

from essential.engine.process_group import Message, ProcessGroup
from essential.engine.protocol_file import protocol_from_json, protocol_to_json
from essential.engine.run_folder import RunFolder, Saved
from essential.engine.settings import RunConfig
from essential.engine.workspace import Workspace, data_root, open_workspace
from essential.progress import Progress
from essential.protocols.protocol import Protocol
from essential.records import Record


def open_shared_workspace(
    config: RunConfig, progress: Progress, *, protocol: Protocol | None, group: ProcessGroup
) -> Workspace:
    """Open the workspace; rank 0 makes or lists the videos, and the others take its list. See `open_workspace`."""
    if group.first:
        workspace = open_workspace(config, progress, protocol=protocol)
        group.share(Message(note=protocol_to_json(workspace.protocol, workspace.root)))
        return workspace
    listed = protocol_from_json(group.share(Message()).note, data_root(config))
    return open_workspace(config, progress, protocol=listed)


def shared_state(folder: RunFolder, group: ProcessGroup) -> Saved | None:
    """Return the state that was saved in the folder, which rank 0 alone needs to see.

    Raises:
        CheckpointError: the state is damaged.
    """
    saved = folder.saved() if group.first else None
    if group.size == 1:
        return saved
    message = group.share(Message() if saved is None else Message(*saved.packed()))
    return saved if group.first or message.note is None else Saved.unpacked(message.arrays, message.note)


def shared_record(make: Callable[[], Record], group: ProcessGroup) -> Record:
    """Return on every rank the record that rank 0 makes."""
    if group.first:
        record = make()
        group.share(Message(note=record.model_dump_json()))
        return record
    return Record.model_validate_json(group.share(Message()).note, strict=True)
