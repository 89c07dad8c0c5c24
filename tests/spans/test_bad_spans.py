"""Files of spans that cannot be used: one clear error, which names the file, the place and the value."""

import json
from pathlib import Path
from typing import Any

import pytest

from essential.errors import ConfigError, DataError, EssentialError
from essential.protocols.protocol import Segment
from essential.spans import LabelledSpan, read_spans
from essential.spans.checks import refuse_conflicts

HEADER = "path,start_seconds,end_seconds,label\n"


def _refused(path: Path, content: str, **more: Any) -> str:
    path.write_text(content, encoding="utf-8")
    with pytest.raises(EssentialError) as caught:
        read_spans(path, **more)
    message = str(caught.value)
    assert path.name in message
    return message


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("match.mp4,2.5,1,wave\n", ["line 2", "starts at 2.5 s and ends at 1 s"]),
        ("match.mp4,1,1,wave\n", ["line 2", "starts at 1 s and ends at 1 s"]),
        ("match.mp4,-1,1,wave\n", ["line 2", "starts at -1 s"]),
        ("match.mp4,nan,1,wave\n", ["line 2", "start is 'nan'", "12.5"]),
        ("match.mp4,0,inf,wave\n", ["line 2", "end is 'inf'"]),
        ("match.mp4,,1,wave\n", ["line 2", "start is ''"]),
        ("match.mp4,0:10,1,wave\n", ["line 2", "start is '0:10'"]),
        ("match.mp4,0,1,wave\nmatch.mp4,3,99,wave\n", ["line 3", "3.000 to 99.000 s", "ends at 4.000 s"]),
        ("match.mp4,4,4.5,wave\n", ["line 2", "ends at 4.000 s"]),
        ("gone.mp4,0,1,wave\n", ["line 2", "no video 'gone.mp4'", "--videos DIR"]),
        ("../match.mp4,0,1,wave\n", ["videos found", "match.mp4"]),
        ("https://x.org/match.mp4,0,1,wave\n", ["line 2", "address, 'https://x.org/match.mp4'"]),
        ("s3://bucket/match.mp4,0,1,wave\n", ["line 2", "address"]),
        (",0,1,wave\n", ["line 2", "path is ''"]),
        ("match.mp4,0,1,a\x07b\n", ["line 2", "U+0007"]),
        ("match.mp4,0,1,wave\nmatch.mp4,0,1,wave\n", ["is there twice", "line 2", "line 3"]),
        ("match.mp4,0,2,wave\nmatch.mp4,1.5,3,jump\n", ["two labels at one time", "'wave'", "line 2", "line 3"]),
        ("match.mp4,0,1\n", ["line 2", "3 fields, but the header has 4"]),
        ('match.mp4,0,1,"wave\n', ["not valid CSV"]),
        ("", ["holds no labelled span"]),
    ],
)
def test_rows_that_are_no_spans(rows: str, words: list[str], videos: Path) -> None:
    path = videos / "s.csv"
    if words[0] == "videos found":  # the path is not followed out of the folder: the name alone is looked for in it
        told: list[str] = []
        path.write_text(HEADER + rows)
        (read,) = read_spans(path, tell=told.append)
        assert read.path == videos / "match.mp4"
        assert all(word in told[0] for word in words)
        return
    message = _refused(path, HEADER + rows)
    for word in words:
        assert word in message


def test_neighbours_may_share_a_tenth_of_a_second(videos: Path) -> None:
    (videos / "s.csv").write_text(HEADER + "match.mp4,0,2.09,wave\nmatch.mp4,2,3,jump\nmatch.mp4,2.5,3.5,jump\n")
    assert len(read_spans(videos / "s.csv")) == 3


