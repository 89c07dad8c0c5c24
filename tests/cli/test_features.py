"""Features brought along, from the command line: every method trains on them, in tasks of any cut, and resumes."""

from pathlib import Path

import numpy as np
import pytest

from essential.configs.shipped import shipped_methods
from essential.features.imported import import_features
from essential.methods import METHODS, method_section
from essential.progress import QUIET
from essential.records import Record
from in_process import Essential
from small_runs import record_without_seconds

CLASSES, PER_CLASS, FRAMES, DIM = 7, 12, 10, 16
SMALL = (
    "training.epochs=12",
    "training.warmup_epochs=1",
    "training.batch_size=8",
    "training.learning_rate=0.01",
    "training.threads=1",
)
# 10,000 random features take longer than all else.
LESS = {"ranpac": ("method.random_features=500",)}
CUT = ("protocol.tasks=3", "protocol.base_classes=3")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of features whose classes lie far apart, with their labels."""
    folder = tmp_path_factory.mktemp("features")
    draw = np.random.default_rng(0)
    labels = np.arange(CLASSES * PER_CLASS) % CLASSES
    centres = 3 * draw.standard_normal((CLASSES, 1, DIM))
    np.save(folder / "features.npy", centres[labels] + draw.standard_normal((len(labels), FRAMES, DIM)))
    lines = [f"{row},class {label},{'test' if row % 3 == 0 else 'train'}" for row, label in enumerate(labels)]
    (folder / "labels.csv").write_text("\n".join(["index,label,split", *lines]))
    return folder


@pytest.fixture(scope="module")
def store(files: Path) -> Path:
    """Return a store of them."""
    made = files / "made"
    import_features(files / "features.npy", files / "labels.csv", made, progress=QUIET)
    return made


def _settings(*settings: str) -> list[str]:
    return [part for setting in (*SMALL, *settings) for part in ("-s", setting)]


def _on(store: Path, *more: str) -> list[str]:
    return _settings("data.kind=features", f"data.path={store}", *CUT, *more)


def test_the_import_says_what_it_found(essential: Essential, files: Path, tmp_path: Path) -> None:
    done = essential("features", "import", files / "features.npy", files / "labels.csv", "--out", tmp_path / "store")
    assert done.code == 0, done.err
    assert "84 videos of 7 classes: 56 to train, 28 to test" in done.out
    assert (tmp_path / "store" / "videos.csv").is_file()


def test_labels_that_do_not_fit_are_one_message(essential: Essential, files: Path, tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("index,label,split\n0,a,train\n")
    done = essential("features", "import", files / "features.npy", tmp_path / "few.csv", "--out", tmp_path / "store")
    assert (done.code, done.out) == (2, "")
    assert "has no line for 83 of the array's 84 videos, for example index 1" in done.err
    assert not (tmp_path / "store").exists()


# One shipped method of each kind that needs no words.
KINDS = {method_section(name)["name"]: name for name in sorted(shipped_methods(), reverse=True)}
KINDS = {kind: name for kind, name in KINDS.items() if not METHODS[kind].needs_words}
FORGET = {"finetune", "ewc", "lwf", "mas"}


@pytest.mark.usefixtures("without_page")
@pytest.mark.parametrize("method", sorted(KINDS))
def test_every_method_trains_on_them(method: str, essential: Essential, store: Path, tmp_path: Path) -> None:
    done = essential("train", "--method", KINDS[method], "--out", tmp_path / "run", *_on(store, *LESS.get(method, ())))
    assert done.code == 0, done.err
    record = Record.read(tmp_path / "run" / "record.json")
    assert [len(task.classes) for task in record.protocol.tasks] == [3, 2, 2]
    assert record.encoder.name == "imported"
    assert record.metrics.final_accuracy is not None
    assert record.metrics.final_accuracy > (0.25 if method in FORGET else 0.8)
    assert "the same accuracies as in record.json" in essential("evaluate", tmp_path / "run").out


def test_every_kind_of_method_is_tried() -> None:
    assert set(METHODS) - set(KINDS) == {"words", "zero-shot"}


@pytest.mark.usefixtures("without_page")
def test_the_default_config_trains_on_them_and_a_run_resumes(essential: Essential, store: Path, tmp_path: Path) -> None:
    for name in ("whole", "cut"):
        assert essential("train", "--out", tmp_path / name, *_on(store)).code == 0
    (tmp_path / "cut" / "record.json").unlink()
    assert essential("train", "--out", tmp_path / "cut", *_on(store), "--resume").code == 0
    assert record_without_seconds(tmp_path / "cut") == record_without_seconds(tmp_path / "whole")


def test_there_is_nothing_to_extract(essential: Essential, store: Path, tmp_path: Path) -> None:
    done = essential("extract", "--config", "own/essential", "--store", tmp_path / "other", *_on(store))
    assert done.code == 2
    assert "data.kind=features has its features already; nothing is left to extract" in done.err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("[{0}]", "is no store of imported features (it holds no videos.csv)"),
        ("{0}/none", "is no store of imported features"),
        (None, "data.kind=features needs the store: -s data.path=STORE"),
    ],
)
def test_what_is_no_imported_store_is_refused(
    path: str | None, message: str, essential: Essential, tmp_path: Path
) -> None:
    where = [] if path is None else ["-s", "data.path=" + path.format(tmp_path).strip("[]")]
    done = essential("train", "--out", tmp_path / "run", "-s", "data.kind=features", *where, "-s", "protocol.tasks=3")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
