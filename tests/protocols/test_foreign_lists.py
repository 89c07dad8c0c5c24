"""Lists of other projects: two forms are read, the others are named, with how to use them."""

import json
from pathlib import Path
from typing import Any

import pytest

from essential.errors import DataError
from essential.protocols.listed import ListedClass, ListedSegment
from essential.protocols.protocol import Listing, Video, build_protocol
from essential.protocols.video_list import import_list, read_video_list

KINETICS = "label,youtube_id,time_start,time_end,split\nwelding,abc,1,11,train\nabseiling,d-e,0,10,train\n"
MANIFEST = "path,label,split, and train with -s data.kind=manifest"


def _activitynet(**changes: Any) -> dict[str, Any]:
    parts = [{"label": "Archery", "segment": [1.0, 3]}, {"label": "Archery", "segment": [4, 5]}]
    first = {"subset": "training", "duration": 10.0, "annotations": parts, **changes}
    second = {"subset": "validation", "duration": 9, "annotations": parts[:1]}
    return {"version": "1.3", "taxonomy": [], "database": {"abc": first, "x": second}}


def _file(folder: Path, text: str) -> Path:
    path = folder / "list.any"
    path.write_text(text)
    return path


def test_activitynet_s_json_is_read(tmp_path: Path) -> None:
    found = import_list(_file(tmp_path, json.dumps(_activitynet())))
    train = [ListedSegment("v_abc", 1.0, 3.0, 10.0), ListedSegment("v_abc", 4.0, 5.0, 10.0)]
    val = [ListedSegment("v_x", 1.0, 3.0, 9.0)]
    assert found.tasks == [[ListedClass("Archery", {"train": train, "val": val})]]
    assert found.source is not None


def test_kinetics_csv_is_read_by_class_in_order_of_their_names(tmp_path: Path) -> None:
    text = KINETICS + "welding,f,2.0,12.0,validate\n"
    found = import_list(_file(tmp_path, text))
    assert found.classes == ("abseiling", "welding")
    assert found.tasks[0][1].entries == {"train": ["abc_000001_000011"], "val": ["f_000002_000012"]}
    assert found.tasks[0][0].entries == {"train": ["d-e_000000_000010"], "val": []}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("some/path.mp4 120 3\n", f"is a list of frame folders, .*mmaction2; it has one split.*{MANIFEST}"),
        ("a b/1.mp4 3\nc/2.mp4 4\n", f"is a list of paths and labels, .*VideoMAE; it has one split.*{MANIFEST}"),
        ("a/1.mp4,3\n", "is a list of paths and labels"),
        ("YoYo/v_YoYo_g08_c01.avi 101\n", "is a split file of UCF101; .*no import: .*data.kind=ucf101"),
        ("YoYo/v_YoYo_g08_c01.avi\r\n", "is a split file of UCF101"),
        ("1 ApplyEyeMakeup\n2 ApplyLipstick\n", "is a list of UCF101's classes; .*data.kind=ucf101"),
        ("April_09_a.avi 1\nb.avi 0\n", "is a split file of HMDB51; .*data.kind=hmdb51"),
        ("path,label,split\na.mp4,b,train\n", "is a manifest; train with -s data.kind=manifest"),
        ("name;class\n", f"is text of another kind; lists of ours, .* are read. Of anything else, .*{MANIFEST}"),
        ('[{"id": "1", "template": "x"}]', "is JSON of another kind; lists of ours"),
        ('{"a": 1}', "is JSON of another kind"),
        (json.dumps(_activitynet(subset="mine")), ": unknown split 'mine'; the splits are train, "),
        (json.dumps(_activitynet(annotations=[{}])), "the video 'abc' is .*it must have subset, duration and annot"),
        (json.dumps(_activitynet(annotations=[{"label": "/", "segment": [0, 1]}])), "name of a class: '/' is an abs"),
        (KINETICS, r"\(Kinetics' CSV\) lists training videos alone; put those to test on into the same file"),
        (json.dumps({"database": {}}), r"\(ActivityNet's JSON\) lists training videos alone"),
        (json.dumps(_activitynet(subset=["val"])), r": unknown split \['val'\] .*; the splits are train, "),
        (
            json.dumps(_activitynet(annotations=[{"label": [], "segment": [0, 1]}])),
            r"name of a class: \[\] is not text",
        ),
        (KINETICS + f"welding,{'f' * 200_000},2,12,val\n", r"line \d: not valid CSV \(field larger .*\); fix the line"),
        (KINETICS + "welding,f,soon,12,val\n", "line 4: .*time_start and time_end are seconds"),
    ],
)
def test_what_is_not_read_is_named_with_what_to_do(tmp_path: Path, text: str, message: str) -> None:
    path = _file(tmp_path, text)
    for read in (import_list, read_video_list):
        with pytest.raises(DataError) as caught:
            read(path)
        if read is import_list or "another kind" in message or "one split" in message:
            assert str(path) in str(caught.value)
            caught.match(message)
        assert "pickle;" not in str(caught.value)


def test_a_list_that_must_be_imported_says_so_where_it_is_given_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"list.any is a list of another project; .*essential data import"):
        read_video_list(_file(tmp_path, json.dumps(_activitynet())))


def test_a_list_of_one_task_is_cut_as_the_config_says_and_of_several_is_not() -> None:
    videos = [Video(f"{split}/{name}", name, name, split) for name in "abcd" for split in ("train", "test")]
    one = Listing(videos, tuple("abcd"), (tuple("abcd"),))
    assert [len(task.classes) for task in build_protocol("p", one, tasks=2).tasks] == [2, 2]
    assert len(build_protocol("p", one).tasks) == 1
