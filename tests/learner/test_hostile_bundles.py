"""Bundles that a stranger made and sealed: each is one `BundleError`, or a learner that answers with finite numbers."""

import copy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from essential import VideoLearner
from essential.errors import BundleError, CheckpointError
from essential.files.sealed import Array, read_sealed, write_sealed
from essential.learner.bundle import Bundle
from essential.methods import METHODS
from taught import MACHINE

ODD = (None, True, -1, 1.5, "x", [], {}, [[]], 10**30)
SEEN = np.random.default_rng(0).standard_normal((2, 8, 128)).astype(np.float32)

# Methods of words need an encoder with a text tower; `end_to_end/test_words_end_to_end.py` reads them back.
KEPT = sorted(name for name, one in METHODS.items() if not one.needs_all_tasks and not one.needs_words)

Path_ = tuple[str | int, ...]
Arrays = dict[str, Array]


@pytest.fixture
def parts(taught_bundle: Path) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays and the note of a bundle that knows two classes."""
    arrays, note = read_sealed(taught_bundle, CheckpointError)
    return arrays, note


def _places(note: object, place: Path_ = ()) -> Iterator[Path_]:
    """Give the way to every value, the settings apart, which have a schema; of the values of a list only the first."""
    yield place
    if place and place[0] == "config":
        return
    keys: list[Any] = list(note) if isinstance(note, dict) else [0] if isinstance(note, list) and note else []
    for key in keys[:3] if place == ("taught",) else keys:
        yield from _places(note[key], (*place, key))  # type: ignore[index]


def _said(use: Callable[[], object]) -> str:
    """Use a bundle, and return what its `BundleError` says; nothing if it can be used."""
    try:
        use()
    except BundleError as error:
        return str(error)
    return ""


def _changed(note: Any, place: Path_, value: object) -> Any:
    if not place:
        return value
    changed = copy.deepcopy(note)
    inside = changed
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return changed


def test_every_value_of_the_note(parts: tuple[Arrays, dict[str, Any]], tmp_path: Path) -> None:
    arrays, note = parts
    path = tmp_path / "odd.bundle"
    places = list(_places(note))
    assert len(places) >= 20
    told = []
    for place in places:
        for value in ODD:
            write_sealed(path, arrays, _changed(note, place, value))
            told.append(_said(lambda: Bundle.read(path)))
    assert sum(map(bool, told)) >= 0.7 * len(places) * len(ODD)
    assert all(str(path) in message and "\n" not in message for message in told if message)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_array_that_holds_no_numbers(parts: tuple[Arrays, dict[str, Any]], tmp_path: Path, value: float) -> None:
    arrays, note = parts
    path = tmp_path / "odd.bundle"
    floats = [name for name, array in arrays.items() if array.dtype.kind == "f" and array.size]
    assert {"held_out.centre", "method.memory.features"} < set(floats)
    for name in floats:
        odd = arrays[name].copy()
        odd.reshape(-1)[-1] = value
        write_sealed(path, {**arrays, name: odd}, note)
        with pytest.raises(BundleError, match=rf"odd\.bundle .*{name} holds (nan|-?inf), which is no number"):
            Bundle.read(path)


def _forms(array: Array) -> list[Array]:
    """Return arrays of other numbers, shapes and types."""
    kind = np.finfo(array.dtype) if array.dtype.kind == "f" else np.iinfo(array.dtype)
    numbers = [np.full_like(array, number) for number in (kind.max, kind.min, 0)]
    shapes = [array[None], array.reshape(-1), *([array[:0], np.concatenate([array, array])] if array.ndim else [])]
    return [*numbers, *shapes, np.zeros(array.shape, np.float64), np.zeros(array.shape, np.uint8)]


def test_every_array_in_another_form(parts: tuple[Arrays, dict[str, Any]], tmp_path: Path) -> None:
    arrays, note = parts
    path = tmp_path / "odd.bundle"
    names = [name for name in arrays if not name.startswith("method.network.")]
    names.append("method.network.predictor.head.weight")
    told = []
    for name in names:
        forms = _forms(arrays[name])
        for odd in forms:
            write_sealed(path, {**arrays, name: odd}, note)
            told.append(_said(lambda: Bundle.read(path)))
        write_sealed(path, {**arrays, name: forms[0]}, note)
        told.append(_said(lambda: _answer(path)))
    assert len(names) >= 9
    assert 0 < sum(map(bool, told)) < len(told)
    assert all(
        ("odd.bundle" in message or "scores are not finite" in message) and "\n" not in message
        for message in told
        if message
    )


def _answer(path: Path) -> None:
    _, probabilities, unknown = VideoLearner.load(path, overrides=MACHINE).labelled_predictor.answers(SEEN)
    assert np.isfinite(probabilities).all()
    assert unknown is None or np.isfinite(unknown).all()


def test_a_bundle_does_not_say_how_a_machine_works(parts: tuple[Arrays, dict[str, Any]], tmp_path: Path) -> None:
    arrays, note = parts
    own = {
        "features": {"workers": 4000, "worker_start": "spawn", "video_seconds_limit": 1e9, "batch_clips": 10**9},
        "training": {"threads": 10**9, "device": "cuda", "checkpoint_epochs": 1},
    }
    kept = {name: section.keys() & note["config"][name].keys() for name, section in own.items()}
    assert kept == {"features": set(), "training": set()}
    config = {**note["config"], **{name: {**note["config"][name], **section} for name, section in own.items()}}
    config |= {"data": {"kind": "list", "path": "/etc/passwd", "root": "/"}}
    write_sealed(tmp_path / "odd.bundle", arrays, {**note, "config": config})
    read = Bundle.read(tmp_path / "odd.bundle").config
    assert read.features.workers is read.features.batch_clips is read.training.threads is None
    assert (read.features.worker_start, read.features.video_seconds_limit) == ("fork", 300)
    assert (read.training.device, read.training.checkpoint_epochs) == ("auto", 10)
    assert (read.data.kind, read.data.path, read.data.root) == ("folder", None, None)


def test_a_file_of_weights_that_a_bundle_names_is_no_path(parts: tuple[Arrays, dict[str, Any]], tmp_path: Path) -> None:
    arrays, note = parts
    encoder = {"name": "resnet18", "weights": "/etc/secret.pth"}
    write_sealed(tmp_path / "odd.bundle", arrays, {**note, "config": {**note["config"], "encoder": encoder}})
    assert Bundle.read(tmp_path / "odd.bundle").config.encoder.weights == Path("secret.pth")


def _features_bundle(path: Path, method: str) -> tuple[Arrays, dict[str, Any]]:
    """Return the parts of a bundle for features of 16 numbers that was taught nothing."""
    VideoLearner(feature_dim=16, method=method, overrides=MACHINE).save(path)
    return read_sealed(path, CheckpointError)


def _claiming(arrays: Arrays, wide: int) -> Arrays:
    """Return the arrays with all that hold no number as wide as a forger wants them, which costs no byte."""
    empty = {name: array for name, array in arrays.items() if not array.size and array.shape[-1:] == (16,)}
    # Of the clips held out a row of codes has one byte for each number of the centre, which is written.
    held = {"held_out.centre": np.zeros(wide, np.float32), "held_out.features_codes": np.zeros((0, 8, wide), np.uint8)}
    return {
        **arrays,
        **{name: np.zeros((*array.shape[:-1], wide), array.dtype) for name, array in empty.items()},
        **held,
    }


READ = """
import sys
from pathlib import Path
from essential.errors import BundleError
from essential.learner.bundle import Bundle

