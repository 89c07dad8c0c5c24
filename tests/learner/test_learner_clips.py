"""The clips that a learner is given: what is taken, and what is refused by name."""

import errno
import os
from pathlib import Path

import pytest

from essential.errors import DataError
from essential.learner.clips import Expanded, clips_by_class, refuse_known, refuse_same_content


def _folder(root: Path, **classes: list[str]) -> Path:
    for name, files in classes.items():
        (root / name).mkdir(parents=True)
        for file in files:
            (root / name / file).write_bytes(b"clip")
    return root


def test_a_folder_gives_its_classes_and_a_dictionary_the_same(tmp_path: Path) -> None:
    root = _folder(tmp_path / "clips", wave=["b.mp4", "a.MP4", "notes.txt", ".hidden.mp4"], jump=["c.avi"])
    expected = {"jump": [root / "jump/c.avi"], "wave": [root / "wave/a.MP4", root / "wave/b.mp4"]}
    found = clips_by_class(root)
    assert found.videos == expected
    assert found.passed_over.counts == {"hidden": 1, "no video by their extension": 1}
    assert clips_by_class(found) is found
    assert clips_by_class(str(root)).videos == expected
    assert clips_by_class({name: map(str, paths) for name, paths in expected.items()}).videos == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "there is no class; give"),
        ({"wave": []}, "no clip is given for the class 'wave'"),
        ({"": ["a.mp4"]}, "'' is no name for a class"),
        ({"two\nlines": ["a.mp4"]}, "no name for a class"),
        ({"\033[31mred": ["a.mp4"]}, "it holds the character U+001B"),
        ({"left\u202eright": ["a.mp4"]}, "it holds the character U+202E"),
        ({"None of THESE ": ["a.mp4"]}, "it is what is answered for a clip of no class"),
        ({"caf\udce9": ["a.mp4"]}, "no name for a class"),
        ({"wave": "a.mp4"}, "given as 'a.mp4'; give a list of paths"),
        ({"wave": ["a.mp4"], "jump": ["./a.mp4"]}, "a.mp4 is given for two classes, 'wave' and 'jump'"),
    ],
)
def test_what_cannot_be_learned_is_refused_by_name(given: dict[str, list[str]], words: str) -> None:
    with pytest.raises(DataError) as raised:
        clips_by_class(given)
    assert words in str(raised.value)


def test_a_folder_of_another_layout_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        clips_by_class(tmp_path / "nowhere")
    _folder(tmp_path / "flat")
    (tmp_path / "flat").mkdir()
    with pytest.raises(DataError, match="holds no class folder"):
        clips_by_class(tmp_path / "flat")
    _folder(tmp_path / "split" / "train", wave=["a.mp4"])
    with pytest.raises(DataError, match=r"split holds train: give .*train, whose folders are the classes"):
        clips_by_class(tmp_path / "split")
    _folder(tmp_path / "loose", wave=["a.mp4"])
    (tmp_path / "loose" / "b.mp4").write_bytes(b"clip")
    with pytest.raises(DataError, match=r"b\.mp4 is in no class's folder"):
        clips_by_class(tmp_path / "loose")


def test_a_link_to_a_clip_of_another_class_is_the_same_clip(tmp_path: Path) -> None:
    root = _folder(tmp_path / "clips", wave=["a.mp4"], jump=["b.mp4"])
    (root / "jump" / "c.mp4").symlink_to(root / "wave" / "a.mp4")
    with pytest.raises(DataError, match="given for two classes, 'jump' and 'wave'"):
        clips_by_class(root)


def test_clips_of_a_class_may_lie_deeper(tmp_path: Path) -> None:
    root = _folder(tmp_path / "clips", wave=["a.mp4"])
    _folder(root / "wave", monday=["b.mp4"], tuesday=["c.mp4"])
    assert clips_by_class(root).videos == {
        "wave": [root / "wave" / name for name in ("a.mp4", "monday/b.mp4", "tuesday/c.mp4")]
    }


def test_a_link_to_itself_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    assert clips_by_class({"wave": [tmp_path / "loop.mp4"]}).videos == {"wave": [tmp_path / "loop.mp4"]}


def test_files_of_equal_content_are_refused() -> None:
    labels = {"wave/a": "wave", "wave/b": "wave", "jump/c": "jump"}
    refuse_same_content({"wave/a": "1", "wave/b": "2", "jump/c": "3"}, labels, {"4": "run"})
    with pytest.raises(DataError, match="wave/a and jump/c are the same clip, in two classes"):
        refuse_same_content({"wave/a": "1", "wave/b": "2", "jump/c": "1"}, labels, {})
    with pytest.raises(DataError, match="wave/a and wave/b are the same clip; take one of them out"):
        refuse_same_content({"wave/a": "1", "wave/b": "1", "jump/c": "2"}, labels, {})
    with pytest.raises(DataError, match=r"2 clips were taught before: wave/a \(for 'run'\), jump/c \(for 'jump'\)"):
        refuse_same_content({"wave/a": "1", "wave/b": "2", "jump/c": "3"}, labels, {"1": "run", "3": "jump"})


