"""`essential site` by its command line."""

from pathlib import Path

from in_process import Essential
from report.made_records import make_record


def _run(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True)
    make_record(seed=seed, protocol_name="tcd-ucf101-10x5", config={"seed": seed}).write(folder / "record.json")


def test_a_folder_of_runs_becomes_a_site_and_is_brought_up_to_date(tmp_path: Path, essential: Essential) -> None:
    for seed in range(2):
        _run(tmp_path / "runs" / f"run-{seed}", seed)
    _run(tmp_path / "copies" / "again", 1)
    out = tmp_path / "site"
    outcome = essential("site", tmp_path / "runs", tmp_path / "copies", "--out", out)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0] == "found: 2 records, and 1 copy of these"
    files = [path for path in out.rglob("*") if path.is_file()]
    assert outcome.out.splitlines()[1] == f"site: {out / 'index.html'} ({len(files)} files)"
    assert len(list((out / "records").iterdir())) == 2
    (out / "mine.txt").write_text("mine")
    outcome = essential("site", tmp_path / "runs" / "run-0", "--out", out)
    assert outcome.out.splitlines()[0] == "found: 1 record"
    assert outcome.out.splitlines()[1].endswith(" files, 1 old removed)")
    assert len(list((out / "records").iterdir())) == 1
    assert (out / "mine.txt").exists()


def test_a_site_is_no_source_of_records_for_the_next(tmp_path: Path, essential: Essential) -> None:
    _run(tmp_path / "run", 0)
    for _ in range(2):
        outcome = essential("site", tmp_path, "--out", tmp_path / "site")
        assert outcome.out.splitlines()[0] == "found: 1 record"


def test_a_broken_record_is_named_and_nothing_is_written(tmp_path: Path, essential: Essential) -> None:
    _run(tmp_path / "runs" / "good", 0)
    (tmp_path / "runs" / "bad").mkdir()
    (tmp_path / "runs" / "bad" / "record.json").write_text('{"schema_version": 1}')
    outcome = essential("site", tmp_path / "runs", "--out", tmp_path / "site")
    assert outcome.code == 2
    assert outcome.err.startswith("error: 1 of 2 files is not a valid record; fix it or remove it")
    assert "bad/record.json is not a valid record: protocol: Field required" in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "site").exists()
