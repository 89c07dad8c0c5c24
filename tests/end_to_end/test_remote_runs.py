"""Whole runs on videos in a bucket: those of local files, wherever the videos are when they go on."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from buckets import bucket_server, filesystem
from essential.engine.config import load_config
from essential.engine.run import train
from essential.engine.score import evaluate
from essential.engine.settings import RunConfig
from essential.errors import DataError
from essential.progress import QUIET
from essential.remote import storage
from in_process import Essential
from small_runs import SMALL, StopAt, record_without_seconds

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def bucket(small_data: Path) -> Iterator[str]:
    with bucket_server() as url:
        for path in small_data.rglob("*.*"):
            filesystem().pipe_file(f"{url}/digits/{path.relative_to(small_data).as_posix()}", path.read_bytes())
        yield f"{url}/digits"


def config_of(store: Path, place: str) -> RunConfig:
    settings = (*SMALL, "data.kind=folder", f"features.store={store}", "training.epochs=2", "data.root=null", place)
    return load_config("moving-digits/finetune", [*settings, "features.workers=0"])


def test_a_run_on_a_bucket_is_that_on_a_folder(
    bucket: str, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path / "store", f"data.url={bucket}")
    with pytest.raises(StopAt.Stopped):
        train(config, tmp_path / "there", resume=False, progress=StopAt("task 3 of 4: task"))
    assert train(config, tmp_path / "there", resume=True) is not None
    train(config_of(tmp_path / "local-store", f"data.root={small_data}"), tmp_path / "here", resume=False)
    here, there = (record_without_seconds(tmp_path / name) for name in ("here", "there"))
    assert there == here
    assert "s3" not in json.dumps(there)
    kept = [path.read_text() for path in (tmp_path / "there").glob("*.json*")]
    assert kept
    assert not any(bucket in text for text in kept), "a run's files hold names; its config says where they are"
    # The store has all that it needs: neither the bucket nor a folder is read.
    monkeypatch.setattr(storage, "_opened", {})
    for place in ("data.url=s3://gone/digits", "data.url=http://127.0.0.1:9/digits"):
        assert (
            evaluate(tmp_path / "there", overrides=[place], progress=QUIET).accuracy
            == evaluate(tmp_path / "here", progress=QUIET).accuracy
        )


def test_a_bucket_is_checked_like_a_folder(bucket: str, small_data: Path, essential: Essential, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    settings = ("-s", "data.kind=folder", "-s", "protocol.tasks=4", "-s", f"data.url={bucket}")
    outcome = essential("data", "check", "--protocol", "moving-digits/finetune", *settings, "--out", report)
    assert (outcome.code, "coverage: train 32 of 32 videos (100.0%)" in outcome.out) == (0, True), outcome
    content = json.loads(report.read_text())
    assert (content["root"], len(content["files"])) == (bucket, 48)
    names = [file["file"] for file in content["files"]]
    assert names == sorted(
        path.relative_to(small_data).as_posix() for path in small_data.rglob("*.*") if path.suffix != ".json"
    )
    outcome = essential("data", "check", "--protocol", "moving-digits/finetune", "-s", "data.kind=folder")
    assert outcome.code == 2
    assert "data.kind=folder needs the folder of the videos: -s data.root=DIR, or their address" in outcome.err


def test_a_run_stops_where_a_bucket_is_gone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="s3://gone/v: there is no such bucket"):
        train(config_of(tmp_path / "store", "data.url=s3://gone/v"), tmp_path / "run", resume=False)
    assert not (tmp_path / "run" / "record.json").exists()