def refused(path):
    try:
        Bundle.read(Path(path))
    except BundleError:
        # Not `ru_maxrss`, which begins with that of the process that started this one.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    raise AssertionError("it was read")

before = refused(sys.argv[1])
print(refused(sys.argv[2]) - before)
"""


@pytest.mark.parametrize("method", ["icarl", "slda", "essential"])
def test_a_small_file_that_claims_wide_features_takes_no_memory(method: str, tmp_path: Path) -> None:
    arrays, note = _features_bundle(tmp_path / "good.bundle", method)
    wide = 16_384
    for name, dim in (("little", 32), ("odd", wide)):
        own = {**note, "encoder": {**note["encoder"], "dim": dim}}
        write_sealed(tmp_path / f"{name}.bundle", _claiming(arrays, dim), own)
    assert (tmp_path / "odd.bundle").stat().st_size < 500_000
    with pytest.raises(
        BundleError, match=r"odd\.bundle is not a bundle .*(has the shape|size mismatch|none of vectors)"
    ):
        Bundle.read(tmp_path / "odd.bundle")
    command = [sys.executable, "-c", READ, str(tmp_path / "little.bundle"), str(tmp_path / "odd.bundle")]
    more = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert more < wide * wide * 4 / 4  # a quarter of one square matrix of float32; the least network has half of one


def test_many_parts_of_one_number_each_are_refused(tmp_path: Path) -> None:
    arrays, note = _features_bundle(tmp_path / "good.bundle", "essential")
    parts = {f"method.network.retrieval.{place}.x": np.zeros(1, np.float32) for place in range(50)}
    write_sealed(tmp_path / "odd.bundle", {**arrays, **parts}, note)
    with pytest.raises(BundleError, match=r"odd\.bundle is not a bundle .*does not fit"):
        Bundle.read(tmp_path / "odd.bundle")


@pytest.mark.parametrize("method", KEPT)
def test_every_method_is_read_back(method: str, tmp_path: Path) -> None:
    settings = {"temporal-consistency": "icarl-tc"}
    arrays, _ = _features_bundle(tmp_path / "good.bundle", settings.get(method, method))
    read = Bundle.read(tmp_path / "good.bundle").model.method.state_dict()
    assert {f"method.{name}" for name in read} <= arrays.keys()
    for name, array in read.items():
        np.testing.assert_array_equal(array, arrays[f"method.{name}"])


def test_a_method_that_is_not_installed_is_named(parts: tuple[Arrays, dict[str, Any]], tmp_path: Path) -> None:
    arrays, note = parts
    config = {**note["config"], "method": {"name": "mine", "own": 1}}
    write_sealed(tmp_path / "odd.bundle", arrays, {**note, "config": config})
    with pytest.raises(BundleError) as caught:
        Bundle.read(tmp_path / "odd.bundle")
    assert str(caught.value) == (f"{tmp_path / 'odd.bundle'}: the method 'mine' is not installed; install its package")
