"""`extract` and `compare` on a Ray cluster of two nodes on this machine: the same bytes and numbers, whatever dies."""

import subprocess
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from essential.api.compare import _begin_on_node, check_runs, do_runs
from essential.api.planned_runs import PlannedRun, plan_runs
from essential.engine import ray_extraction
from essential.engine.ray_extraction import _begin, _refuse_blind_node, encoder_on
from essential.engine.ray_pool import RayCluster, run_on_ray
from essential.engine.run import extract
from essential.engine.workspace import open_workspace
from essential.errors import DataError, FileSystemError, ProcessGroupError, StoreError
from essential.features.pipeline import EncodedVideo
from essential.features.store import FeatureStore, Shard, VideoNote
from essential.progress import QUIET
from essential.protocols.protocol import Video
from essential.remote.tar_shards import TarShards
from essential.video.worker_pool import Lost
from in_process import Essential
from ray_nodes import kill_a_worker, two_nodes, workers_of
from seen_progress import SeenProgress, Step
from small_runs import SMALL, command, record_without_seconds, small_config, small_overrides
from video_files import cut_short

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'essential-video[ray]'")
pytestmark = [pytest.mark.engines, pytest.mark.slow]

SHARDS = 8 + 4


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Give a cluster of two nodes of one core each."""
    with two_nodes() as both:
        yield both


def settings(store: Path) -> tuple[str, ...]:
    """Return what makes twelve shards, of which one has a broken video."""
    return ("data.kind=folder", f"features.store={store}", "features.shard_videos=4", "features.on_broken_video=skip")


@pytest.fixture(scope="module")
def data(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the small clips, one of them cut short."""
    root = tmp_path_factory.mktemp("some") / "data"
    subprocess.run(["cp", "-r", small_data, root], check=True)
    cut_short(next((root / "train").glob("*/*.*")), 0.3)
    return root