def test_an_end_a_little_past_the_video_is_cut_to_it(videos: Path) -> None:
    (videos / "s.csv").write_text(HEADER + "match.mp4,3,4.6,wave\n")
    assert read_spans(videos / "s.csv")[0].segment == pytest.approx((3.0, 4.0))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("s.csv", "", ["it is empty"]),
        ("s.csv", " \n", ["it is empty"]),
        ("s.csv", "path,start_seconds,label\n", ["lacks the column 'end_seconds'", HEADER.strip()]),
        ("s.csv", "path,path,start,end,label\n", ["has twice the column 'path'"]),
        ("s.txt", "x", ["its name ends in '.txt'", ".csv, .json, .jsonl, .xml, .eaf, .vtt, .srt"]),
        ("s.json", "{", ["not valid JSON"]),
        ("s.json", '{"videos": []}', ["an object with 'videos'", "Label Studio", "ActivityNet"]),
        ("s.json", "[1]", ["a list, no export"]),
        ("s.json", '{"database": []}', ["database is no object", "version 1.3"]),
        ("s.json", '{"version": "2", "database": {"match": {"spans": []}}}', ["video 'match'", "says version '2'"]),
        (
            "s.json",
            '{"database": {"match": {"annotations": [{"segment": 3, "label": "x"}]}}}',
            ["annotation 1", "is 3"],
        ),
        ("s.jsonl", "[]\n", ["line 1", "not a JSON object"]),
        ("s.jsonl", '{"path": "match.mp4", "start": true, "end": 2, "label": "x"}\n', ["line 1", "start is True"]),
        ("s.jsonl", '{"path": "match.mp4", "start": NaN, "end": 2, "label": "x"}\n', ["NaN"]),
        ("s.xml", "<annotations>", ["not valid XML"]),
        ("s.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><annotations/>", ["declares a document type"]),
        ("s.xml", "<annotations><version>2.0</version></annotations>", ["version '2.0'", "known is 1.1"]),
        ("s.xml", "<annotations><version>1.1</version><meta><project/></meta></annotations>", ["whole project"]),
        ("s.xml", "<annotations><version>1.1</version></annotations>", ["names no video"]),
        ("s.eaf", '<ANNOTATION_DOCUMENT FORMAT="4.0"/>', ["version '4.0'", "2.x and 3.x"]),
        ("match.vtt", "WEBVTT\n\n0:1 --> 2\nwave\n", ["line 3", "the timing is '0:1 --> 2'"]),
        ("match.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n", ["line 3", "no name for a class"]),
        ("match.vtt", "WEBVTT\n", ["holds no labelled span"]),
        ("match.vtt", f"WEBVTT\n\n{9:0>5000}:00:01.000 --> 00:02.000\nwave\n", ["line 3", "the timing is"]),
        ("match.vtt", f"WEBVTT\n\n00:01.000 --> {9:9>400}:00:02.000\nwave\n", ["line 3", "the timing is"]),
    ],
)
def test_files_that_hold_no_spans(name: str, content: str, words: list[str], videos: Path) -> None:
    message = _refused(videos / name, content)
    for word in words:
        assert word in message


def test_a_file_that_is_missing_or_an_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_spans(tmp_path / "gone.csv")
    (tmp_path / "task.xml").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match="ZIP archive; unpack it"):
        read_spans(tmp_path / "task.xml")
    (tmp_path / "s.csv").write_bytes(b"path\xff")
    with pytest.raises(DataError, match="not UTF-8"):
        read_spans(tmp_path / "s.csv")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "s.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match=r"s\.json cannot be read: it has more than 268,435,456 bytes"):
        read_spans(tmp_path / "s.json")


def _task(value: Any, **more: Any) -> str:
    return json.dumps(
        [{"id": 7, "data": {"video": "match.mp4"}, "annotations": [{"result": [{"value": value}]}], **more}]
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_task({"ranges": {"from": 1}, "timelinelabels": ["a"]}), ["task 7, region 1", "{'from': 1}", "known are"]),
        (_task({"ranges": [{"start": 9, "end": 3}], "timelinelabels": ["a"]}), ["from frame 8 to before frame 3"]),
        (_task({"ranges": [{"start": 1.5, "end": 3}], "timelinelabels": ["a"]}), ["whole numbers"]),
        (_task({"ranges": [{"start": 1, "end": 999}], "timelinelabels": ["a"]}), ["frame 999", "has 100 frames"]),
        (_task({"ranges": [{"start": 1, "end": 9}], "timelinelabels": ["a", "b"]}), ["labels ['a', 'b']", "one label"]),
        (
            _task({"ranges": [{"start": 1, "end": 9}], "timelinelabels": []}),
            ["no labelled span, but 1 regions without"],
        ),
        (_task({"x": 1}, annotations=5), ["task 7", "annotations is 5, and no list"]),
        (_task({"x": 1}, annotations=[{"regions": []}]), ["task 7", "no list called result"]),
        (_task({"x": 1}, data={"image": "a.png"}), ["task 7", "names no video"]),
        (_task({"x": 1}, data={"video": "a.mp4", "other": "b.mp4"}), ["task 7", "names 2 videos"]),
        (_task({"start": 3, "end": 1, "labels": ["a"]}), ["starts at 3 s and ends at 1 s"]),
    ],
)
def test_regions_of_an_export_that_are_no_spans(content: str, words: list[str], videos: Path) -> None:
    message = _refused(videos / "e.json", content)
    for word in words:
        assert word in message


