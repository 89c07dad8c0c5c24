"""What the page shows of a run's analysis: classes, confusion, clips; that it stays safe and small."""

import re
from pathlib import Path
from typing import Any

import pytest
from made_analyses import TESTS, made_picture, make_analysis
from made_records import make_record
from parsed_page import ReportPage

from essential.errors import RunError
from essential.records import Record
from essential.records.analysis import Analysis
from essential.report import ReportedRun, write_report

HOSTILE = "<script>alert('x')</script>\"&{{ 7 * 7 }}"


def _write(folder: Path, *runs: tuple[Record, Analysis | None]) -> str:
    path = folder / "report.html"
    write_report([ReportedRun(f"run {number}", *run) for number, run in enumerate(runs)], path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def record() -> Record:
    return make_record(tasks=3)


@pytest.fixture(scope="module")
def analysis(record: Record) -> Analysis:
    return make_analysis(record, exemplars=12)


@pytest.fixture(scope="module")
def html(record: Record, analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> str:
    return _write(tmp_path_factory.mktemp("page"), (record, analysis))


def test_classes_stand_by_how_far_they_fell(html: str, analysis: Analysis) -> None:
    falls = []
    for slot, (name, task) in enumerate(zip(analysis.class_names, analysis.class_tasks, strict=True)):
        known = [row[slot] for row in analysis.class_accuracy_by_task if row[slot] is not None]
        best, final = max(value or 0 for value in known), known[-1] or 0
        falls.append(
            (best - final, -final, f"{name} {task + 1} {100 * best:.1f} {100 * final:.1f} {100 * (best - final):.1f}")
        )
    rows = [words for *_, words in sorted(falls, key=lambda fall: fall[:2], reverse=True)]
    text = ReportPage(html).text
    assert len(rows) == 6
    assert " ".join(rows) in text


def test_the_most_frequent_mistakes_are_told(html: str, analysis: Analysis) -> None:
    pairs = {
        (analysis.class_names[true], analysis.class_names[taken]): count
        for true, row in enumerate(analysis.confusion)
        for taken, count in enumerate(row)
        if true != taken and count
    }
    most = max(pairs.values())
    first = re.search(r"of its own, % (class \d\w) (class \d\w) (\d+) ([\d.]+)", ReportPage(html).text)
    assert first
    assert pairs[first[1], first[2]] == most == int(first[3])
    assert float(first[4]) == pytest.approx(100 * most / TESTS, abs=0.06)


def test_mistakes_between_tasks_are_shares_of_a_task_s_videos(html: str, analysis: Analysis) -> None:
    for true in range(3):
        slots = [slot for slot, task in enumerate(analysis.class_tasks) if task == true]
        shares = []
        for taken in range(3):
            columns = [slot for slot, task in enumerate(analysis.class_tasks) if task == taken]
            count = sum(analysis.confusion[slot][column] for slot in slots for column in columns)
            shares.append(f"{100 * count / (len(slots) * TESTS):.1f}" if count else "")
        row = " ".join(filter(None, [str(true + 1), *shares]))
        assert row in ReportPage(html).text


def test_forgotten_clips_are_shown_with_what_became_of_them(html: str) -> None:
    text = ReportPage(html).text
    assert (
        "18 test clips were right after some task and wrong after the last; here are the 6 most confident mistakes."
        in text
    )
    assert "class 0a taken for class 2b Known after task 1, lost after task 2. test/class 0a/0.mp4" in text
    assert len(re.findall(r'<img src="data:image/jpeg;base64,/9j/[A-Za-z0-9+/=]+" alt="">', html)) == 6 * 4


def test_every_figure_of_the_analysis_is_there(html: str) -> None:
    text = ReportPage(html).text
    for words in (
        "Distance from the dense clips",
        "All means are over 12 of 36 exemplars.",
        "Accuracy against frames read",
    ):
        assert words in text
    assert "Memory by kind over tasks" in text
    assert "Accuracy by class <" not in html, "the falls stand in its place"


def test_pictures_are_allowed_where_there_are_any(html: str, record: Record, tmp_path: Path) -> None:
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:\"" in html
    assert "img-src" not in _write(tmp_path, (record, None))


def test_without_an_analysis_there_is_no_empty_section(record: Record, tmp_path: Path) -> None:
    text = ReportPage(_write(tmp_path, (record, None))).text
    for words in (
        "forgetting by class",
        "Confusion",
        "Distance from",
        "Known, then forgotten",
        "Accuracy and frames",
    ):
        assert words not in text


def test_what_could_not_be_made_is_said_and_the_rest_is_shown(record: Record, tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"distances": None, "frames_kept": (), "forgotten": ()}
    analysis = make_analysis(record, **nothing, forgotten_count=0, notes=["the features are not there any more"])
    text = ReportPage(_write(tmp_path, (record, analysis))).text
    assert "the features are not there any more" in text
    assert "Confusion" in text
    for words in ("Distance from", "Known, then forgotten", "Accuracy and frames"):
        assert words not in text


def test_a_method_that_retrieves_nothing_shows_nothing_retrieved(record: Record, tmp_path: Path) -> None:
    means = {"exemplars": 3, "sparse": 0.2, "sparse_frames": 0.1}
    distances = {"overall": means, "by_slot": [{"slot": 0, "means": means}]}
    text = ReportPage(_write(tmp_path, (record, make_analysis(record, distances=distances)))).text
    assert "Confusion" in text
    assert "Distance from the dense clips" not in text


@pytest.mark.parametrize(("squared", "words"), [(0.46, "farther from"), (0.05, "nearer to")])
def test_what_frame_features_say_stands_beside_the_tokens(
    record: Record, tmp_path: Path, squared: float, words: str
) -> None:
    means = {"exemplars": 7, "sparse": 0.4, "sparse_frames": 0.2, "retrieved": 0.1, "retrieved_frames": squared}
    distances = {"overall": means, "by_slot": [{"slot": 0, "means": means}]}
    html = _write(tmp_path, (record, make_analysis(record, exemplars=7, distances=distances)))
    times = {0.46: "2.3", 0.05: "0.25"}[squared]
    said = f"{words} the dense frames than the stored ones are: its mean squared error is {times} times theirs."
    assert html.count(said) == 2, "in the caption and in the description"
    assert "All means are over 7 of 36 exemplars." in html


def test_a_clip_without_pictures_and_a_run_without_mistakes(record: Record, tmp_path: Path) -> None:
    clip = {"video": "v", "label": "class 0a", "predicted": "class 1a", "margin": 0.1}
    clip |= {"known_after_task": 0, "lost_after_task": 2}
    right = [[TESTS if row == column else 0 for column in range(6)] for row in range(6)]
    analysis = make_analysis(record, forgotten=[clip], forgotten_count=1, confusion=right)
    html = _write(tmp_path, (record, analysis))
    assert "1 test clip was right after some task and wrong after the last." in ReportPage(html).text
    assert "<img" not in html
    assert "No test video was taken for another class." in html
    untested = make_analysis(record, confusion=[[0] * 6] * 6, class_accuracy_by_task=[[None] * 6] * 3)
    text = ReportPage(_write(tmp_path, (record, untested))).text
    assert "Confusion" not in text
    assert "forgetting by class" not in text


def test_whatever_comes_from_an_analysis_is_escaped(tmp_path: Path) -> None:
    tasks = [{"classes": [f"{HOSTILE} {task}"], "train_videos": 1, "test_videos": 1} for task in range(2)]
    record = make_record(tasks=2, protocol={"name": "p", "id": "1" * 16, "tasks": tasks})
    made = make_analysis(record, notes=[HOSTILE])
    clips = [clip.model_copy(update={"video": HOSTILE}) for clip in made.forgotten]
    html = _write(tmp_path, (record, made.model_copy(update={"forgotten": clips})))
    assert ReportPage(html).text.count(HOSTILE) > 12


def test_an_analysis_of_another_run_is_refused(record: Record, analysis: Analysis) -> None:
    other = make_record(tasks=3, protocol={**record.protocol.model_dump(), "id": "another"})
    with pytest.raises(RunError, match=r"mine is of another run \(protocol 0123456789abcdef.*delete it"):
        ReportedRun("mine", other, analysis)
    with pytest.raises(RunError, match=r"3 tasks learned.*2 tasks learned"):
        ReportedRun("mine", make_record(tasks=2), analysis)
    own = analysis.class_accuracy_by_task[-1]
    ReportedRun("mine", make_record(tasks=3, class_accuracy=own), analysis)
    with pytest.raises(RunError, match=r"mine is of another run \(by its accuracies of the classes\).*delete it"):
        ReportedRun("mine", make_record(tasks=3, class_accuracy=[*own[:-1], 0.123]), analysis)


def test_the_same_bytes_come_again(record: Record, analysis: Analysis, tmp_path: Path) -> None:
    second = make_record(tasks=3, seed=1)
    runs = ((record, analysis), (second, make_analysis(second)))
    html = _write(tmp_path, *runs)
    assert len(ReportPage(html).values("id")) > 30
    assert _write(tmp_path, *runs) == html


@pytest.mark.slow
def test_ten_runs_of_four_hundred_classes_stay_below_three_megabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of the ten, with a fifth of the room and of the bytes."""
    picture = made_picture(7)
    monkeypatch.setattr("essential.report.page._IMAGE_LETTERS", 140_000)
    monkeypatch.setattr("made_analyses.made_picture", lambda _: picture)
    tasks = [
        {
            "classes": [f"playing instrument number {20 * task + i}" for i in range(20)],
            "train_videos": 9,
            "test_videos": 9,
        }
        for task in range(20)
    ]
    protocol = {"name": "large", "id": "l" * 16, "tasks": tasks}
    records = [make_record(tasks=20, method=f"m{number}", protocol=protocol) for number in range(2)]
    analysis = make_analysis(records[0], exemplars=400, clips=24)
    html = _write(tmp_path, *((record, analysis) for record in records))
    assert len(html.encode()) < 600_000
    assert html.count("data:image/png") == 2
    clips = [part.count('<li class="clip">') for part in html.split('<article class="run"')[1:]]
    assert all(4 <= count < 24 for count in clips), "as many as there is room for, of every run"
    assert max(clips) - min(clips) <= 1
    assert html.count("The next 88 classes") == 2
