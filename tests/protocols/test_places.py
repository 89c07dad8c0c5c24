"""Listed videos looked for on disk. Nothing is decoded: empty files do."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from essential.errors import DataError
from essential.protocols.listed import ListedVideo
from essential.protocols.places import VideoIndex, locate_videos, refuse_unclear
from essential.protocols.protocol import Listing, Segment, Video


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def _listed(*names: str, label: str = "run") -> list[ListedVideo]:
    return [ListedVideo(name, label, "train") for name in names]


def _found(listed: Sequence[ListedVideo], root: Path) -> Listing:
    return locate_videos(listed, root, ("run",))


def _videos(listed: Sequence[ListedVideo], root: Path) -> Sequence[Video]:
    listing = _found(listed, root)
    refuse_unclear(listing, root)
    return listing.videos


def _files(root: Path, listed: Sequence[ListedVideo]) -> list[str]:
    """Return where each video was found, relative to the root; nothing where it is missing."""
    found = _found(listed, root)
    files = [video.file.removeprefix(f"{root}/") for video in found.videos]
    return ["" if place in found.missing else file for place, file in enumerate(files)]


def _message(root: Path, *names: str) -> str:
    with pytest.raises(DataError) as caught:
        _videos(_listed(*names), root)
    return str(caught.value)


@pytest.mark.parametrize("name", ["run/v_1.avi", "run/v_1", "v_1.avi", "v_1", "v_1.mp4", "other/v_1"])
@pytest.mark.parametrize(
    "file", ["run/v_1.avi", "v_1.mp4", "v_1.WEBM", "train/run/v_1.mkv", "a/b/c/v_1.avi", "run/v_1/img_00001.jpg"]
)
def test_any_name_finds_any_layout(name: str, file: str, tmp_path: Path) -> None:
    _touch(tmp_path, file, "run/v_10.avi", "v_2.mp4", "run/notes.txt")
    found = file.removesuffix("/img_00001.jpg")
    assert _files(tmp_path, _listed(name)) == [found]
    assert _videos(_listed(name), tmp_path) == [Video(name, f"{tmp_path}/{found}", "run", "train")]


@pytest.mark.parametrize(
    ("name", "files", "expected"),
    [
        ("run/v.avi", ["run/v.avi", "run/v.mp4", "v.avi"], "run/v.avi"),  # the path itself
        ("run/v.avi", ["run/v.mp4", "a/v.avi", "v.avi"], "run/v.mp4"),  # the path with another extension
        ("v", ["v.mp4", "run/v.mp4"], "v.mp4"),
        ("sub/v", ["train/sub/v.mp4", "run/v.mp4"], "train/sub/v.mp4"),  # a path that ends as listed
        ("v", ["a/run/v.mp4", "a/walk/v.mp4"], "a/run/v.mp4"),  # the folder of its class
        ("a/v", ["run/v.mp4", "walk/v.mp4"], "run/v.mp4"),
        ("v.avi", ["v.avi.mp4"], "v.avi.mp4"),  # an extension added to one
        ("v.1.2", ["v.1.2.mp4", "v.1.mp4"], "v.1.2.mp4"),
        ("v.1", ["v.1.2.mp4"], ""),
        (".v", [".v.mp4"], ""),  # hidden
        ("v", [".hidden/v.mp4", "v.txt", "v.mp4.part"], ""),
        ("na me #1 (2)&;!'.avi", ["run/na me #1 (2)&;!'.avi"], "run/na me #1 (2)&;!'.avi"),
        ("caf\u00e9.avi", ["run/caf\u00e9.mp4"], "run/caf\u00e9.mp4"),
    ],
)
def test_which_file_is_meant(name: str, files: list[str], expected: str, tmp_path: Path) -> None:
    _touch(tmp_path, *files)
    assert _files(tmp_path, _listed(name)) == [expected]
    assert not _found(_listed(name), tmp_path).others


def test_a_missing_video_gets_the_place_where_it_would_be(tmp_path: Path) -> None:
    assert _videos(_listed("run/v.avi"), tmp_path) == [Video("run/v.avi", f"{tmp_path}/run/v.avi", "run", "train")]


def test_a_name_that_may_be_several_files(tmp_path: Path) -> None:
    _touch(tmp_path, "b/v.mp4", "a/v.mp4", "w.mp4")
    found = _found(_listed("v", "w"), tmp_path)
    assert [video.file for video in found.videos] == [f"{tmp_path}/a/v.mp4", f"{tmp_path}/w.mp4"]
    assert found.others == {0: (f"{tmp_path}/b/v.mp4",)}
    message = _message(tmp_path, "v", "w")
    assert message.startswith(f"{tmp_path}: 1 listed videos may each be one of several files:\n  v: {tmp_path}/a/v.mp4")
    assert "`essential data check` names them all" in message


def test_a_bare_name_that_two_listed_videos_share_finds_nothing_elsewhere(tmp_path: Path) -> None:
    # Otherwise the clip of one class would pass for that of another, whose own is missing.
    _touch(tmp_path, "walk/001.mp4")
    assert _files(tmp_path, _listed("run/001", "walk/001")) == ["", "walk/001.mp4"]
    _touch(tmp_path, "videos/run/001.mp4")
    assert _files(tmp_path, _listed("run/001", "walk/001")) == ["videos/run/001.mp4", "walk/001.mp4"]


def test_splits_segments_and_repeats_make_keys(tmp_path: Path) -> None:
    listed = [
        ListedVideo("v", "run", "train", Segment(0.0, 12.5)),
        ListedVideo("v", "run", "train", Segment(0.1, 1e6)),
        ListedVideo("v", "run", "val", Segment(0.0, 12.5)),
        ListedVideo("v#2", "run", "test"),
        ListedVideo("v", "run", "test"),
        ListedVideo("v", "walk", "test"),
        ListedVideo("v", "walk", "train"),
    ]
    videos = _videos(listed, tmp_path)
    expected = ["v@0-12.5", "v@0.1-1000000", "v@0-12.5#2", "v#2", "v", "v#3", "v#4"]
    assert [video.key for video in videos] == expected
    assert [video.split for video in videos] == ["train", "train", "test", "test", "test", "test", "train"]
    assert [video.segment for video in videos] == [video.segment for video in listed]
    assert {video.file for video in videos} == {f"{tmp_path}/v", f"{tmp_path}/v#2"}


@pytest.mark.parametrize(
    "name", ["", "/v.mp4", "../v.mp4", "a/../../v.mp4", "a/..", "..", ".", "./", "a\0b", "\ud800", "/", "x\n../y"]
)
def test_a_name_that_is_no_path_below_the_root(name: str, tmp_path: Path) -> None:
    assert repr(name) in _message(tmp_path, "good.mp4", name)
    assert "; give a name or a path below the videos' folder" in _message(tmp_path, name)


@pytest.mark.parametrize("image", ["img_00001.jpg", "frame000001.JPG", "00001.png", "image_0001.jpeg", "f-1.png"])
def test_folders_of_frames(image: str, tmp_path: Path) -> None:
    _touch(tmp_path, f"run/v_1/{image}", "run/v_2/picture.jpg", "run/v_3/flow_x_00001.jpg", "run/v_4/1.txt")
    assert _files(tmp_path, _listed("v_1", "v_1.avi", "v_2", "v_3", "v_4")) == ["run/v_1", "run/v_1", "", "", ""]


def test_numbered_images_beside_videos_or_folders_are_no_frames(tmp_path: Path) -> None:
    _touch(tmp_path, "fig1.png", "run/1.jpg", "run/v_1.mp4", "walk/2.jpg", "walk/sub/v_2.mp4")
    assert _files(tmp_path, _listed("v_1", "v_2", "run", "walk")) == ["run/v_1.mp4", "walk/sub/v_2.mp4", "", ""]


def test_many_numbered_images_beside_a_video_are_no_frames(tmp_path: Path) -> None:
    # In whatever order the disk lists them: the video may come last.
    _touch(tmp_path, *(f"run/img_{number:05d}.jpg" for number in range(60)), "run/v.mp4")
    _touch(tmp_path, *(f"walk/img_{number:05d}.jpg" for number in range(60)))
    assert VideoIndex(tmp_path).paths == {"v": [f"{tmp_path}/run/v.mp4"], "walk": [f"{tmp_path}/walk"]}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder with a video, beside the root `tmp_path / "root"`."""
    _touch(tmp_path, "outside/v.mp4", "outside/notes.txt", "root/run/w.mp4")
    return tmp_path / "outside"


