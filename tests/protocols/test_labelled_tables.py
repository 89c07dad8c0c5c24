"""Videos in a CSV list. Nothing is decoded: empty files do."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from essential.errors import DataError
from essential.protocols.labelled_tables import manifest_videos
from essential.protocols.protocol import Video

HEADER = "its header must be path,label,split, in any order"
GOOD = "a.mp4,run,train\n"


def _manifest(folder: Path, text: str, *videos: str) -> Path:
    for name in ("a.mp4", "b.mp4", *videos):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def _message(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        manifest_videos(path)
    return str(caught.value)


def test_videos_keep_the_order_of_the_list(tmp_path: Path) -> None:
    path = _manifest(
        tmp_path, f"path,label,split\nsub/c.avi,long jump,test\n{GOOD}b.mp4,long jump,train\n", "sub/c.avi"
    )
    assert manifest_videos(path) == [
        Video("sub/c.avi", str(tmp_path / "sub/c.avi"), "long jump", "test"),
        Video("a.mp4", str(tmp_path / "a.mp4"), "run", "train"),
        Video("b.mp4", str(tmp_path / "b.mp4"), "long jump", "train"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "split,path,label\ntrain,a.mp4,run\n",
        "\ufeffpath,label,split\na.mp4,run,train\n",
        "path,label,split\r\na.mp4,run,train\r\n",
        "path,label,split\n\na.mp4,run,train\n\n",
        " path , label ,split\n a.mp4 , run, train",
        'path,label,split\n"a.mp4","run","train"\n',
        "path,label,split\n./a.mp4,run,train\n",
    ],
    ids=["order", "mark", "crlf", "empty lines", "spaces", "quotes", "dot"],
)
def test_what_spreadsheets_and_editors_write_is_read(text: str, tmp_path: Path) -> None:
    assert manifest_videos(_manifest(tmp_path, text)) == [Video("a.mp4", str(tmp_path / "a.mp4"), "run", "train")]


def test_a_field_may_hold_a_comma_in_quotes(tmp_path: Path) -> None:
    path = _manifest(tmp_path, 'path,label,split\n"x, y.mp4","run, fast",train\n', "x, y.mp4")
    assert manifest_videos(path) == [Video("x, y.mp4", str(tmp_path / "x, y.mp4"), "run, fast", "train")]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("path,lable,split", f"has an unknown column 'lable' (did you mean 'label'?); {HEADER}"),
        ("path,label,split,frames", f"has an unknown column 'frames'; {HEADER}"),
        ("Path,label,split", f"has an unknown column 'Path' (did you mean 'path'?); {HEADER}"),
        ("a.mp4,run,train", "has an unknown column 'a.mp4'"),
        ("path,label,split,label", f"has the column 'label' twice; {HEADER}"),
        ("path,label", f"lacks the column 'split'; {HEADER}"),
        ("path;label;split", "has an unknown column 'path;label;split'"),
        ("", f"lacks the column 'path'; {HEADER}"),
    ],
)
def test_a_header_that_is_wrong(header: str, expected: str, tmp_path: Path) -> None:
    path = _manifest(tmp_path, f"{header}\n{GOOD}" if header else "")
    assert _message(path).startswith(f"manifest {path} {expected}")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("a.mp4,run,val", "split is 'val'; use one of train, test"),
        ("a.mp4,run,Train", "split is 'Train'; use one of train, test"),
        ("a.mp4,run,", "split is ''; fill it in with plain text of one line"),
        ("a.mp4,,train", "label is ''; fill it in with plain text of one line"),
        (",run,train", "path is ''; fill it in with plain text of one line"),
        ("a.mp4,run", "2 fields, but the header has 3; put a field that holds a comma in double quotes"),
        ("a.mp4,run,train,x", "4 fields, but the header has 3; put a field that holds a comma in double quotes"),
        (
            "/a.mp4,run,train",
            "path '/a.mp4' leaves the manifest's folder; give paths relative to {folder}, without '..'",
        ),
        ("../a.mp4,run,train", "path '../a.mp4' leaves the manifest's folder; give paths relative to {folder}"),
        ("x/../a.mp4,run,train", "path 'x/../a.mp4' leaves the manifest's folder"),
    ],
)
def test_a_row_that_is_wrong(row: str, expected: str, tmp_path: Path) -> None:
    path = _manifest(tmp_path, f"path,label,split\nb.mp4,run,train\n{row}\n")
    assert _message(path).startswith(f"manifest {path}, line 3: {expected.format(folder=tmp_path)}")


def test_a_null_character(tmp_path: Path) -> None:
    # Python 3.10 refuses it while it reads the line, later ones read it.
    path = _manifest(tmp_path, "path,label,split\nb.mp4,run,train\na.mp4,ru\0n,train\n")
    with pytest.raises(DataError, match=r"line 3: (label is 'ru\\x00n'; fill|not valid CSV \(line contains NUL)"):
        manifest_videos(path)


def test_a_label_of_two_lines(tmp_path: Path) -> None:
    path = _manifest(tmp_path, 'path,label,split\na.mp4,"ru\nn",train\n')
    assert f"manifest {path}, line 3: label is 'ru\\nn'; fill it in" in _message(path)


def test_an_open_quote(tmp_path: Path) -> None:
    path = _manifest(tmp_path, 'path,label,split\na.mp4,"run,train\n')
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}, line 2: not valid CSV \(.+\); fix the line"):
        manifest_videos(path)


def test_no_row(tmp_path: Path) -> None:
    path = _manifest(tmp_path, "path,label,split\n")
    assert _message(path) == f"manifest {path} lists no video; add rows below its header path,label,split"


def test_no_file(tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    assert _message(path) == f"manifest {path} does not exist; give an existing CSV file as data.path"
    assert _message(tmp_path) == f"manifest {tmp_path} cannot be read: Is a directory; give a readable file"


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"path,label,split\n\xff\xfe")
    assert _message(path) == f"manifest {path} is not UTF-8 text (byte 17); save it as UTF-8 CSV"


@pytest.mark.parametrize("again", ["a.mp4,run,train", "a.mp4,run,test", "./a.mp4,jump,train"])
def test_a_video_listed_twice(again: str, tmp_path: Path) -> None:
    path = _manifest(tmp_path, f"path,label,split\n{GOOD}{again}\n")
    expected = "line 3: video 'a.mp4' is listed before, in list.csv, line 2; a video is listed once and has one split"
    assert _message(path) == f"manifest {path}, {expected}"


def test_videos_that_do_not_exist(tmp_path: Path) -> None:
    path = _manifest(tmp_path, f"path,label,split\n{GOOD}x.mp4,run,train\ny.mp4,run,test\n")
    missing = "2 of 3 videos do not exist, or are no files: x.mp4, y.mp4"
    assert _message(path) == f"manifest {path}: {missing}; paths are relative to {tmp_path}"


def test_of_many_videos_that_do_not_exist_ten_are_named(tmp_path: Path) -> None:
    path = _manifest(tmp_path, "path,label,split\n" + "".join(f"{i:02d}.mp4,run,train\n" for i in range(12)))
    assert "12 of 12 videos do not exist, or are no files: 00.mp4, " in _message(path)
    assert "09.mp4, ...; paths are relative" in _message(path)


def test_a_class_without_training_clips(tmp_path: Path) -> None:
    path = _manifest(tmp_path, f"path,label,split\n{GOOD}b.mp4,jump,test\n")
    assert _message(path).startswith(f"manifest {path}: no training clip for the class 'jump'; add training clips, ")


def test_a_link_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/c.mp4").touch()
    path = _manifest(tmp_path / "data", f"path,label,split\n{GOOD}c.mp4,run,train\n")
    (tmp_path / "data/c.mp4").symlink_to(tmp_path / "other/c.mp4")
    expected = f"'c.mp4' leads out of the manifest's folder through a link, to {tmp_path / 'other/c.mp4'}; put the"
    assert expected in _message(path)


def test_a_folder_that_is_a_link_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "data2").mkdir()
    (tmp_path / "data2/c.mp4").touch()
    path = _manifest(tmp_path / "data", f"path,label,split\n{GOOD}sub/c.mp4,run,train\n")
    # Its name begins like the manifest's folder, which is not enough.
    (tmp_path / "data/sub").symlink_to("../data2")
    assert f"'sub/c.mp4' leads out of the manifest's folder through a link, to {tmp_path / 'data2/c.mp4'}" in _message(
        path
    )


def test_links_that_stay_inside(tmp_path: Path) -> None:
    path = _manifest(tmp_path / "data", f"path,label,split\n{GOOD}c.mp4,run,test\nsub/d.mp4,run,test\n", "real/d.mp4")
    (tmp_path / "data/c.mp4").symlink_to("b.mp4")
    (tmp_path / "data/sub").symlink_to(tmp_path / "data/real")
    # A manifest whose own folder is reached through a link is as good.
    (tmp_path / "link").symlink_to("data")
    for folder in ("data", "link"):
        videos = manifest_videos(tmp_path / folder / path.name)
        assert [video.file for video in videos] == [str(tmp_path / folder / k) for k in ("a.mp4", "c.mp4", "sub/d.mp4")]


def test_a_name_longer_than_any_file_has(tmp_path: Path) -> None:
    path = _manifest(tmp_path, f"path,label,split\n{GOOD}{'x' * 300}.mp4,run,train\n")
    assert _message(path).startswith(f"manifest {path}: 1 of 2 videos do not exist, or are no files: xxx")


_PIECES = [*'\0\r\n\x85\u2028,"; .', "a.mp4", "b.mp4", "run", "train", "test", "..", "/", "\ufeff", "x" * 300]
_FIELDS = st.sampled_from(["a.mp4", "b.mp4", "run", "train", "test"]) | st.lists(st.sampled_from(_PIECES)).map("".join)
_ROWS = st.lists(st.lists(_FIELDS, min_size=3, max_size=3) | st.lists(_FIELDS, max_size=4), max_size=4)


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=60)
    | _ROWS.map(lambda rows: "\n".join(["path,label,split", *map(",".join, rows)]).encode())
    | _ROWS.map(lambda rows: "\n".join(map(",".join, rows)).encode("utf-16"))
)
@example(f"path,label,split\n{GOOD}".encode())
def test_whatever_a_manifest_holds_it_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = _manifest(tmp_path, "")
    path.write_bytes(content)
    with suppress(DataError):
        assert all(video.path.is_file() for video in manifest_videos(path))
