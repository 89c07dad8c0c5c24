"""A whole run on a store in a bucket, made on one machine, trained on another, evaluated on a third without videos."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from buckets import bucket_server, filesystem
from essential.engine.config import load_config
from essential.engine.run import train
from essential.engine.score import evaluate
from essential.features import extract
from essential.progress import QUIET
from in_process import Essential
from small_runs import SMALL, record_without_seconds

pytestmark = pytest.mark.engines
_NAME = "moving-digits/finetune"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with bucket_server() as bucket:
        yield f"{bucket}/features"


def settings_of(data: Path, store: object) -> list[str]:
    return [*SMALL, "training.epochs=1", f"data.root={data}", f"features.store={store}", "features.workers=0"]


def test_machines_share_a_store(
    url: str, small_data: Path, tmp_path: Path, essential: Essential, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(load_config(_NAME, settings_of(small_data, tmp_path / "store")), tmp_path / "here", resume=False)
    overrides = [part for setting in settings_of(small_data, "null") for part in ("-s", setting)]
    monkeypatch.setenv("ESSENTIAL_CACHE", str(tmp_path / "first"))
    outcome = essential("extract", "--config", _NAME, *overrides, "--store", url)
    assert (outcome.code, outcome.out) == (0, f"store: {url}\n"), outcome.err
    assert len(filesystem().find(url)) == 2 + len([*(tmp_path / "store" / "shards").iterdir()])
    # The features are there: no video is read again.
    monkeypatch.setattr(extract, "encode_each", lambda *_, **__: pytest.fail("it was extracted again"))
    monkeypatch.setenv("ESSENTIAL_CACHE", str(tmp_path / "second"))
    train(load_config(_NAME, settings_of(small_data, url)), tmp_path / "there", resume=False)
    assert record_without_seconds(tmp_path / "there") == record_without_seconds(tmp_path / "here")
    monkeypatch.setenv("ESSENTIAL_CACHE", str(tmp_path / "third"))
    gone = [f"data.root={tmp_path / 'gone'}"]
    accuracy = evaluate(tmp_path / "there", overrides=gone, progress=QUIET).accuracy
    assert accuracy == evaluate(tmp_path / "here", progress=QUIET).accuracy