def test_a_known_class_is_refused_with_how_to_add_to_it() -> None:
    refuse_known(["jump"], ["wave"])
    with pytest.raises(DataError, match=r"'wave'.*--more-of-known"):
        refuse_known(["jump", "wave"], ["wave"])


def test_folders_are_searched_for_videos_by_name(tmp_path: Path) -> None:
    root = _folder(tmp_path / "clips", wave=["b.mp4", "a.mp4"], jump=["c.avi", "d.txt"])
    wanted = [root / "jump/c.avi", root / "wave/a.mp4", root / "wave/b.mp4", Path("named.mp4")]
    assert list(Expanded([root, "named.mp4"])) == [(path, None) for path in wanted]


def test_links_are_followed_once_and_what_is_hidden_is_passed_over(tmp_path: Path) -> None:
    root = _folder(tmp_path / "clips", wave=["a.mp4"], **{".hidden": ["h.mp4"]})
    (root / "wave" / ".b.mp4").touch()
    _folder(tmp_path / "elsewhere", jump=["c.mp4"])
    (root / "linked").symlink_to(tmp_path / "elsewhere/jump")
    (root / "again").symlink_to(root / "wave")
    (root / "wave/round").symlink_to(root)
    assert list(Expanded([root])) == [(root / "linked/c.mp4", None), (root / "wave/a.mp4", None)]


def test_a_folder_of_numbered_images_is_a_clip(tmp_path: Path) -> None:
    for name in ("clips/one", "clips/two"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "img_00001.jpg").touch()
    (tmp_path / "clips/cover_1.jpg").touch()
    assert clips_by_class(tmp_path).videos["clips"] == [tmp_path / "clips/one", tmp_path / "clips/two"]
    assert list(Expanded([tmp_path / "clips/one"])) == [(tmp_path / "clips/one", None)]
    assert list(Expanded([tmp_path / "clips"])) == [(tmp_path / "clips/one", None), (tmp_path / "clips/two", None)]


def test_a_path_that_names_nothing_says_so_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "here.mp4").touch()
    monkeypatch.chdir(tmp_path)
    given = ["", "a\0b.mp4", "x" * 5000, "empty", "here.mp4"]
    problems = dict(Expanded(given))
    assert [str(path) for path in problems] == [".", *given[1:]]
    said = list(problems.values())
    assert said[0] == "an empty path names no file"
    assert said[1] == "a path cannot hold a zero byte"
    assert said[2] == "it cannot be opened (File name too long)"
    assert said[3] == "the folder holds no video; give one that does, or a file"
    assert said[4] is None


def test_names_of_classes_are_kept_in_one_form() -> None:
    persian, japanese = "\u0645\u06cc\u200c\u0631\u0648\u062f", "\u624b\u3092\u3000\u632f\u308b"
    given = {"U\u0308bung": ["1"], "\u00dcbung": ["2"], f" {persian} ": ["3"], f"{japanese}\u3000": ["4"]}
    assert clips_by_class(given).videos == {
        "\u00dcbung": [Path("1"), Path("2")],
        persian: [Path("3")],
        japanese: [Path("4")],
    }


def test_what_is_no_file_in_a_folder_is_named_and_never_opened(tmp_path: Path) -> None:
    root = _folder(tmp_path / "clips", wave=["a.mp4", "notes.txt"])
    os.mkfifo(root / "wave/pipe.mp4")
    (root / "wave/b.mp4").symlink_to("nowhere.mp4")
    (root / "__MACOSX").mkdir()
    found = Expanded([root])
    assert dict(found) == {
        root / "wave/a.mp4": None,
        root / "wave/b.mp4": "link to nothing, its content not fetched",
        root / "wave/pipe.mp4": "not a file but a pipe, a socket or a device",
    }
    assert found.passed_over.counts == {"no video by their extension": 1, "of an operating system": 1}
    assert clips_by_class(root).videos == {"wave": [root / "wave/a.mp4"]}
    _folder(tmp_path / "only", __MACOSX=["a.mp4"])
    with pytest.raises(
        DataError, match=r"holds no class folder \(passed over: 1 .* of an operating system: '.*MACOSX'"
    ):
        clips_by_class(tmp_path / "only")


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = _folder(tmp_path / "clips", wave=["a.mp4"], jump=["b.mp4"])
    listed = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("jump"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert list(Expanded([root])) == [
        (root / "jump", "the folder cannot be listed (Permission denied)"),
        (root / "wave/a.mp4", None),
    ]
    with pytest.raises(DataError, match=r"jump cannot be read \(Permission denied\); make it readable"):
        clips_by_class(root)
