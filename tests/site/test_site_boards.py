"""What is ranked with what, and what a reader is told of each row."""

import json
from decimal import Decimal
from typing import Any

import pytest
from made_sites import PUBLISHED, made_found, other_protocol, published_protocol, skipped_test

from essential.published import published_figures, published_for
from essential.results.formats import NONE
from essential.site.boards import Board, make_boards
from essential.site.finding import FoundRecord
from essential.site.pages import as_csv, as_json, as_objects
from report.made_records import make_record


def _own(*found: FoundRecord) -> list[Board]:
    return [board for board in make_boards(found) if board.protocol]


def _board(*found: FoundRecord) -> Board:
    [board] = _own(*found)
    return board


def _places(board: Board) -> dict[str, int | None]:
    return {row.method: row.place for row in board.ours}


def test_seeds_of_one_setting_are_one_row_with_mean_and_deviation() -> None:
    board = _board(made_found("a", 0, 0.5), made_found("a", 2, 0.7), made_found("b", 0, 0.9))
    assert [(row.method, row.place, row.seeds) for row in board.ours] == [("b", 1, (0,)), ("a", 2, (0, 2))]
    # Links lead there: a field that records get later must not change it for those that lack it.
    assert [row.anchor for row in board.ours] == ["b-8abc8ece7299", "a-d13fcb282cbe"]
    cell = board.ours[1].cell("final_accuracy")
    assert (cell.value, cell.shown) == (60.0, "60.00 ± 14.14")
    assert cell.std == pytest.approx(14.142136)
    assert board.ours[0].cell("final_accuracy").shown == "90.00", "one seed has no deviation"
    assert board.ours[0].cell("vclimb_accuracy").shown == NONE
    assert board.ours[0].backbone == "tiny, 8 frames"


def test_a_row_has_the_name_that_was_asked_for_and_older_records_the_method_s_own() -> None:
    side = {"clip": "side-by-side"}
    board = _board(
        made_found("slda", 0, 0.5, settings={"clip": "mean"}, asked_for="slda"),
        made_found("slda", 0, 0.6, settings=side),
        made_found("slda", 1, 0.8, settings=side, asked_for="slda-temporal"),
    )
    assert [(row.method, row.settings, row.seeds) for row in board.ours] == [
        ("slda-temporal", "", (0, 1)),
        ("slda", "", (0,)),
    ]
    old = _board(made_found("slda", 0, 0.5, settings={"clip": "mean"}), made_found("slda", 0, 0.6, settings=side))
    assert [(row.method, row.settings) for row in old.ours] == [
        ("slda", 'clip="side-by-side"'),
        ("slda", 'clip="mean"'),
    ]
    assert old.ours[0].anchor == board.ours[0].anchor, "a name changes no address"


def test_a_seed_that_was_run_twice_counts_once() -> None:
    seconds = {"extract": 2.0, "train": 2.5, "evaluate": 0.5}
    board = _board(made_found("a", 0, 0.2), made_found("a", 0, 0.4, seconds=seconds), made_found("a", 1, 0.9))
    assert board.ours[0].cell("final_accuracy").shown == "60.00 ± 42.43"
    assert board.ours[0].notes == ("several runs of seed 0, which count once",)


def test_other_settings_are_other_rows_and_say_in_what_they_differ() -> None:
    longer = {"training": {"epochs": 9}, "video": {"frames": 8}}
    board = _board(made_found("a", 0, 0.5), made_found("a", 0, 0.6, config={"seed": 0, **longer}), made_found("b"))
    assert [row.settings for row in board.ours] == ["training.epochs=9", "training.epochs=3", ""]
    assert len({row.anchor for row in board.ours}) == 3
    many = [made_found("a", 0, 0.5, settings={f"s{i}": value for i in range(9)}) for value in ("x", "y")]
    assert {row.settings for row in _board(*many).ours} == {
        's0="x", s1="x", s2="x", s3="x", and 5 more',
        's0="y", s1="y", s2="y", s3="y", and 5 more',
    }


