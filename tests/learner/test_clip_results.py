"""What is counted of answers, against plain loops; and the page that shows it."""

import json
import math
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from essential.learner.clip_results import ClipResults, Share, WrongClip
from essential.learner.prediction import Prediction, Scored
from essential.learner.testing import Thumbnails, count_answers
from essential.progress import QUIET

KNOWN = ("up", "down", "left")


def _predictions(count: int) -> tuple[list[Prediction], dict[Path, str]]:
    """Return answers drawn at random, some unknown and some that could not be read, and the classes of the clips."""
    draw = random.Random(7)
    labels = {Path(f"clips/{draw.choice([*KNOWN[:2], 'juggling'])}/{number}.mp4"): "" for number in range(count)}
    labels = {path: path.parent.name for path in labels}
    predictions = [
        Prediction(path, error="it is empty")
        if draw.random() < 0.1
        else Prediction(path, (Scored(draw.choice(KNOWN), draw.random()),), unknown_score=2 * draw.random())
        for path in labels
    ]
    draw.shuffle(predictions)
    return predictions, labels


def _counted(predictions: list[Prediction], labels: dict[Path, str], thumbnail_bytes: int = 0) -> ClipResults:
    return count_answers(
        predictions, labels, classes=KNOWN, taught={}, thumbnails=Thumbnails(thumbnail_bytes), progress=QUIET
    )


def _wilson(right: int, clips: int) -> tuple[float, float]:
    """The roots of (p - x)^2 = z^2 x (1 - x) / n, by bisection on either side of p."""
    z, share = 1.959963984540054, right / clips

    def root(inner: float, outer: float) -> float:
        for _ in range(200):
            middle = (inner + outer) / 2
            inside = (share - middle) ** 2 <= z * z * middle * (1 - middle) / clips
            inner, outer = (middle, outer) if inside else (inner, middle)
        return inner

    return root(share, 0.0), root(share, 1.0)


@pytest.mark.parametrize(("right", "clips"), [(0, 8), (8, 8), (1, 1), (43, 60), (1390, 1980)])
def test_the_interval_is_wilson_s(right: int, clips: int) -> None:
    share = Share(right, clips)
    assert share.accuracy == right / clips
    assert share.interval == pytest.approx(_wilson(right, clips), abs=1e-9)


def test_of_no_clip_there_is_no_accuracy() -> None:
    assert Share(0, 0).as_json() == {"clips": 0, "right": 0, "accuracy": None, "interval": None}


def test_every_number_is_that_of_a_plain_loop() -> None:
    predictions, labels = _predictions(300)
    results = _counted(predictions, labels).as_json()
    right, clips, unknown, closest = Counter[str](), Counter[str](), Counter[str](), 0
    cells = Counter[tuple[str, str | None]]()
    wrong: dict[str, set[tuple[str, str, str | None]]] = {"known": set(), "unknown": set()}
    unread = set()
    for prediction in predictions:
        label = labels[prediction.path]
        if prediction.error is not None:
            unread.add(str(prediction.path))
            continue
        answer = None if prediction.unknown else prediction.label
        clips[label] += 1
        cells[label, answer] += 1
        unknown[label] += answer is None
        closest += answer is None and prediction.label == label
        if answer == (None if label == "juggling" else label):
            right[label] += 1
        else:
            kind = "unknown" if label == "juggling" else "known"
            wrong[kind].add((str(prediction.path), label, answer))
    assert len(unread) > 10
    known = ["up", "down"]
    assert (results["right"], results["clips"]) == (sum(map(right.get, known)), sum(map(clips.get, known)))
    assert results["accuracy"] == results["right"] / results["clips"]
    assert results["interval"] == pytest.approx(_wilson(results["right"], results["clips"]), abs=1e-9)
    assert results["unknown"] == unknown["up"] + unknown["down"]
    assert results["unknown_closest_right"] == closest
    assert {name: (one["right"], one["clips"], one["unknown"]) for name, one in results["per_class"].items()} == {
        name: (right[name], clips[name], unknown[name]) for name in known
    }
    confusion = results["confusion"]
    assert (confusion["rows"], confusion["columns"]) == (known, ["up", "down", "left", None])
    assert confusion["counts"] == [[cells[row, column] for column in confusion["columns"]] for row in known]
    of_unknown = results["unknown_classes"]
    assert (of_unknown["right"], of_unknown["clips"]) == (right["juggling"], clips["juggling"])
    for listed, kind in ((results["wrong"], "known"), (of_unknown["wrong"], "unknown")):
        assert {(one["path"], one["label"], one["predicted"]) for one in listed} == wrong[kind]
        assert len(listed) == len(wrong[kind])
        scores = [one["score"] or 0 for one in listed]
        assert scores == sorted(scores, reverse=True)
        assert all((one["score"] is None) == (one["predicted"] is None) for one in listed)
    assert {one["path"] for one in results["unreadable"]} == unread
    assert results["untested_classes"] == ["left"]
    assert json.loads(json.dumps(results)) == results


