"""Files of spans of every kind: what they give, and that they give it again after they are written."""

import json
from pathlib import Path
from typing import Any

import pytest

from essential.errors import ConfigError
from essential.protocols.protocol import Segment
from essential.spans import LabelledSpan, read_spans, write_spans
from essential.spans.writing import Form

FRAME = 1 / 25


def _spans(folder: Path) -> list[LabelledSpan]:
    """Return spans of one video, as `predict --window` gives them, with borders on frames."""
    match = folder / "match.mp4"
    return [
        LabelledSpan(match, Segment(0.0, 1.2), "wave", 0.9375),
        LabelledSpan(match, Segment(1.2, 2.0), None),
        LabelledSpan(match, Segment(2.0, 4.0), "=jump & <run> --> go", 0.5),
    ]


def _write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(("form", "name"), [("csv", "s.csv"), ("jsonl", "s.jsonl")])
def test_tables_give_back_all_that_is_in_a_span(form: Form, name: str, videos: Path) -> None:
    write_spans(_spans(videos), videos / name, form=form)
    assert list(read_spans(videos / name)) == _spans(videos)


@pytest.mark.parametrize("form", ["vtt", "srt"])
def test_subtitles_give_back_all_but_scores_and_are_of_the_video_of_their_name(form: Form, videos: Path) -> None:
    write_spans(_spans(videos), videos / f"match.{form}", form=form)
    read = read_spans(videos / f"match.{form}")
    assert [(span.path, span.segment, span.label) for span in read] == [
        (span.path, span.segment, span.label) for span in _spans(videos)
    ]


@pytest.mark.parametrize("form", ["csv", "jsonl", "vtt", "label-studio"])
@pytest.mark.parametrize(
    "label", ["=1", "'=1", "''-", "'", "-->", "a --> b", "<b>", "&amp;", 'a,"b"', "NOTE", "\u65e5"]
)
def test_a_label_that_means_something_to_a_format_is_a_label(videos: Path, form: Any, label: str) -> None:
    path = videos / f"match.{'json' if form == 'label-studio' else form}"
    write_spans([LabelledSpan(videos / "match.mp4", Segment(0, 1), label)], path, form=form)
    assert [span.label for span in read_spans(path)] == [label]


def test_predictions_for_label_studio_give_back_all_but_what_is_of_no_class(videos: Path) -> None:
    spans = [*_spans(videos), LabelledSpan(videos / "away.mp4", Segment(0.5, 7.0), "wave", 0.75)]
    write_spans(spans, videos / "tasks.json", form="label-studio")
    tasks = json.loads((videos / "tasks.json").read_text())
    assert [task["data"]["video"] for task in tasks] == ["match.mp4", "away.mp4"]
    first = tasks[0]["predictions"][0]["result"][0]
    # Frames are counted from 1, the last one included.
    assert first["value"] == {"ranges": [{"start": 1, "end": 30}], "timelinelabels": ["wave"]}
    assert (first["type"], first["from_name"], first["to_name"]) == ("timelinelabels", "timelineLabels", "video")
    read = read_spans(videos / "tasks.json")
    assert [(span.path, span.label, span.score) for span in read] == [
        (span.path, span.label, span.score) for span in spans if span.label
    ]
    for span, again in zip([span for span in spans if span.label], read, strict=True):
        assert again.segment == pytest.approx(span.segment, abs=FRAME)


def test_a_subtitle_file_is_of_one_video(videos: Path) -> None:
    spans = [LabelledSpan(videos / name, Segment(0, 1), "wave") for name in ("match.mp4", "away.mp4")]
    with pytest.raises(ConfigError, match="vtt is of one video, and these spans are of 2"):
        write_spans(spans, videos / "both.vtt", form="vtt")
    assert not (videos / "both.vtt").exists()


def test_subtitles_as_others_write_them(videos: Path) -> None:
    text = (
        "WEBVTT - by hand\n\nNOTE no cue\n\n1\n00:01.000 --> 00:02.500 align:start\n<b>wave</b> &amp; go\nmore text\n"
    )
    told: list[str] = []
    (read,) = read_spans(_write(videos / "match.vtt", text), tell=told.append)
    assert (read.segment, read.label) == ((1.0, 2.5), "wave & go")
    assert told[1:] == ["passed over: 1 texts after the first line of a cue"]


def test_a_table_may_have_more_columns_and_those_of_predict(videos: Path) -> None:
    text = (
        "note,path,start,end,label,score,unknown,error\n"
        "x,match.mp4,0.0,1.5,wave,0.5,False,\n"
        "x,match.mp4,1.5,2.0,,,True,\n"
        "x,gone.mp4,,,,,,it is empty\n"
    )
    told: list[str] = []
    read = read_spans(_write(videos / "p.csv", text), tell=told.append)
    assert [(span.segment, span.label) for span in read] == [((0.0, 1.5), "wave"), ((1.5, 2.0), None)]
    assert told == ["passed over: 1 rows of videos that could not be read"]


def test_lines_of_json_end_in_a_newline_alone(videos: Path) -> None:
    (videos / "match.mp4").rename(videos / "ma\u2028tch.mp4")
    spans = [LabelledSpan(videos / "ma\u2028tch.mp4", Segment(0, 1), "wave")]
    write_spans(spans, videos / "s.jsonl", form="jsonl")
    assert [span.path for span in read_spans(videos / "s.jsonl")] == [spans[0].path]


def _task(**result: Any) -> dict[str, Any]:
    region = {"id": "a", "from_name": "t", "to_name": "video", "type": "timelinelabels", **result}
    return {"id": 7, "data": {"video": "/data/upload/1/0a1b2c3d-match.mp4"}, "annotations": [{"result": [region]}]}


