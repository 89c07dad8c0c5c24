"""Which records a site is made of."""

import json
from pathlib import Path

import pytest
from made_sites import made_found, write_runs

from essential.errors import RunError
from essential.site import find_records, write_site
from essential.site.boards import make_boards
from report.made_records import followed_metrics


def test_folders_are_searched_and_files_are_taken_by_any_name(tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "all" / "deep", [made_found(seed=seed) for seed in range(3)])
    other = tmp_path / "mine.json"
    followed_metrics(made_found(seed=7).record).write(other)
    found = find_records([tmp_path / "all", runs / "run-1", runs / "run-2" / "record.json", other])
    assert [each.label for each in found.records] == ["all/deep/run-0", "all/deep/run-1", "all/deep/run-2", "mine"]
    assert [each.record.seed for each in found.records] == [0, 1, 2, 7]
    assert found.copies == 0, "a file that is named twice is one file"
    assert [each.label for each in find_records([runs / "run-1"]).records] == ["run-1"]
    assert [each.label for each in find_records([runs / "run-1" / "record.json"]).records] == ["run-1"]


def test_a_record_that_is_there_twice_stands_once_and_is_counted(tmp_path: Path) -> None:
    found = find_records([write_runs(tmp_path / "runs", [made_found(), made_found(seed=1), made_found()])])
    assert len(found.records) == 2
    assert found.copies == 1


def test_every_file_that_is_no_record_is_named(tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "runs", [made_found(seed=seed) for seed in range(14)])
    (runs / "run-0" / "record.json").write_text("{")
    with pytest.raises(RunError, match=r"^1 of 14 files is not a valid record; .*\n.*run-0/record.json is damaged"):
        find_records([runs])
    (runs / "run-3" / "record.json").write_text('{"schema_version": 99}')
    with pytest.raises(RunError, match=r"(?s)^2 of 14 files are .*run-0/record.json.*run-3/record.json .*version 99"):
        find_records([runs])
    for number in range(12):
        (runs / f"run-{number}" / "record.json").write_text("[]")
    with pytest.raises(RunError, match=r"(?s)^12 of 14 .*run-0/.*\n  and 2 more$"):
        find_records([runs])


def test_a_changed_record_is_refused_or_marked_and_an_old_one_is_marked(tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "runs", [made_found(seed=seed) for seed in range(3)])
    changed, old = (runs / f"run-{number}" / "record.json" for number in (0, 1))
    changed.write_text(changed.read_text().replace('"exemplars": 36', '"exemplars": 35'))
    content = {**json.loads(old.read_text()), "schema_version": 1}
    old.write_text(json.dumps({key: value for key, value in content.items() if key != "sha256"}))
    with pytest.raises(RunError, match=r"run-0/record.json was changed after it was written: .*--unverified"):
        find_records([runs])
    found = find_records([runs], unverified=True).records
    assert [each.label for each in found] == ["runs/run-0 (unverified)", "runs/run-1 (no digest)", "runs/run-2"]
    [board] = [board for board in make_boards(found) if board.ours]
    assert board.ours[0].notes == ("no digest: 1 of 3 records", "unverified: 1 of 3 records")
    write_site(find_records([runs], unverified=True), tmp_path / "site")
    assert "(unverified: 1 of 3 records)" in (tmp_path / "site" / "index.html").read_text()


def test_a_place_that_is_not_there_or_holds_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"there is no record\.json in .*empty or below; give folders of finished runs"):
        find_records([tmp_path / "empty"])
    with pytest.raises(RunError, match=r"missing is neither a folder nor a file; give run folders"):
        find_records([tmp_path / "missing"])