def test_a_bundle_that_never_says_none_is_told_from_one_that_said_it_of_no_clip() -> None:
    path = Path("clips/up/1.mp4")
    for score, expected in ((None, None), (0.5, 0)):
        prediction = Prediction(path, (Scored("up", 0.9),), unknown_score=score)
        results = _counted([prediction], {path: "up"})
        assert results.answered_none == results.as_json()["per_class"]["up"]["unknown"] == expected


def test_mistakes_are_counted_by_pair() -> None:
    answers = {"up": {"up": 3, "down": 1, None: 2}, "down": {"left": 4}, "juggling": {"up": 9}}
    results = ClipResults(KNOWN, answers, ())
    assert [tuple(each) for each in results.mistakes] == [("down", "left", 4), ("up", None, 2), ("up", "down", 1)]


def _with_frames(count: int, side: int = 40) -> Iterator[Prediction]:
    draw = np.random.default_rng(0)
    for number in range(count):
        frames = draw.integers(0, 255, (8, side, side, 3), dtype=np.uint8)
        yield Prediction(Path(f"clips/up/{number}.mp4"), (Scored("down", number / count),), frames=frames)


def test_thumbnails_are_of_the_most_confident_mistakes_and_stay_within_their_bytes() -> None:
    predictions = [*_with_frames(12)]
    everything = _counted(predictions, {one.path: "up" for one in predictions}, 10_000_000)
    sizes = [len(clip.frames or b"") for clip in everything.wrong]
    assert len(sizes) == 12
    assert all(clip.frames is not None and clip.frames[:3] == b"\xff\xd8\xff" for clip in everything.wrong)
    most = sum(sizes[:5]) + min(sizes) // 2
    results = _counted(predictions[::-1], {one.path: "up" for one in predictions}, most)
    kept = [clip for clip in results.wrong if clip.frames]
    assert 0 < sum(len(clip.frames or b"") for clip in kept) <= most
    assert kept == list(results.wrong[: len(kept)])
    assert len(kept) in (4, 5)
    assert len(results.wrong) == 12


def test_the_page_stays_small_and_counts_what_it_leaves_out(tmp_path: Path) -> None:
    image = b"\xff\xd8\xff" + bytes(20_000)
    wrong = tuple(
        WrongClip(
            Path(f"{'long/' * 40}up/{number}.mp4"), "up", Scored("down", 0.5), False, image if number < 60 else None
        )
        for number in range(20_000)
    )
    results = ClipResults(KNOWN, {"up": {"down": 20_000}}, wrong)
    results.write_page(tmp_path / "page.html", title="many <clips>")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(text.encode()) < 3_000_000
    assert text.count("data:image/jpeg") == 60
    rows = text.count("/up/") - 60
    assert rows > 500
    assert f"{20_000 - 60 - rows:,} wrong clips more" in text
    assert "many &lt;clips&gt;" in text
    assert "<script" not in text


def test_a_full_page_of_many_classes_stays_small_too(tmp_path: Path) -> None:
    names = tuple(f"pouring something into something else {number}" for number in range(500))
    answers: dict[str, dict[str | None, int]] = {row: dict.fromkeys((*names, None), 3) for row in names}
    image = b"\xff\xd8\xff" + bytes(20_000)
    wrong = tuple(WrongClip(Path(f"{n}\udcff.mp4"), names[0], Scored(names[1], 0.5), False, image) for n in range(50))
    ClipResults(names, answers, wrong).write_page(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 3_000_000


def test_a_matrix_of_very_many_classes_has_those_with_most_mistakes(tmp_path: Path) -> None:
    names = tuple(f"class {number}" for number in range(150))
    answers = {name: {name: 150 - number, names[0]: number} for number, name in enumerate(names)}
    ClipResults(names, answers, ()).write_page(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Of 150 classes, the 100 with most mistakes" in text
    assert 'title="class 149 → class 149">1<' in text
    assert 'title="class 49 → ' not in text


def test_a_page_without_a_wrong_clip_or_without_any_says_so(tmp_path: Path) -> None:
    ClipResults(KNOWN, {"up": {"up": 3}}, ()).write_page(tmp_path / "right.html")
    assert "There is none." in (tmp_path / "right.html").read_text(encoding="utf-8")
    ClipResults(KNOWN, {"juggling": {None: 3}}, ()).write_page(tmp_path / "none.html")
    assert "no clip of a class that the classifier knows" in (tmp_path / "none.html").read_text(encoding="utf-8")
    assert math.isclose(ClipResults(KNOWN, {"juggling": {None: 3}}, ()).open_set.accuracy or 0, 1)
