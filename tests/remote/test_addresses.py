"""Addresses of videos: which are taken, that none can hold a secret, and that names never become addresses."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from essential.engine.config import load_config
from essential.engine.workspace import protocol_from_json, protocol_to_json
from essential.errors import ConfigError, DataError
from essential.protocols.labelled_tables import manifest_videos
from essential.protocols.listed import check_names
from essential.protocols.protocol import Protocol, Segment, Task, Video
from essential.protocols.source import DataConfig
from essential.remote.storage import Root, is_remote, name_below, open_storage

NAME = "train/walk/ä b#?%.mp4"


@pytest.mark.parametrize(
    ("url", "kept", "file"),
    [
        ("s3://bucket/videos/", "s3://bucket/videos", f"s3://bucket/videos/{NAME}"),
        ("S3://bucket", "s3://bucket", f"s3://bucket/{NAME}"),
        ("gs://bucket/my videos", "gs://bucket/my videos", f"gs://bucket/my videos/{NAME}"),
        ("https://h:8080/v", "https://h:8080/v", "https://h:8080/v/train/walk/%C3%A4%20b%23%3F%25.mp4"),
    ],
)
def test_a_locator_names_one_file(url: str, kept: str, file: str) -> None:
    storage = open_storage(url)
    assert (storage.url, str(storage)) == (kept, kept)
    assert storage.locator(NAME) == file
    assert storage.holds(file)
    assert storage.name_of(file) == name_below(storage, file) == NAME
    assert is_remote(file)
    assert not storage.holds(f"{kept}-other/v.mp4")
    with pytest.raises(ValueError, match="is no file below"):
        storage.name_of("s3://elsewhere/v.mp4")


@pytest.mark.parametrize("file", ["/data/v.mp4", "v.mp4", "a/s3:/b.mp4", "/a://b.mp4", "C:/x.mp4"])
def test_a_path_is_no_locator(file: str) -> None:
    assert not is_remote(file)
    assert Video("v", file, "a", "train").path == Path(file)


def test_a_locator_is_never_taken_for_a_path() -> None:
    with pytest.raises(ValueError, match=r"s3://bucket/v\.mp4 is not on this machine"):
        _ = Video("v", "s3://bucket/v.mp4", "a", "train").path


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://KEY:hush@bucket/v", r"s3://bucket/\.\.\. is given with a user name, a query string or a '#'"),
        ("https://h/v?signature=hush", r"https://h/\.\.\. is given with a user name, a query string"),
        ("https://h?signature=hush", r"https://h/\.\.\. is given with"),
        ("https://h/v#hush", r"https://h/\.\.\. is given with"),
        ("s3://KEY:hush/hush@bucket/v", r"s3://bucket/\.\.\. is given with"),
        ("s3:/KEY:hush@bucket/v", r"'s3:/...@bucket/v' is no address"),
        ("simplecache::https://me:hush@h/v", "one address is chained to another by '::'"),
        ("ftp://h/v", "'ftp://h/v' is no address that videos are read from; use s3, gs, http, https or file"),
        ("/data/videos", "'/data/videos' is no address"),
        ("file://h/v", "'file://h/v' is no address"),
        ("s3://", "'s3://' is no full address; give one such as s3://bucket/videos"),
        ("s3:///v", "is no full address"),
        ("s3://bucket//v", "is no full address"),
        ("s3://bucket/../v", "is no full address"),
        ("s3://bucket/a\nb", "is no full address"),
    ],
)
def test_other_addresses_are_refused_and_no_secret_is_shown(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"data.url: .*{message}") as caught:
        load_config("own/essential", ["data.kind=folder", f"data.url={json.dumps(url)}"])
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "setting",
    [
        "features.store=s3://KEY:hush@bucket/v",
        "features.store=s3://bucket/v?hush",
        "features.store=s3:/KEY:hush@bucket/v",
        "data.url=[s3://KEY:hush@bucket/v]",
        "data.url: s3://KEY:hush@bucket/v",
        "data.root=s3:/KEY:hush@bucket/v",
    ],
)
def test_no_setting_that_is_refused_shows_a_credential(setting: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("own/essential", ["data.kind=folder", setting])
    assert "hush" not in str(caught.value)


def test_a_name_with_a_sign_of_a_user_is_an_address_as_well() -> None:
    for url in ("s3://bucket/a@b", "http://127.0.0.1:80/a@b", "http://[::1]:80/a@b".replace("::", "0:0")):
        assert open_storage(url).url == url


def test_a_url_is_in_the_place_of_the_folder() -> None:
    config = load_config("own/essential", ["data.kind=folder", "data.url=s3://bucket/v"])
    assert config.data.folder is open_storage("s3://bucket/v") is config.data.place
    assert "url" not in config.identity()["data"], "where videos are decides no number"
    with pytest.raises(ConfigError, match="both say where the videos are; give one of them, and null for the other"):
        load_config("own/essential", ["data.kind=folder", "data.url=s3://bucket/v", "data.root=/v"])
    for kind in ("moving-digits", "features"):
        with pytest.raises(ConfigError, match=f"data.url=s3://b is for data.kind=folder, .*but data.kind={kind}"):
            load_config("own/essential", [f"data.kind={kind}", "data.url=s3://b"])
    with pytest.raises(ConfigError, match=r"needs the folder of the videos: -s data.root=DIR, or their address"):
        DataConfig(kind="folder").require_places()
    with pytest.raises(ConfigError, match=r"data.kind=ucf101 needs the folder of its annotations"):
        DataConfig(kind="ucf101", url="s3://b").dataset.listing(DataConfig(kind="ucf101", url="s3://b"))


def test_a_file_url_is_a_folder_of_this_machine(tmp_path: Path) -> None:
    config = DataConfig.model_validate({"kind": "folder", "url": f"file://{tmp_path}/my%20videos"})
    assert (config.url, config.folder) == (None, tmp_path / "my videos")


@pytest.mark.parametrize("name", ["s3://bucket/v.mp4", "http://h/v.mp4", "http://me:hush@h/v.mp4", "file:///etc/v.mp4"])
def test_an_address_inside_a_list_or_manifest_is_refused(tmp_path: Path, name: str) -> None:
    shown = re.escape(repr(name.replace("me:hush", "...")))
    with pytest.raises(DataError, match=f"{shown} is an address; give a name .* data.root or data.url"):
        check_names(["v.mp4", name], "the list")
    (tmp_path / "m.csv").write_text(f"path,label,split\n{name},a,train\n")
    message = rf"m\.csv, line 2.*path {shown} is an address; say where the videos are with data\.url"
    with pytest.raises(DataError, match=message):
        manifest_videos(tmp_path / "m.csv", open_storage("s3://bucket/videos"))
    with pytest.raises(DataError, match=message):
        manifest_videos(tmp_path / "m.csv")


def protocol_of(*files: str) -> Protocol:
    train = tuple(Video(f"train/{place}.mp4", file, "a", "train") for place, file in enumerate(files))
    test = (Video("v@0-1", files[0], "a", "test", Segment(0.0, 1.0)),)
    return Protocol("p", (Task(0, ("a",), train, test),))


def again(content: Any, root: Root) -> list[str]:
    return [video.file for video in protocol_from_json(content, root).videos]


def test_a_run_keeps_names_and_follows_no_address_of_its_files() -> None:
    here, there = open_storage("s3://bucket/v"), open_storage("https://h/w")
    protocol = protocol_of(here.locator("train/0.mp4"), here.locator("train/1.mp4"))
    content = protocol_to_json(protocol, here)
    assert content["tasks"][0]["train"] == {"train/0.mp4": "a", "train/1.mp4": "a"}
    assert again(content, here) == [video.file for video in protocol.videos]
    # The videos may be elsewhere when it goes on: the address is the setting's.
    assert again(content, there)[1] == "https://h/w/train/1.mp4"
    assert again(content, Path("/v"))[1] == "/v/train/1.mp4"
    foreign = protocol_to_json(protocol_of("s3://elsewhere/train/0.mp4"), here)
    for root in (here, there, Path("/v")):
        with pytest.raises(ValueError, match=r"s3://elsewhere/train/0.mp4"):
            protocol_from_json(foreign, root)