@pytest.fixture(scope="module")
def here(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Return the store that this process makes alone, and why videos are broken."""
    store = tmp_path_factory.mktemp("here") / "store"
    return extract(small_config("finetune", data, store, *settings(store)), progress=QUIET)


def content(store: Path) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in store.rglob("*") if path.is_file() and path.name != ".index"}
    assert len(found) == SHARDS + 2
    return found


def test_killed_commands_and_workers_change_no_byte_and_no_shard_is_written_twice(
    cluster: Any, data: Path, here: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    overrides = small_overrides(data, store, *settings(store), rehearsal=False)
    arguments = ["--config", "moving-digits/finetune", *(part for each in overrides for part in ("-s", each))]
    arguments += ["--engine", "ray", "--address", cluster.address, "--workers", "2"]
    process = subprocess.Popen(command("extract", *arguments), stdout=subprocess.DEVNULL)
    while not [*store.glob("shards/*.safetensors")] and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()
    first = {path: path.stat().st_mtime_ns for path in store.glob("shards/*.safetensors")}
    assert first
    while workers_of(cluster):
        time.sleep(0.05)

    written: Counter[str] = Counter()
    write = FeatureStore.write

    def counted(store: FeatureStore, shard: Shard, *content: Any) -> None:
        written[shard.name] += 1
        write(store, shard, *content)

    monkeypatch.setattr(FeatureStore, "write", counted)
    killed = []

    def kill(step: Step) -> None:
        # The worker whose shard came back has another one now.
        if step[0] and not killed and written:
            killed.append(step)
            kill_a_worker(cluster, 0)

    config = small_config("finetune", data, store, *settings(store))
    found, broken = extract(config, progress=SeenProgress(kill), cluster=RayCluster(cluster.address, 2))
    assert len(killed) == 1
    assert len(written) == SHARDS - len(first)
    assert set(written.values()) == {1}
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert len(broken) == 1
    assert broken == here[1]
    assert content(found) == content(here[0])


def runs_of(out: Path, data: Path, store: Path) -> list[PlannedRun]:
    overrides = (*SMALL, "training.epochs=2", f"data.root={data}", *settings(store))
    return plan_runs("moving-digits", out, ("finetune", "ncm"), (0, 1), overrides=overrides)


def test_runs_on_a_cluster_give_the_records_of_runs_here_though_a_worker_is_killed(
    cluster: Any, data: Path, here: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("essential.api.compare.runs_at_once", lambda _: 1)
    announced = []

    def kill(run: PlannedRun, number: int, count: int) -> None:
        announced.append((run.method, run.seed, number, count))
        if number == 4:
            kill_a_worker(cluster, 0)

    one = RayCluster(cluster.address, 1)
    there, _ = check_runs(runs_of(tmp_path / "there", data, here[0]), QUIET, one)
    there_records = do_runs(there, QUIET, kill, one)
    assert [*sorted(announced)] == [("finetune", 0, 1, 4), ("finetune", 1, 3, 4), ("ncm", 0, 2, 4), ("ncm", 1, 4, 4)]
    alone, _ = check_runs(runs_of(tmp_path / "alone", data, here[0]), QUIET)
    assert [name for name, _ in there_records] == [name for name, _ in do_runs(alone, QUIET)]
    for ours, other in zip(there, alone, strict=True):
        assert record_without_seconds(ours.folder) == record_without_seconds(other.folder)
    assert not [*(tmp_path / "there").glob(".*")]


def test_what_three_workers_died_of_is_told_when_everything_else_is_done(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_on_ray(_: Any, tasks: Any, **__: Any) -> Iterator[Any]:
        yield 1, Lost("the worker died")
        for place in range(2, len(tasks)):
            note = VideoNote(key="x", size_bytes=1, sha256="y", broken=None)
            yield place, [EncodedVideo(np.zeros((1, 8, 32), np.float32), note, 8)] * len(tasks[place])
        yield 0, Lost("the worker died")

    monkeypatch.setattr(ray_extraction, "run_on_ray", run_on_ray)
    workspace = open_workspace(small_config("finetune", small_data, tmp_path), QUIET)
    encode = encoder_on(RayCluster(), workspace, QUIET)
    assert encode is not None
    request = workspace.recipe().request((0,))
    shards = [[(Video(f"{shard}-{row}", "", "a", "train"), request) for row in range(3)] for shard in range(4)]
    places = []
    running = encode(shards)
    places = [place for place, _ in islice(running, 6)]
    with pytest.raises(
        DataError, match=r"computed: 2\n  3 videos, 1-0 to 1-2: the worker died\n  3 videos, 0-0 to 0-2"
    ):
        next(running)
    assert places == [*range(6, 12)]


def done_by_ray(cluster: RayCluster) -> list[tuple[int, Any]]:
    begin = partial(partial, abs)
    return list(run_on_ray(begin, [-3, 4], cluster=cluster, on_gpus=True, progress=QUIET))


def test_without_an_address_there_is_a_cluster_for_the_time_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert sorted(done_by_ray(RayCluster(None, 1))) == [(0, 3), (1, 4)]
    assert not ray.is_initialized()


def test_a_cluster_of_another_version_of_ray_is_refused(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here = ray.__version__
    monkeypatch.setattr(ray, "__version__", "2.0.0")
    told = (
        rf"cannot be used: Version mismatch: .* Ray: {here} .* Ray: 2\.0\.0 .*; give HOST:PORT as .* one version of Ray"
    )
    with pytest.raises(ProcessGroupError, match=rf"^the Ray cluster {cluster.address}: {told}"):
        done_by_ray(RayCluster(cluster.address))


def test_a_node_that_would_make_other_features_is_refused(small_data: Path, tmp_path: Path) -> None:
    config = small_config("finetune", small_data, tmp_path)
    recipe = open_workspace(config, QUIET).recipe()
    provenance, item = recipe.provenance(), (Video("a", "", "b", "train"), recipe.request((0,)))
    assert _begin(config, provenance, item, 1)
    there = provenance["decoder"]["pyav"]
    asked = {**provenance, "decoder": {**provenance["decoder"], "pyav": "1.0"}}
    with pytest.raises(
        StoreError, match=rf"features that .* be others:\n  decoder\.pyav: {there} there, 1\.0 here; in"
    ):
        _begin(config, asked, item, 1)


def test_a_node_that_does_not_find_a_video_that_is_there_is_refused(small_data: Path, tmp_path: Path) -> None:
    path = next((small_data / "train").glob("*/*.*"))
    request = open_workspace(small_config("finetune", small_data, tmp_path), QUIET).recipe().request((0,))

    def result(**note: Any) -> list[EncodedVideo]:
        return [EncodedVideo(None, VideoNote(key="a", **{"size_bytes": None, "sha256": None, **note}))]

    there = [(Video("a", str(path), "b", "train"), request)]
    with pytest.raises(
        DataError, match=rf"it does not have {path}, which is there on this machine; the videos must be"
    ):
        _refuse_blind_node(there, result(broken="there is no such file"))
    _refuse_blind_node(there, result(broken="it is cut short", size_bytes=7))
    _refuse_blind_node([(Video("a", f"{path}.gone", "b", "train"), request)], result(broken="there is no such file"))

    with tarfile.open(shard := tmp_path / "a.tar", "w") as tar:
        tar.add(path, "a.mp4")
    tars = TarShards(str(shard))
    packed = [(Video("a", tars.locator("a.mp4"), "b", "train"), request)]
    with pytest.raises(DataError, match=rf"it does not have {shard}, which is there"):
        _refuse_blind_node(packed, result(broken="there is no such file"))
    # That no shard has is on no node.
    absent = [(Video("a", tars.locator("b.mp4"), "b", "train"), request)]
    _refuse_blind_node(absent, result(broken="there is no such file"))


def test_a_node_that_does_not_see_the_runs_or_their_features_is_refused(small_data: Path, tmp_path: Path) -> None:
    config = small_config("finetune", small_data, tmp_path / "store")
    with pytest.raises(FileSystemError, match=r"it does not see /elsewhere, where the runs are to be; choose an --out"):
        _begin_on_node(config, Path("/elsewhere/.seen"), str(tmp_path))
    with pytest.raises(StoreError, match=rf"there is no feature store in {tmp_path}/store"):
        _begin_on_node(config, tmp_path, str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "ray", "--shard", "0/2"), "--shard has no meaning with --engine ray; leave it out"),
        (("--engine", "spark"), "--engine 'spark' is not allowed; use --engine ray, or leave it out"),
        (("--address", "head:6379"), "--address has no meaning without --engine ray; add it"),
        (("--workers", "2"), "--workers has no meaning without --engine ray; add it"),
        (("--engine", "ray", "--address", "head"), "the Ray cluster head: cannot be used: 'head' is not HOST:PORT"),
    ],
)
def test_what_does_not_go_together_is_refused(
    essential: Essential, arguments: tuple[str, ...], message: str, small_data: Path, tmp_path: Path
) -> None:
    some = [part for each in ("data.kind=folder", f"data.root={small_data}") for part in ("-s", each)]
    outcome = essential("extract", "--config", "moving-digits/finetune", "--store", tmp_path / "s", *some, *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert not (tmp_path / "s").exists()


def test_ranks_of_torchrun_do_not_share_their_work_by_ray(
    essential: Essential, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = essential("compare", "--out", "out", "--engine", "ray")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--engine ray shares the work by itself; start it without torchrun" in outcome.err
