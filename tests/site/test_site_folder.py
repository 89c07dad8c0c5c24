"""The folder of a site: whole or not at all, and what others put there stays."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from essential.errors import FileSystemError, InUseError, RunError
from essential.files.atomic import folder_lock
from essential.site.folder import replace_folder

FIRST = [("index.html", b"1"), ("runs/a.html", b"a"), ("runs/b.html", b"b"), ("old/c.html", b"c")]
SECOND = [("index.html", b"2"), ("runs/b.html", b"b"), ("runs/d.html", b"d")]


def _content(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text() for path in files if path.name != "site.json"}


def _names(folder: Path) -> list[str]:
    names: list[str] = json.loads((folder / "site.json").read_text())["files"]
    return names


@pytest.mark.parametrize("there", [False, True])
def test_the_next_build_replaces_what_the_last_one_made_and_nothing_else(tmp_path: Path, there: bool) -> None:
    out = tmp_path / "deep" / "site"
    if there:
        (out / "runs").mkdir(parents=True)
        (out / "CNAME").write_text("mine")
        (out / "runs" / "mine.html").write_text("mine")
    mine = _content(out)
    done = replace_folder(out, FIRST)
    assert (done.written, done.removed) == (5, 0)
    assert _content(out) == {**mine, "index.html": "1", "runs/a.html": "a", "runs/b.html": "b", "old/c.html": "c"}
    done = replace_folder(out, SECOND)
    assert (done.written, done.removed) == (4, 2)
    assert _content(out) == {**mine, "index.html": "2", "runs/b.html": "b", "runs/d.html": "d"}
    assert not (out / "old").exists()
    assert _names(out) == ["index.html", "runs/b.html", "runs/d.html", "site.json"]
    assert out.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in out.parent.iterdir()] == ["site"]


@pytest.mark.parametrize("way", ["index.html", "runs", "runs/b.html", "link"])
def test_a_file_of_others_in_the_way_stops_it_before_anything_is_changed(tmp_path: Path, way: str) -> None:
    out, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / way).parent.mkdir(parents=True)
    if way == "link":
        (out / "runs").symlink_to(elsewhere)
    else:
        (out / way).write_text("mine")
    before = _content(out)
    with pytest.raises(RunError, match=r"site has files in the way that no earlier site made: .*; move them away"):
        replace_folder(out, SECOND)
    assert _content(out) == before
    assert not list(elsewhere.iterdir())
    assert not (out / "site.json").exists()


def test_a_build_that_fails_leaves_the_last_one(tmp_path: Path) -> None:
    def failing() -> Iterator[tuple[str, bytes]]:
        yield from SECOND
        raise RunError("stop")

    out = tmp_path / "site"
    with pytest.raises(RunError, match="stop"):
        replace_folder(out, failing())
    assert not list(tmp_path.iterdir())
    replace_folder(out, FIRST)
    before = _content(out)
    with pytest.raises(RunError, match="stop"):
        replace_folder(out, failing())
    assert _content(out) == before


def test_a_build_that_is_killed_between_two_files_is_put_right_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "site"
    replace_folder(out, FIRST)
    moves = []

    def killed(source: Path, target: Path) -> None:
        moves.append(target)
        if len(moves) == 3:
            raise KeyboardInterrupt
        source.rename(target)

    with monkeypatch.context() as patch:
        patch.setattr("essential.site.folder.move_over", killed)
        with pytest.raises(KeyboardInterrupt):
            replace_folder(out, SECOND)
    assert len(moves) == 3
    replace_folder(out, [("index.html", b"3")])
    assert _content(out) == {"index.html": "3"}


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[]", '{"files": []}', '{"made_by": "essential site", "files": [1]}'),
        *(f'{{"made_by": "essential site", "files": ["{name}"]}}' for name in ("../x", "/x", "")),
    ],
)
def test_a_list_that_is_not_ours_is_not_believed(tmp_path: Path, content: str) -> None:
    out = tmp_path / "site"
    out.mkdir()
    (out / "site.json").write_text(content)
    (tmp_path / "x").write_text("mine")
    with pytest.raises(RunError, match=r"site\.json is not the list of an earlier site; move it away"):
        replace_folder(out, SECOND)
    assert _content(out) == {}
    assert (tmp_path / "x").read_text() == "mine"


@pytest.mark.parametrize("there", [False, True])
def test_what_a_killed_build_left_inside_is_removed_and_no_other_folder(tmp_path: Path, there: bool) -> None:
    out = tmp_path / "site"
    if there:
        replace_folder(out, FIRST)
    for name in (".site-abc.tmp", ".site-mine"):
        (out / name / "runs").mkdir(parents=True)
        (out / name / "runs" / "a.html").write_text("left")
    replace_folder(out, SECOND)
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [".site-mine", "runs"]


def test_two_builds_are_not_put_into_one_folder(tmp_path: Path) -> None:
    out = tmp_path / "site"
    replace_folder(out, FIRST)
    before = _content(out)
    with folder_lock(out, name=".site.lock"), pytest.raises(InUseError, match="site is in use by process"):
        replace_folder(out, SECOND)
    assert _content(out) == before
    replace_folder(out, SECOND)


def test_two_first_builds_do_not_meet(tmp_path: Path) -> None:
    """While the first is being made, the second is told so; then it replaces what the first has made."""
    out = tmp_path / "site"

    def first() -> Iterator[tuple[str, bytes]]:
        yield from FIRST
        with pytest.raises(InUseError, match="site is in use by process"):
            replace_folder(out, SECOND)

    assert replace_folder(out, first()).written == 5
    assert replace_folder(out, SECOND).removed == 2


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "site"
    with pytest.raises(ValueError, match=r"two files are to have one name: runs/b\.html"):
        replace_folder(out, [*SECOND, ("runs/b.html", b"other")])
    assert not out.exists()
    replace_folder(out, FIRST)
    before = _content(out)
    with pytest.raises(ValueError, match="one name"):
        replace_folder(out, [*SECOND, ("runs/b.html", b"other")])
    assert _content(out) == before


def test_nothing_is_removed_behind_a_link(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    replace_folder(out, FIRST)
    (out / "old").rename(elsewhere)
    (out / "old").symlink_to(elsewhere)
    replace_folder(out, SECOND)
    assert (elsewhere / "c.html").read_text() == "c"


def test_a_file_is_no_place_for_a_site(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="file is a file, and a site is a folder"):
        replace_folder(tmp_path / "file", SECOND)
    with pytest.raises(FileSystemError, match="cannot write"):
        replace_folder(tmp_path / "file" / "site", SECOND)
    assert (tmp_path / "file").read_text() == "mine"