def test_an_export_of_label_studio_in_frames(videos: Path) -> None:
    value = {"ranges": [{"start": 26, "end": 50}], "timelinelabels": ["wave"]}
    task = _task(value=value, of_a_newer_version=[1])
    choice = {"type": "choices", "value": {"choices": ["good"]}}
    task["annotations"][0]["result"].append(choice)
    task["annotations"].append({"was_cancelled": True, "result": [{"value": value}]})
    task["predictions"] = [{"result": [{"value": {**value, "timelinelabels": ["guess"]}}]}]
    told: list[str] = []
    (read,) = read_spans(_write(videos / "e.json", [task]), tell=told.append)
    assert (read.path, read.label) == (videos / "match.mp4", "wave")
    assert read.segment == pytest.approx((1.0, 2.0))
    assert told[0] == f"videos found by their names: /data/upload/1/0a1b2c3d-match.mp4 -> {videos / 'match.mp4'}"
    assert "give --frame-rate" in told[1]
    assert told[2] == "passed over: 1 regions of the kind choices, 1 skipped annotations"
    (at_24,) = read_spans(videos / "e.json", frame_rate=24)
    assert at_24.segment == pytest.approx((25 / 24, 50 / 24))


def test_an_export_of_label_studio_in_seconds(videos: Path) -> None:
    value = {"start": 0.5, "end": 1.25, "channel": 0, "labels": ["wave"]}
    (read,) = read_spans(_write(videos / "e.json", [_task(type="labels", value=value, original_length=4.0)]))
    assert (read.segment, read.label) == ((0.5, 1.25), "wave")


@pytest.mark.parametrize(
    ("key", "value", "segment"),
    [
        ("tricks", {"start": 0.5, "end": 1.25, "channel": 0, "labels": ["wave"]}, (0.5, 1.25)),
        ("timeline", {"ranges": [{"start": 1, "end": 25}], "timelinelabels": ["wave"]}, (0.0, 1.0)),
    ],
)
def test_the_smaller_export_of_label_studio(key: str, value: Any, segment: tuple[float, float], videos: Path) -> None:
    task = {"video_url": "/data/local-files/?d=in/a%20folder/match.mp4", "id": 3, key: [value], "annotator": 1}
    (read,) = read_spans(_write(videos / "min.json", [task]))
    assert (read.path, read.label) == (videos / "match.mp4", "wave")
    assert read.segment == pytest.approx(segment)


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><name>t</name>{filter}<source>match.mp4</source><newer>1</newer></task></meta>
{content}
</annotations>"""
BOX = '<box frame="{}" outside="{}" occluded="0" keyframe="1" xtl="0" ytl="0" xbr="9" ybr="9"></box>'


def _cvat(path: Path, content: str, *, step: int = 1) -> Path:
    return _write(path, CVAT.format(content=content, filter=f"<frame_filter>step={step}</frame_filter>"))


def test_tracks_of_cvat_are_spans_where_they_are_inside(videos: Path) -> None:
    shapes = "".join(BOX.format(frame, outside) for frame, outside in [(0, 0), (10, 0), (25, 1), (50, 0), (74, 0)])
    read = read_spans(_cvat(videos / "c.xml", f'<track id="0" label="wave" source="manual">{shapes}</track>'))
    assert [span.label for span in read] == ["wave", "wave"]
    assert [second for span in read for second in span.segment] == pytest.approx([0, 1, 2, 3])


def test_tags_of_cvat_on_frames_that_follow_each_other_are_spans(videos: Path) -> None:
    images = "".join(
        f'<image id="{frame // 5}" name="frame_{frame:06}" width="9" height="9"><tag label="wave"/>'
        f'<box label="car" xtl="0"/></image>'
        for frame in (0, 5, 10, 50, 55)
    )
    told: list[str] = []
    read = read_spans(_cvat(videos / "c.xml", images, step=5), tell=told.append)
    assert [second for span in read for second in span.segment] == pytest.approx([0, 0.6, 2, 2.4])
    assert told == ["passed over: 5 shapes on single frames"]


def test_json_as_of_activity_net(videos: Path) -> None:
    annotations = [{"segment": [0.5, 1.5], "label": "wave"}, {"segment": [2, 3.0], "label": "jump"}]
    database = {"match": {"duration": 4.0, "subset": "training", "url": "https://x/y", "annotations": annotations}}
    read = read_spans(_write(videos / "a.json", {"version": "VERSION 1.3", "taxonomy": [], "database": database}))
    assert [(span.path.name, span.segment, span.label) for span in read] == [
        ("match.mp4", (0.5, 1.5), "wave"),
        ("match.mp4", (2.0, 3.0), "jump"),
    ]
    results = {"match": [{"segment": [0, 1], "label": "wave", "score": 0.25}]}
    (read_again,) = read_spans(_write(videos / "r.json", {"results": results}))
    assert read_again.score == 0.25


ELAN = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT FORMAT="3.0" VERSION="3.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"><MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/x/match.mp4"
 MIME_TYPE="video/mp4" RELATIVE_MEDIA_URL="./match.mp4"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="{end}"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="default" TIER_ID="actions"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1"
 TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>wave</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
</TIER></ANNOTATION_DOCUMENT>"""


def test_annotations_of_elan(videos: Path) -> None:
    (read,) = read_spans(_write(videos / "e.eaf", ELAN.format(end=1750)))
    assert (read.path, read.segment, read.label) == (videos / "match.mp4", (0.5, 1.75), "wave")