def test_equal_rows_have_one_place_and_the_next_is_behind_both() -> None:
    board = _board(made_found("a", 0, 0.5), made_found("b", 0, 0.5), made_found("c", 0, 0.4), made_found("d", 0, None))
    assert _places(board) == {"a": 1, "b": 1, "c": 3, "d": None}
    assert [row.method for row in board.ours][-1] == "d"
    assert board.ours[-1].notes[0].startswith("no place: without an accuracy")


def test_an_upper_bound_has_no_place_and_no_bytes() -> None:
    board = _board(made_found("joint", 0, 0.9, settings={"needs_all_tasks": True}), made_found("a", 0, 0.5))
    assert _places(board) == {"joint": None, "a": 1}
    assert board.best is not None
    assert board.best.method == "a"
    assert (board.ours[0].memory, board.ours[0].memory_bytes) == ("all videos", None)
    assert board.ours[0].notes == ("given the videos of all tasks at once: an upper bound",)
    assert board.ours[1].memory == "8.79\u00a0KiB + 14.6\u00a0KiB of MR\u00a0modules"


def test_only_what_was_tested_on_the_same_videos_has_a_place() -> None:
    whole, broken = made_found("whole", 0, 0.5), made_found("broken", 0, 0.9, skipped_videos=skipped_test("a", "b"))
    board = _board(whole, broken)
    assert _places(board) == {"broken": None, "whole": 1}
    assert board.ours[0].notes[0] == "tested on 96.7 % of the test videos"
    assert "tested on other videos" in board.ours[0].notes[1]
    # Where all miss the same videos, as dead links make them, they are ranked, and say so.
    same = _board(broken, made_found("too", 0, 0.6, skipped_videos=skipped_test("b", "a")))
    assert _places(same) == {"broken": 1, "too": 2}
    assert same.ours[1].notes == ("tested on 96.7 % of the test videos",)


def test_a_share_is_rounded_down() -> None:
    tasks = [{"classes": ["a", "b"], "train_videos": 40, "test_videos": 9999}] * 3
    protocol = {"name": "p", "id": "1", "tasks": tasks}
    [row] = _board(made_found(protocol=protocol, skipped_videos=skipped_test("a"))).ours
    assert row.notes == ("tested on 99.9 % of the test videos",)


def test_runs_of_one_name_and_another_id_or_other_data_are_ranked_apart() -> None:
    turned = other_protocol("feed", classes=tuple((f"class {i}b", f"class {i}a") for i in range(3)))
    others = other_protocol("beef", classes=(("x",), ("y",), ("z",)))
    videos = other_protocol("cafe", classes=tuple((f"class {i}a", f"class {i}b") for i in range(3)))
    found = [made_found(), *(made_found(protocol=each) for each in (turned, others, videos))]
    found.append(made_found(data={"kind": "made-up", "seed": 3}))
    boards = _own(*found)
    assert [board.name for board in boards] == [PUBLISHED] * 5
    assert len({board.stem for board in boards}) == 5
    assert all(_places(board) == {"icarl": 1} for board in boards)
    [first] = [board for board in boards if board.runs[0] is found[0]]
    assert sorted(sibling.difference for sibling in first.siblings) == [
        *("another order of the classes, or other tasks", "other classes", "other data: seed=3", "other videos")
    ]


def test_one_id_under_two_names_is_one_board_under_the_published_name() -> None:
    board = _board(made_found("a", protocol_name="a-name"), made_found("b", 0, 0.4))
    assert board.name == PUBLISHED
    assert _places(board) == {"a": 1, "b": 2}


def test_an_unfinished_run_is_ranked_with_nothing() -> None:
    whole = made_found("a", 0, 0.5)
    cut = {"accuracy": [[0.99, None, None]], "memory_bytes_by_task": whole.record.memory_bytes_by_task[:1]}
    board = _board(whole, made_found("cut", 0, 0.99, **cut))
    assert _places(board) == {"a": 1}
    assert [found.record.method.name for found in board.unfinished] == ["cut"]
    assert len(board.runs) == 2


