"""Kinds of data: what each needs, and those that plug-ins bring."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from essential.engine.config import load_config
from essential.engine.workspace import data_root
from essential.errors import ConfigError, DataError
from essential.protocols import source
from essential.protocols.source import DATASETS, DataConfig, load_listing
from essential.registry import Registry
from made_plugins import make_plugin

MODULE = """
from pathlib import Path

from essential.protocols.listed import ListedVideo
from essential.protocols.places import locate_videos
from essential.protocols.protocol import Listing, Video
from essential.protocols.source import Dataset


def lines(config):
    rows = [line.split() for line in config.given("path").read_text().splitlines()]
    return Listing.by_name([Video(key, key, label, split) for key, label, split in rows])


TEXT = Dataset("lines of text", ("path",), lines, hint="the lines: -s data.path=FILE.txt")
LISTED = Dataset("a name", ("root",), lambda c: locate_videos([ListedVideo("v", "run", "train")], c.root, ("run",)))
NOTES = Dataset("notes", ("annotations", "root"), lines)
NOTHING = Dataset("nothing", (), lambda config: ["v"])
NEEDY = Dataset("needs more", ("root", "password"), lines)
OTHER = lines
"""
NAMES = {"text": "TEXT", "listed": "LISTED", "notes": "NOTES", "nothing": "NOTHING", "needy": "NEEDY", "other": "OTHER"}


@pytest.fixture(autouse=True)
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a package with plug-ins, one of which has a taken name."""
    entries = {name: f"made_datasets:{attribute}" for name, attribute in {**NAMES, "folder": "TEXT"}.items()}
    make_plugin(tmp_path / "site", "made-data", {DATASETS.group: entries}, modules={"made_datasets": MODULE})
    monkeypatch.syspath_prepend(tmp_path / "site")
    fresh = Registry[source.Dataset](DATASETS.group, DATASETS.built_in, fault=source._fault)
    monkeypatch.setattr(source, "DATASETS", fresh)
    yield
    sys.modules.pop("made_datasets", None)


def _file(folder: Path, *lines: str) -> Path:
    (folder / "lines.txt").write_text("\n".join(lines))
    return folder / "lines.txt"


def test_a_plugin_is_a_kind_like_any_other(tmp_path: Path) -> None:
    path = _file(tmp_path, "a run train", "b run test", "c jump train")
    listing = load_listing(DataConfig(kind="text", path=path))
    assert listing.classes == ("jump", "run")
    assert [(video.key, video.split) for video in listing.videos] == [("a", "train"), ("b", "test"), ("c", "train")]
    config = load_config("own/essential", ["data.kind=text", f"data.path={path}"])
    assert data_root(config) == tmp_path


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        ({"kind": "folder", "root": "r"}, "r"),
        ({"kind": "list", "path": "a/list.json", "root": "r"}, "r"),
        ({"kind": "manifest", "path": "a/list.csv", "root": "r"}, "a"),
        ({"kind": "features", "path": "a/store"}, "a/store"),
        ({"kind": "text", "path": "a/lines.txt"}, "a"),
        ({"kind": "moving-digits"}, None),
    ],
)
def test_the_folder_that_keys_are_relative_to(settings: dict[str, str], folder: str | None) -> None:
    assert DataConfig.model_validate(settings).folder == (None if folder is None else Path(folder))


def test_the_built_in_kinds_come_first_and_broken_plugins_are_left_out() -> None:
    assert [*source.DATASETS] == [*DATASETS.built_in, "listed", "notes", "nothing", "text"]
    assert all(dataset.summary for dataset in source.DATASETS.values())
    assert source.DATASETS.broken() == {
        "folder": "made-data: the name is taken, essential has its own 'folder'",
        "needy": "made-data: it needs 'password'; a data set needs any of root, path, annotations",
        "other": "made-data: it is no essential.protocols.source.Dataset",
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("data.kind=txet", r"data\.kind='txet' is not allowed: no dataset is called 'txet' \(did you mean 'text'\?\)"),
        ("data.kind=ucf10", r"\(did you mean 'ucf101'\?\); known: moving-digits, folder, .*, features, listed"),
        ("data.kind=other", "the dataset 'other' cannot be used: made-data: it is no essential.protocols.source"),
        ("data.kind=listed data.path=x", "data.path=x is for data.kind=manifest, list, features, but data.kind=listed"),
    ],
)
def test_a_kind_that_is_none(settings: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"config own/essential: .*{message}"):
        load_config("own/essential", settings.split())


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("text", {}, "data.kind=text needs the lines: -s data.path=FILE.txt"),
        ("notes", {"root": "."}, "data.kind=notes needs the folder of its annotations: -s data.annotations=DIR"),
        ("notes", {"annotations": "."}, "data.kind=notes needs the folder of the videos: -s data.root=DIR"),
        ("list", {"root": "."}, "data.kind=list needs the list: -s data.path=FILE.json"),
    ],
)
def test_a_path_that_is_missing(kind: str, settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_listing(DataConfig.model_validate({"kind": kind, **settings}))


def test_a_video_of_a_plugin_is_looked_for_like_any_listed_one(tmp_path: Path) -> None:
    config = DataConfig(kind="listed", root=tmp_path)
    assert load_listing(config).missing == {0}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "v.mp4").touch()
    with pytest.raises(DataError, match="1 listed videos may each be one of several files"):
        load_listing(config)
    found = load_listing(config, clear=False)
    assert (found.videos[0].file, found.others) == (f"{tmp_path}/a/v.mp4", {0: (f"{tmp_path}/b/v.mp4",)})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a run train", "a run test"], "data.kind=text: two videos have the key 'a'; keys are unique"),
        (["a run train", "b jump test"], "data.kind=text: no training clip for the class 'jump'; add training clips"),
    ],
)
def test_a_listing_of_a_plugin_that_no_run_can_use(lines: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load_listing(DataConfig(kind="text", path=_file(tmp_path, *lines)))


def test_a_plugin_that_gives_something_else() -> None:
    with pytest.raises(DataError, match=r"data.kind=nothing: its plug-in gives a list, not a Listing"):
        load_listing(DataConfig(kind="nothing"))
