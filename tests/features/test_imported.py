"""Features brought along: what goes in comes out, clips are taken as from a video, and what does not fit is refused."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from essential.errors import DataError, StoreError
from essential.features.config import FeaturesConfig
from essential.features.imported import ImportedSource, import_features, imported_provenance
from essential.features.source import FeatureSource
from essential.progress import QUIET
from essential.protocols.labelled_tables import stored_labels
from essential.protocols.protocol import Video
from essential.video.views import segment_indices

VIDEOS, FRAMES, DIM = 600, 11, 5
Array = np.ndarray[Any, np.dtype[Any]]


def _array(seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((VIDEOS, FRAMES, DIM)).astype(np.float32)


def _labels(rows: Sequence[int] = range(VIDEOS), *, header: str = "index,label,split,video") -> str:
    lines = [f"{row},class {row % 7},{'test' if row % 3 == 0 else 'train'},clip {row}" for row in rows]
    return "\n".join([header, *lines])


def _files(folder: Path, array: Array, labels: str) -> tuple[Path, Path]:
    np.save(folder / "features.npy", array)
    (folder / "labels.csv").write_text(labels)
    return folder / "features.npy", folder / "labels.csv"


def _import(folder: Path, array: Array, labels: str, out: str = "store") -> list[Video]:
    return import_features(*_files(folder, array, labels), folder / out, progress=QUIET)


def _source(folder: Path, videos: Sequence[Video], *, frames: int = 4, **config: Any) -> ImportedSource:
    return ImportedSource(folder / "store", videos, frames=frames, config=FeaturesConfig(**config), seed=0)


def _rows(source: FeatureSource, videos: Sequence[Video], view: int) -> Array:
    return np.asarray(source.view(videos, view).rows(torch.arange(len(videos))).numpy())


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    array = _array()
    order = np.random.default_rng(1).permutation(VIDEOS)
    videos = _import(tmp_path, array, _labels([int(row) for row in order]))
    listing = stored_labels(tmp_path / "store")
    assert [v.key for v in listing.videos] == [v.key for v in videos] == [f"clip {row}" for row in range(VIDEOS)]
    assert listing.classes == tuple(f"class {index}" for index in range(7))
    source = _source(tmp_path, listing.videos, frames=FRAMES)
    assert (source.frames, source.dim, source.skipped) == (FRAMES, DIM, {})
    assert np.array_equal(_rows(source, listing.videos, 0), array)
    assert np.array_equal(_rows(source, listing.videos[::-1], 3), array[::-1])  # one frame in each segment: no choice


@pytest.mark.parametrize("frames", [1, 4, 8, 30])
def test_a_clip_is_taken_by_segment_as_from_a_video(frames: int, tmp_path: Path) -> None:
    array = _array()
    videos = _import(tmp_path, array, _labels())
    source = _source(tmp_path, videos, frames=frames)
    assert np.array_equal(_rows(source, videos, 0), array[:, segment_indices(FRAMES, frames, generator=None)])
    augmented = _rows(source, videos, 1)
    for place in range(frames):
        # Every frame is one of its segment's, and over 600 videos each of them is drawn.
        first, last = int(place * FRAMES / frames), min(int(np.ceil((place + 1) * FRAMES / frames)), FRAMES)
        chosen = [
            next(index for index in range(FRAMES) if np.array_equal(array[row, index], augmented[row, place]))
            for row in range(VIDEOS)
        ]
        assert set(chosen) == set(range(first, last))


def test_a_view_depends_on_the_video_and_the_view_alone(tmp_path: Path) -> None:
    videos = _import(tmp_path, _array(), _labels())
    few = videos[100:400:7]
    whole = dict(zip(videos, _rows(_source(tmp_path, videos), videos, 2), strict=True))
    assert np.array_equal(_rows(_source(tmp_path, few), few, 2), np.stack([whole[video] for video in few]))
    assert not np.array_equal(_rows(_source(tmp_path, few), few, 1), _rows(_source(tmp_path, few), few, 2))


def test_the_view_of_an_epoch_is_that_of_stored_or_live_videos(tmp_path: Path) -> None:
    videos = _import(tmp_path, _array(), _labels())
    assert [_source(tmp_path, videos, views=2).training_view(epoch) for epoch in range(4)] == [1, 2, 1, 2]
    assert [_source(tmp_path, videos, views=0).training_view(epoch) for epoch in range(2)] == [0, 0]
    assert [_source(tmp_path, videos, mode="live").training_view(epoch) for epoch in range(3)] == [1, 2, 3]


def test_types_are_kept_or_halved_once(tmp_path: Path) -> None:
    for kind, kept in (("float16", "float16"), ("float32", "float32"), ("float64", "float32")):
        folder = tmp_path / kind
        folder.mkdir()
        videos = _import(folder, _array().astype(kind), _labels())
        assert imported_provenance(folder / "store")["dtype"] == kept
        expected = _array().astype(kind).astype(np.float32)
        assert np.array_equal(_rows(_source(folder, videos, frames=FRAMES), videos, 0), expected)


def test_a_video_without_a_name_is_called_by_its_index(tmp_path: Path) -> None:
    labels = "split,index,label\n" + "\n".join(f"train,{row},a" for row in range(VIDEOS))
    assert [video.key for video in _import(tmp_path, _array(), labels)] == [str(row) for row in range(VIDEOS)]


def test_importing_again_goes_on_and_other_features_are_refused(tmp_path: Path) -> None:
    _import(tmp_path, _array(), _labels())
    shards = sorted((tmp_path / "store" / "shards").iterdir())
    assert len(shards) == 3
    shards[1].unlink()
    (tmp_path / "store" / "videos.csv").unlink()
    with pytest.raises(DataError, match=r"is no store of imported features \(it holds no videos\.csv\)"):
        stored_labels(tmp_path / "store")
    kept = shards[0].stat().st_mtime_ns
    videos = _import(tmp_path, _array(), _labels())
    assert np.array_equal(_rows(_source(tmp_path, videos, frames=FRAMES), videos, 0), _array())
    assert shards[0].stat().st_mtime_ns == kept
    with pytest.raises(StoreError, match=r"(?s)made with other settings.*encoder\.fingerprint"):
        _import(tmp_path, _array(1), _labels())
    with pytest.raises(StoreError, match="holds these features under other labels"):
        _import(tmp_path, _array(), _labels().replace("class 3", "class 4"))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (_labels(range(VIDEOS - 1)), rf"no line for 1 of the array's {VIDEOS} videos, for example index {VIDEOS - 1}"),
        (_labels(range(VIDEOS + 1)), rf"line {VIDEOS + 2}: index is {VIDEOS}, but the array holds {VIDEOS} videos"),
        (_labels([*range(VIDEOS), 5]), "index 5 is there twice"),
        (
            _labels().replace("clip 7\n", "clip 8\n"),
            "line 10: video 'clip 8' is listed before, in .*line 9; give each row a name of its own",
        ),
        (_labels().replace("\n4,", "\n-4,"), r"line 6: index is '-4'; give the row of the array"),
        (_labels().replace("\n4,", "\n4.0,"), r"line 6: index is '4\.0'"),
        (_labels().replace("\n4,", f"\n{'4' * 5000},"), r"line 6: index is '4{40}'"),
        (_labels().replace("\n4,class 4,train", "\n4,class 4,val"), "split is 'val'; use one of train, test"),
        (_labels().replace("\n3,class 3", "\n3,new"), r"no training clip for the class 'new'"),
        (_labels(header="index,label,splits,video"), r"unknown column 'splits' \(did you mean 'split'\?\)"),
        ("index,label\n0,a", "lacks the column 'split'"),
    ],
)
def test_labels_that_do_not_fit_the_array(labels: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        _import(tmp_path, _array(), labels)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named(value: float, tmp_path: Path) -> None:
    array = _array()
    array[123, 4, 2] = value
    with pytest.raises(DataError, match=rf"'clip 123' \(index 123\) hold {value}, which is not a finite float32"):
        _import(tmp_path, array, _labels())
    assert not (tmp_path / "store").exists()
    _import(tmp_path, _array(), _labels())  # mended, it goes to the same place


def test_a_number_too_large_for_what_is_kept_is_named(tmp_path: Path) -> None:
    array = _array().astype(np.float64)
    array[5, 0, 0] = 1e300
    with pytest.raises(DataError, match=r"'clip 5' \(index 5\) hold 1e\+300, which is not a finite float32"):
        _import(tmp_path, array, _labels())


def test_labels_of_a_store_that_were_spoilt_are_refused(tmp_path: Path) -> None:
    _import(tmp_path, _array(), _labels())
    path = tmp_path / "store" / "videos.csv"
    text = path.read_text()
    for spoilt, message in (
        (text.splitlines()[0], "lists no video"),
        (text.replace("clip 7\n", "clip 8\n"), "line 10: video 'clip 8' is listed before, in .*line 9"),
        (text.replace(",train,", ",test,"), r"no training clip for \d+ classes: "),
    ):
        path.write_text(spoilt)
        with pytest.raises(DataError, match=message):
            stored_labels(tmp_path / "store")


def _header(shape: str, kind: str = "<f4") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "shape",
    [
        "(-1, 6, 16)",
        "(True, 6, 16)",
        "(9999999999, 9999999999, 9999999999)",
        "(3, 4",
        "((3, 4, 5",
        "3",
        "(3.5, 4, 5)",
        "'x'",
    ],
)
def test_a_header_that_is_made_up_is_one_message(shape: str, tmp_path: Path) -> None:
    _, labels = _files(tmp_path, _array(), _labels())
    path = tmp_path / "odd.npy"
    path.write_bytes(_header(shape) + bytes(64))
    with pytest.raises(DataError, match=r"odd\.npy"):
        import_features(path, labels, tmp_path / "store", progress=QUIET)


@settings(
    derandomize=True, deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_damage_to_an_array_is_an_error_of_ours_or_none(data: st.DataObject, tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("index,label,split\n0,a,train\n1,a,test\n")
    np.save(tmp_path / "few.npy", np.zeros((2, 3, 4), np.float32))
    content = bytearray((tmp_path / "few.npy").read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    (tmp_path / "few.npy").write_bytes(content[: cut if data.draw(st.booleans()) else None])
    with suppress(DataError, StoreError):
        import_features(tmp_path / "few.npy", tmp_path / "few.csv", tmp_path / "few", progress=QUIET)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((3, 4), np.float32), r"float32 of shape \(3, 4\)"),
        (np.zeros((3, 4, 5), np.int64), r"int64 of shape \(3, 4, 5\)"),
        (np.zeros((0, 4, 5), np.float32), r"float32 of shape \(0, 4, 5\)"),
    ],
)
def test_an_array_of_another_form(array: Array, found: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"features.npy holds {found}; give one array of shape"):
        _import(tmp_path, array, _labels())


def test_files_that_are_no_arrays(tmp_path: Path) -> None:
    _, labels = _files(tmp_path, _array(), _labels())
    pickled, text, archive = tmp_path / "o.npy", tmp_path / "t.npy", tmp_path / "a.npz"
    np.save(pickled, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    text.write_text("not an array")
    np.savez(archive, a=_array())
    for path, message in (
        (pickled, "cannot be read as a NumPy array"),
        (text, "cannot be read as a NumPy array"),
        (archive, "an archive of arrays"),
        (tmp_path / "none.npy", "does not exist"),
    ):
        with pytest.raises(DataError, match=message):
            import_features(path, labels, tmp_path / "store", progress=QUIET)
