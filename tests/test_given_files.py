"""What is no file is refused before it is opened: nothing waits for a pipe, and no device is read."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from essential.authors.checkpoint import read_authors_checkpoint
from essential.encoders.weight_files import read_weights
from essential.engine.config import load_config
from essential.engine.run_folder import RunFolder
from essential.errors import CheckpointError, FileSystemError
from essential.features.imported import import_features
from essential.features.store import FeatureStore, read_provenance
from essential.files.given import plain_file
from essential.files.sealed import check_seal, read_sealed, read_sealed_header
from essential.learner.bundle import Bundle
from essential.progress import QUIET
from essential.protocols.labelled_tables import CsvKind, read_table
from essential.protocols.official_splits import split_text
from essential.protocols.video_list import open_list, read_video_list
from essential.records import Record
from essential.site.finding import find_records
from essential.video.frame_folder import identity_of

READERS: dict[str, Callable[[Path], Any]] = {
    "given.yaml": lambda path: load_config(str(path), []),
    "given.safetensors": read_weights,
    "given.pth": read_authors_checkpoint,
    "given.json": read_video_list,
    "given.pkl": open_list,
    "given.csv": lambda path: list(read_table(path, CsvKind("table", "data.path", ("path",)))),
    "given.txt": split_text,
    "given.npy": lambda path: import_features(path, path, path.parent / "store", progress=QUIET),
    "given.bundle": Bundle.read,
    "record.json": Record.read,
    "store.json": lambda path: read_provenance(path.parent),
    "plan.json": lambda path: FeatureStore(path.parent, "").plan(),
    "config.yaml": lambda path: RunFolder(path.parent).config(),
    "found/record.json": lambda path: find_records([path.parent]),
    "whole": lambda path: read_sealed(path, CheckpointError),
    "sealed": lambda path: check_seal(path, CheckpointError),
    "header": lambda path: read_sealed_header(path, CheckpointError),
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    with pytest.raises(FileSystemError, match="is not a file, but a pipe, a socket or a device; give a file") as caught:
        READERS[name](path)
    assert str(caught.value).startswith(str(path))


def test_a_pipe_among_videos_has_no_identity(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "v.mp4")
    with pytest.raises(OSError, match="it is not a file"):
        identity_of(tmp_path / "v.mp4")


def test_files_folders_and_what_is_missing_are_left_to_who_opens_them(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    assert [plain_file(tmp_path / name) for name in ("file", "link", ".")] == [
        tmp_path / "file",
        tmp_path / "link",
        tmp_path,
    ]
    with pytest.raises(FileNotFoundError):
        plain_file(tmp_path / "none")
    with pytest.raises(FileSystemError, match="/dev/zero is not a file"):
        plain_file(Path("/dev/zero"))
