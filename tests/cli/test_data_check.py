"""`essential data check`, in this process, on small sets of real files with official lists."""

import json
from pathlib import Path

import pytest

from in_process import Essential
from official_lists import hmdb51_classes, write_hmdb51, write_ucf101
from video_files import cut_short, write_numbered_video

CLASSES = ("Archery", "Bowling", "Diving")
UCF101 = ("--protocol", "moving-digits/finetune", "-s", "data.kind=ucf101", "-s", "protocol.tasks=3")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a whole small UCF101, its split files in a folder of their own below the root."""
    root = tmp_path / "UCF [101]"  # rich would read the brackets as an instruction
    write_ucf101(root / "ucfTrainTestlist", CLASSES)
    for number, name in enumerate(CLASSES):
        for group in (1, 8):
            path = root / name / f"v_{name}_g{group:02d}_c01.avi"
            write_numbered_video(path, 10 + 2 * number + group, codec="mpeg4")
    return root


def test_a_whole_data_set(essential: Essential, root: Path, tmp_path: Path) -> None:
    outcome = essential("data", "check", *UCF101, "--root", root, "--out", tmp_path / "report.json")
    assert (outcome.code, "open videos: 6 in " in outcome.err) == (0, True)
    assert "ucf101: task 3 of 3" in outcome.out
    for name in CLASSES:
        assert f"\n{name} " in outcome.out
    assert "codecs: mpeg4 (avi) 6\nsizes: 64x48 6\nframes per second: 25 6\n" in outcome.out
    assert "coverage: train 3 of 3 videos (100.0%), test 3 of 3 videos (100.0%)" in outcome.out
    assert outcome.out.endswith(f"report: {tmp_path / 'report.json'}\n")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["coverage"]["test"] == {"listed": 3, "usable": 3, "share": 1.0}
    assert report["frames"] == 8
    assert len(report["files"]) == 6


def test_what_is_wrong_is_printed_and_written(essential: Essential, root: Path, tmp_path: Path) -> None:
    (root / "Archery/v_Archery_g08_c01.avi").unlink()
    cut_short(root / "Bowling/v_Bowling_g08_c01.avi", 0.7)
    outcome = essential("data", "check", *UCF101, "--root", root, "--out", tmp_path / "report.json")
    assert outcome.code == 1
    assert "missing: Archery/v_Archery_g08_c01.avi (train, Archery): there is no such file" in outcome.out
    assert "unreadable: Bowling/v_Bowling_g08_c01.avi (train, Bowling): not a video, or damaged" in outcome.out
    assert "coverage: train 1 of 3 videos (33.3%), test 3 of 3 videos (100.0%)" in outcome.out
    report = json.loads((tmp_path / "report.json").read_text())
    assert [(one["kind"], one["label"]) for one in report["problems"]] == [
        ("missing", "Archery"),
        ("unreadable", "Bowling"),
    ]


def test_doubles_alone_are_something_wrong(essential: Essential, root: Path) -> None:
    content = (root / "Diving/v_Diving_g01_c01.avi").read_bytes()
    (root / "Diving/v_Diving_g08_c01.avi").write_bytes(content)
    outcome = essential("data", "check", *UCF101, "--root", root)
    assert outcome.code == 1
    names = "Diving/v_Diving_g01_c01.avi = Diving/v_Diving_g08_c01.avi"
    assert f"duplicated: {names} ({len(content)} bytes)" in outcome.out
    assert "report:" not in outcome.out


def test_twenty_problems_are_printed_and_the_rest_counted(essential: Essential, tmp_path: Path) -> None:
    lists = write_hmdb51(tmp_path / "lists")
    (tmp_path / "root").mkdir()
    outcome = essential(
        *("data", "check", "--protocol", "moving-digits/finetune", "-s", "data.kind=hmdb51"),
        *("-s", "protocol.base_classes=26", "-s", "protocol.order_rule=tcd", "-s", "protocol.order_seed=1000"),
        *("--root", tmp_path / "root", "-s", f"data.annotations={lists}"),
    )
    assert outcome.code == 1
    assert outcome.out.count("missing: ") == 20
    assert "... and 82 more; --out FILE.json writes them all" in outcome.out
    assert "codecs: none" in outcome.out
    assert "coverage: train 0 of 51 videos (0.0%), test 0 of 51 videos (0.0%)" in outcome.out
    assert sum(name in outcome.out for name in hmdb51_classes()) == 51


def test_a_users_own_folders_can_be_checked(essential: Essential, tmp_path: Path) -> None:
    for split, number in (("train", 9), ("test", 12)):
        write_numbered_video(tmp_path / split / "[red]" / "v.mp4", number)
    outcome = essential(
        *("data", "check", "--protocol", "moving-digits/finetune", "--root", tmp_path),
        *("-s", "data.kind=folder", "-s", "protocol.tasks=1", "-s", "video.frames=10"),
    )
    assert outcome.code == 1
    assert "too short: train/[red]/v.mp4 (train, [red]): it has 9 frames, and 10 are wanted" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--protocol", "tdc/nothing"), "no config is called 'tdc/nothing'"),
        ((*UCF101, "-s", "protocol.tasks=9"), "protocol.tasks=9 is more than the 3 classes found"),
        ((*UCF101, "-s", "data.official_split=4"), "data.official_split=4 is not allowed"),
        ((*UCF101, "-s", "data.official_split=2"), "trainlist02.txt does not exist"),
        ((*UCF101, "-s", "data.annotations=none"), "the folder none does not exist"),
        ((*UCF101, "-s", "data.kind=features"), "data.kind=features has no videos"),
        (("--protocol", "a.json", "--list", "b.json"), "--list b.json and --protocol a.json both name a list"),
        ((*UCF101, "--list", "b.json"), "data.path=b.json is for data.kind="),
    ],
)
def test_errors_have_exit_code_2(
    arguments: tuple[str, ...], message: str, essential: Essential, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    outcome = essential("data", "check", *arguments, "--root", root)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert message in outcome.err


def test_a_root_that_is_missing(essential: Essential, root: Path, tmp_path: Path) -> None:
    lists = root / "ucfTrainTestlist"
    outcome = essential("data", "check", *UCF101, "--root", tmp_path / "none", "-s", f"data.annotations={lists}")
    assert outcome.code == 2
    assert f"data folder {tmp_path / 'none'} does not exist" in outcome.err


def test_a_config_of_a_list_asks_for_the_list(essential: Essential, tmp_path: Path) -> None:
    outcome = essential("data", "check", "--protocol", "vclimb/ucf101-10", "--root", tmp_path)
    assert (outcome.code, outcome.out) == (2, "")
    assert "data.kind=list needs the list: -s data.path=FILE.json" in outcome.err