def test_every_published_name_has_a_board_with_every_figure() -> None:
    boards = make_boards([])
    assert [board.name for board in boards] == list(dict.fromkeys(figure.protocol for figure in published_figures()))
    assert len(boards) == 17
    assert [board.stem for board in boards] == [board.name for board in boards]
    for board in boards:
        printed = [cell for row in board.rows for cell in row.cells.values()]
        assert sorted(cell.shown.rstrip("?") for cell in printed) == sorted(
            NONE if figure.value is None else str(figure.value) for figure in published_for(board.name)
        )
        assert all(cell.value == float(Decimal(cell.shown.rstrip("?"))) for cell in printed if cell.value is not None)
        assert len({row.anchor for row in board.rows}) == len(board.rows)
        assert all(row.source and not row.ours and row.place is None for row in board.rows)


def test_the_highest_published_figure_is_no_doubt_no_gain_and_no_joint_training() -> None:
    highest = {}
    for board in make_boards([]):
        assert board.highest_published is not None
        row, metric = board.highest_published
        highest[board.name] = (row.method, row.cell(metric).shown)
    assert highest["tcd-ssv2-10x9"] == ("ESSENTIAL", "48.9"), "not STSP's 69.68, which is in doubt"
    assert highest["tcd-hmdb51-1x25"][0] != "Oracle (joint)"
    assert highest["vclimb-ucf101-10"] == ("ESSENTIAL", "95.8")


def test_ours_come_first_and_the_published_rows_keep_mark_source_and_doubt() -> None:
    board = _board(made_found("a", 0, 0.1))
    assert [row.ours for row in board.rows] == [True] + [False] * (len(board.rows) - 1)
    assert {row.mark for row in board.rows} == {"run here", "second-hand", "seen", "inferred"}
    hce = next(row for row in board.rows if row.method == "HCE")
    assert hce.cell("average_incremental_accuracy_nme").shown == "80.01?"
    assert hce.cell("average_incremental_accuracy_nme").uncertain
    assert "(8)0.01?" in hce.notes[0]
    assert board.metrics[:2] == ["final_accuracy", "average_incremental_accuracy"]


def test_a_borrowed_name_is_not_the_published_protocol() -> None:
    real, borrowed = _board(made_found("a", **_of_six_tasks())), _board(made_found("a"))
    assert real.warning is None
    assert real.config == (
        "tcd/ucf101-10x5",
        "TCD UCF101, 51 classes, then 5 tasks of 10: settings of the authors' UCF101 script",
    )
    assert borrowed.config is None
    assert borrowed.warning == (
        "The runs here are not of the published protocol tcd-ucf101-10x5, though theirs is called so: they have 3 "
        "tasks with 6 classes in all, it has 1 task of 51, then 5 tasks of 10. Their numbers cannot be compared with "
        "published ones."
    )
    assert _board(made_found("a", protocol_name="my-own")).warning is None


def _of_six_tasks() -> dict[str, Any]:
    whole = make_record(tasks=6)
    return {
        "protocol": published_protocol(),
        "accuracy": whole.accuracy,
        "memory_bytes_by_task": whole.memory_bytes_by_task,
    }


def test_the_table_as_json_and_csv_has_every_row_with_its_origin() -> None:
    board = _board(made_found("=cmd()", 0, 0.5), made_found("=cmd()", 1, 0.7))
    content = json.loads(as_json(board))
    assert content == as_objects(board)
    assert content["protocol"] == {"name": PUBLISHED, "id": "0123456789abcdef"}
    assert len(content["rows"]) == len(board.rows)
    first = content["rows"][0]
    assert (first["method"], first["mark"], first["source"], first["seeds"]) == ("=cmd()", "run here", None, [0, 1])
    assert first["figures"]["final_accuracy"]["percent"] == 60.0
    assert all(row["source"] for row in content["rows"][1:])
    head, *lines = as_csv(board).splitlines()
    assert head.startswith("place,method,settings,mark,backbone,final_accuracy,final_accuracy_std,")
    assert len(lines) == len(board.rows)
    assert lines[0].startswith('1,\'=cmd(),,run here,"tiny, 8 frames",60.0,14.142136,90.0,0.0,')
    assert any(',average_incremental_accuracy_nme,"SFCL' in line for line in lines), "doubt and source"