@pytest.mark.parametrize(
    ("link", "target"),
    [("v.mp4", "v.mp4"), ("run/v.mp4", "v.mp4"), ("folder", "."), ("v.mp4", "none.mp4"), ("x.mp4", "notes.txt")],
)
def test_a_link_that_leads_out_of_the_root(link: str, target: str, outside: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / link).symlink_to(outside / target)
    message = _message(root, "w")
    real = os.path.realpath(outside / target)
    assert message.startswith(f"{root / link} is a link that leads out of the data folder {root}, to {real}; put the ")


@pytest.mark.parametrize(
    ("link", "name"), [(".hidden", ".hidden/v.mp4"), ("notes", "notes"), ("run/img_1.jpg", "run/img_1.jpg")]
)
def test_a_name_that_goes_through_such_a_link(link: str, name: str, outside: Path, tmp_path: Path) -> None:
    # The walk passes these over: a hidden link, and links to files that are no videos.
    root = tmp_path / "root"
    (root / link).symlink_to(outside if link == ".hidden" else outside / "notes.txt")
    assert _files(root, _listed("w")) == ["run/w.mp4"]
    assert f"{root / name} is a link that leads out of the data folder" in _message(root, name)


def test_links_that_stay_inside_are_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _touch(root, "all/a.mp4", "all/b.mp4", "all/deep/c.mp4")
    (root / "run").mkdir()
    (root / "run/first.mp4").symlink_to(root / "all/a.mp4")
    (root / "walk").symlink_to(root / "all", target_is_directory=True)
    (root / "gone.mp4").symlink_to(root / "none.mp4")
    listed = _listed("first", "walk/b", "a", "walk/deep/c.mp4", "gone")
    assert _files(root, listed) == ["run/first.mp4", "walk/b.mp4", "all/a.mp4", "walk/deep/c.mp4", ""]
    assert not _found(listed, root).others


def test_circles_of_links_end(tmp_path: Path) -> None:
    _touch(tmp_path, "a/v.mp4", "b/w.mp4")
    (tmp_path / "a/up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a/b").symlink_to(tmp_path / "b", target_is_directory=True)
    (tmp_path / "b/a").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert _files(tmp_path, _listed("v", "w")) == ["a/v.mp4", "a/b/w.mp4"]
    assert not _found(_listed("v", "w"), tmp_path).others


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    _touch(tmp_path, "disk/run/v.mp4", "disk/w.mp4")
    (tmp_path / "root").symlink_to(tmp_path / "disk", target_is_directory=True)
    (tmp_path / "disk/x.mp4").symlink_to(tmp_path / "disk/w.mp4")
    assert _files(tmp_path / "root", _listed("v", "x")) == ["run/v.mp4", "x.mp4"]


def test_a_root_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("none", "file"):
        root = tmp_path / name
        assert _message(root, "v") == f"data folder {root} does not exist; give the folder of the videos as data.root"


def test_other_things_than_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "v.mp4")
    _touch(tmp_path, "run/v.mp4")
    assert _files(tmp_path, _listed("v")) == ["run/v.mp4"]