def test_a_rate_is_for_files_that_count_frames(videos: Path) -> None:
    (videos / "s.csv").write_text(HEADER + "match.mp4,0,2,wave\n")
    with pytest.raises(ConfigError, match="the frame rate 24 has no meaning"):
        read_spans(videos / "s.csv", frame_rate=24)
    (videos / "e.json").write_text(_task({"ranges": [{"start": 1, "end": 9}], "timelinelabels": ["a"]}))
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="is not above 0"):
            read_spans(videos / "e.json", frame_rate=rate)


def test_videos_are_found_below_a_folder_by_their_names(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    lists = tmp_path_factory.mktemp("lists")
    (videos / "deep").mkdir()
    (videos / "match.mp4").rename(videos / "deep" / "match.mp4")
    path = lists / "s.csv"
    path.write_text(HEADER + "C:\\clips\\match.mp4,0,1,wave\n")
    told: list[str] = []
    (read,) = read_spans(path, videos=videos, tell=told.append)
    assert read.path == videos / "deep" / "match.mp4"
    assert "C:\\clips\\match.mp4 -> " in told[0]
    (videos / "match.mp4").hardlink_to(videos / "away.mp4")
    assert "2 videos may be 'C:\\\\clips\\\\match.mp4': " in _refused(path, path.read_text(), videos=videos)
    with pytest.raises(DataError, match="nowhere does not exist"):
        read_spans(path, videos=videos / "nowhere")


def test_a_task_without_annotations_beside_others_holds_nothing(videos: Path) -> None:
    (task,) = json.loads(_task({"ranges": [{"start": 1, "end": 9}], "timelinelabels": ["a"]}))
    (videos / "e.json").write_text(json.dumps([task, {**task, "id": 8, "annotations": None}]))
    assert [span.label for span in read_spans(videos / "e.json")] == ["a"]


def test_a_name_without_an_extension_is_of_one_video(videos: Path) -> None:
    (videos / "match.mkv").hardlink_to(videos / "away.mp4")
    message = _refused(videos / "match.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nwave\n")
    assert "2 videos may be 'match': " in message
    assert "match.mkv" in message
    assert "match.mp4" in message


def test_no_name_and_no_link_leads_out_of_the_folder(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    lists = tmp_path_factory.mktemp("lists")
    path = lists / "s.csv"
    for name in (str(videos / "match.mp4"), f"../{videos.name}/match.mp4"):
        assert "there is no video" in _refused(path, HEADER + f"{name},0,1,wave\n")
    (lists / "linked.mp4").symlink_to(videos / "match.mp4")
    assert "leads out of" in _refused(path, HEADER + "linked.mp4,0,1,wave\n")


def test_a_video_that_cannot_be_read_is_named(videos: Path) -> None:
    (videos / "match.mp4").unlink()
    (videos / "match.mp4").write_text("no video")
    (videos / "s.csv").write_text(HEADER + "match.mp4,0,1,wave\n")
    with pytest.raises(EssentialError, match=r"match\.mp4: not a video"):
        read_spans(videos / "s.csv")


def test_spans_that_are_given_are_checked_as_those_of_a_file_are() -> None:
    one, other = LabelledSpan(Path("a"), Segment(0, 5), "x"), LabelledSpan(Path("a"), Segment(1, 2), None)
    with pytest.raises(DataError, match=r"'x' from 0.000 to 5.000 s \(one\), and 'none of these' from 1"):
        refuse_conflicts([other, one], ["other", "one"])
    refuse_conflicts([one, LabelledSpan(Path("b"), Segment(1, 2), "y")], ["one", "other"])
