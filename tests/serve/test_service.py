"""The service as clients meet it: a process of its own, asked over HTTP."""

import base64
import io
import os
import re
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path

import pytest
from bad_forms import BAD_FORMS
from hostile_clips import MOST_SECONDS, MOST_SIDE, Hostile, hostile_clips
from PIL import Image
from running_service import BOUNDARY, TAUGHT, Answer, Part, RunningService, form, resident_bytes, running_service

from essential.errors import InUseError
from essential.files.atomic import file_lock
from essential.learner.bundle import Bundle

pytestmark = pytest.mark.slow

TOKEN = "a-token-of-the-tests-0123456789"
NEW = "2-up"
TIME_LIMIT = 3
MEGABYTE = 1024**2


@pytest.fixture(scope="module")
def bundle(taught_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copy(taught_bundle, tmp_path_factory.mktemp("served") / "actions.bundle"))


@pytest.fixture(scope="module")
def service(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that every test leaves with the classes that it found."""
    options = ["--max-mb", "1", "--max-seconds", MOST_SECONDS, "--max-side", MOST_SIDE, "--time-limit", TIME_LIMIT]
    with running_service(bundle, tmp_path_factory.mktemp("service"), *map(str, options), token=TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def clips(small_data: Path) -> dict[str, list[bytes]]:
    """Clips that were not taught, and those of a class that was not."""
    split = {name: "test" for name in TAUGHT} | {NEW: "train"}
    return {
        name: [path.read_bytes() for path in sorted((small_data / part / name).iterdir())]
        for name, part in split.items()
    }


@pytest.fixture(scope="module")
def hostile(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Hostile]:
    victim = next((small_data / "train" / NEW).iterdir())
    return hostile_clips(tmp_path_factory.mktemp("hostile"), victim)


def test_a_clip_is_recognised_and_what_was_looked_at_is_shown(
    service: RunningService, clips: dict[str, list[bytes]]
) -> None:
    answers = [(name, service.predict(clip)) for name in TAUGHT for clip in clips[name]]
    assert all(answer.status == 200 for _, answer in answers)
    assert sum(answer.json["label"] == name for name, answer in answers) >= len(answers) - 1
    given = answers[0][1].json
    assert given.keys() == {"label", "score", "top", "unknown", "unknown_score", "frames", "short_clip"}
    assert given["short_clip"] is None
    assert given["top"][0] == {"label": given["label"], "score": given["score"]}
    assert sum(scored["score"] for scored in given["top"]) == pytest.approx(1)
    assert len(given["frames"]) == 8
    for frame in given["frames"]:
        kind, _, content = frame.partition(",")
        assert kind == "data:image/jpeg;base64"
        assert Image.open(io.BytesIO(base64.b64decode(content))).size == (64, 64)
    asked = [("clip", "clip.mp4", clips[TAUGHT[0]][0])]
    assert len(service.send("/predict?top_k=1", asked).json["top"]) == 1
    assert service.send("/predict?top_k=0", asked).code == "bad_value"


def test_a_lesson_is_followed_kept_without_a_name_of_the_client_and_undone(
    service: RunningService, bundle: Path, clips: dict[str, list[bytes]]
) -> None:
    before = bundle.read_bytes()
    names = ["../../secret-place.mp4", "/etc/secret.mp4", "C:\\secret\\a.mp4", "sécret-日本.mp4"]
    sent: list[Part] = [("clips", name, clip) for name, clip in zip(names, clips[NEW], strict=True)]
    answer = service.send("/teach", [("class", None, f" {NEW} ".encode()), *sent])
    assert (answer.status, answer.json["state"]) == (202, "waiting")
    phases = set()
    while (job := service.ask("GET", f"/jobs/{answer.json['id']}").json)["state"] in ("waiting", "running"):
        phases |= {job["progress"]["title"]} if job["progress"] else set()
        # Predictions go on.
        assert service.predict(clips[TAUGHT[0]][0]).status == 200
    assert job["state"] == "done"
    assert phases
    assert job["progress"]["done"] == job["progress"]["total"] > 0
    assert job["result"]["clips"] == len(sent)
    assert job["result"]["left_out"] == []
    assert service.classes == [*TAUGHT, NEW]
    assert service.predict(clips[NEW][0]).json["label"] == NEW
    written = bundle.read_bytes()
    assert b"secret" not in written
    assert b"etc" not in written
    assert Bundle.read(bundle).lessons[-1].classes == (NEW,)
    undone = service.ask("POST", "/undo")
    assert [known["name"] for known in undone.json["classes"]] == list(TAUGHT)
    assert bundle.read_bytes() == before
    assert NEW not in {scored["label"] for scored in service.predict(clips[NEW][0]).json["top"]}
    assert service.ask("POST", "/undo").code == "nothing_to_undo"


def test_a_known_class_is_taught_again_on_purpose_alone(service: RunningService, clips: dict[str, list[bytes]]) -> None:
    name = TAUGHT[0]
    refused = service.teach(name, clips[name])
    assert (refused.status, refused.code) == (409, "class_known")
    assert "more_of_known=true" in refused.json["error"]["message"]
    assert service.lesson(name, clips[name], more_of_known="true")["state"] == "done"
    known = service.ask("GET", "/classes").json["classes"]
    assert {"name": name, "clips": 4 + len(clips[name])} in known
    assert service.ask("POST", "/undo").status == 200


def test_a_class_is_forgotten_and_comes_back(service: RunningService, clips: dict[str, list[bytes]]) -> None:
    name = TAUGHT[1]
    assert service.ask("DELETE", f"/classes?name={name}").status == 200
    assert service.classes == [TAUGHT[0], TAUGHT[2]]
    assert name not in {scored["label"] for scored in service.predict(clips[name][0]).json["top"]}
    missing = service.ask("DELETE", f"/classes?name={name}")
    assert (missing.status, missing.code) == (404, "no_such_class")
    assert service.ask("POST", "/undo").status == 200
    assert service.classes == list(TAUGHT)


def test_of_two_who_change_a_class_at_once_the_second_is_told_that_it_is_gone(service: RunningService) -> None:
    paths = [("DELETE", f"/classes?name={TAUGHT[0]}")] * 3 + [("POST", f"/classes/rename?name={TAUGHT[1]}&to=x")] * 3
    with ThreadPoolExecutor(len(paths)) as pool:
        answers = list(pool.map(lambda asked: service.ask(*asked), paths))
    for of_one in (answers[:3], answers[3:]):
        assert sorted(answer.status for answer in of_one) == [200, 404, 404], of_one
        assert {answer.code for answer in of_one if answer.status != 200} == {"no_such_class"}
    assert service.classes == ["x", TAUGHT[2]]
    for _ in range(2):
        assert service.ask("POST", "/undo").status == 200
    assert service.classes == list(TAUGHT)


def test_a_class_is_renamed_and_merged_on_purpose_and_it_is_undone(
    service: RunningService, bundle: Path, clips: dict[str, list[bytes]]
) -> None:
    before, (down, grow, left) = bundle.read_bytes(), TAUGHT
    states = [service.ask("GET", "/jobs").json["bundle"]]
    assert service.ask("POST", f"/classes/rename?name={down}&to=%20falling%20").status == 200
    assert service.classes == ["falling", grow, left]
    assert service.predict(clips[down][0]).json["label"] == "falling"
    states.append(service.ask("GET", "/jobs").json["bundle"])
    path = f"/classes/rename?name=falling&to={grow}"
    refused = service.ask("POST", path)
    assert (refused.status, refused.code) == (409, "class_known")
    assert service.ask("POST", f"{path}&merge=true").json["classes"] == [
        {"name": grow, "clips": 8},
        {"name": left, "clips": 4},
    ]
    merged = service.predict(clips[down][0]).json["top"]
    assert [scored["label"] for scored in merged] == [grow, left]
    assert sum(scored["score"] for scored in merged) == pytest.approx(1)
    for path, status, code in (
        ("name=falling&to=x", 404, "no_such_class"),
        (f"name={grow}&to={grow}", 422, "rename_failed"),
        (f"name={grow}&to=x&merge=true", 422, "rename_failed"),
        (f"name={grow}&to=%0A", 422, "bad_class_name"),
        (f"name={grow}&to=None%20of%20these", 422, "bad_class_name"),
        (f"name={grow}", 422, "bad_value"),
    ):
        answer = service.ask("POST", f"/classes/rename?{path}")
        assert (answer.status, answer.code) == (status, code), path
    for _ in range(2):
        assert service.ask("POST", "/undo").status == 200
    assert service.classes == list(TAUGHT)
    assert bundle.read_bytes() == before
    assert service.ask("GET", "/jobs").json["bundle"] == states[0] != states[1]


def test_a_lesson_goes_on_without_clips_that_cannot_be_used_and_says_so(
    service: RunningService, bundle: Path, clips: dict[str, list[bytes]], hostile: dict[str, Hostile]
) -> None:
    before = bundle.read_bytes()
    bad = [hostile["text"].content, hostile["long"].content, hostile["damaged"].content]
    job = service.lesson(NEW, [bad[0], *clips[NEW], *bad[1:]])
    assert job["state"] == "done"
    assert job["result"]["clips"] == len(clips[NEW])
    reasons = {left["clip"]: left["reason"] for left in job["result"]["left_out"]}
    assert sorted(reasons) == [1, 6, 7]
    assert "seconds long" in reasons[6]
    assert all(str(service.temporary) not in reason and "clip-" not in reason for reason in reasons.values())
    assert service.ask("POST", "/undo").status == 200
    workers = service.workers()
    failed = service.lesson(NEW, bad)
    # Nothing was learned, so the worker that learns goes on.
    assert set(service.workers()) <= set(workers)
    assert failed["error"]["code"] in ("no_clip_readable", "lesson_failed")
    assert str(service.temporary) not in failed["error"]["message"]
    assert bundle.read_bytes() == before
    assert service.lesson(NEW, clips[NEW])["state"] == "done"
    assert service.ask("POST", "/undo").status == 200
    assert service.uploads() == []


def test_hostile_files_get_an_answer(
    service: RunningService, clips: dict[str, list[bytes]], hostile: dict[str, Hostile]
) -> None:
    # After a change of the bundle the first prediction replaces its worker.
    assert service.predict(clips[TAUGHT[0]][0]).status == 200
    workers = service.workers()
    for name, (content, status, code) in hostile.items():
        answer = service.predict(content, file="../../clip\u202e.mp4")
        assert (name, answer.status, answer.code) == (name, status, code)
        assert str(service.temporary) not in answer.json["error"]["message"]
    assert service.workers() == workers
    assert service.predict(clips[TAUGHT[0]][0]).status == 200
    assert service.uploads() == []


def test_a_worker_that_hangs_is_replaced_and_costs_one_request(
    service: RunningService, clips: dict[str, list[bytes]]
) -> None:
    assert service.predict(clips[TAUGHT[0]][0]).status == 200
    before = service.workers()
    for worker in before:
        os.kill(worker, signal.SIGSTOP)
    began = time.monotonic()
    answer = service.predict(clips[TAUGHT[0]][0])
    assert (answer.status, answer.code) == (504, "too_slow")
    # Its own limit, and not the 60 seconds that there are without one.
    assert TIME_LIMIT <= time.monotonic() - began < 60
    assert service.predict(clips[TAUGHT[0]][0]).status == 200
    for worker in set(before) & set(service.workers()):
        os.kill(worker, signal.SIGCONT)
    assert len(service.workers()) == len(before) == 2
    assert len(set(service.workers()) & set(before)) == 1


def test_a_worker_that_was_killed_costs_nothing(service: RunningService, clips: dict[str, list[bytes]]) -> None:
    for worker in service.workers():
        os.kill(worker, signal.SIGKILL)
    assert service.predict(clips[TAUGHT[0]][0]).status == 200
    assert service.lesson(NEW, clips[NEW])["state"] == "done"
    assert service.ask("POST", "/undo").status == 200


def test_a_clip_whose_workers_die_is_given_up(service: RunningService, clips: dict[str, list[bytes]]) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(service.predict, clips[TAUGHT[0]][0])
        while not asked.done():
            for worker in service.workers():
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
    assert (asked.result().status, asked.result().code) in ((422, "worker_died"), (503, "not_ready"))
    assert service.predict(clips[TAUGHT[0]][0]).status == 200
    assert service.lesson(NEW, clips[NEW])["state"] == "done"
    assert service.ask("POST", "/undo").status == 200


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Authorization": ""}, 401, "no_access"),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401, "no_access"),
        ({"Authorization": f"Basic {TOKEN}"}, 401, "no_access"),
        ({"Host": "evil.example"}, 421, "wrong_host"),
        ({"Host": "localhost.evil.example:80"}, 421, "wrong_host"),
        ({"Host": "192.0.2.7"}, 421, "wrong_host"),
        ({"Origin": "http://evil.example"}, 403, "foreign_origin"),
        ({"Origin": "null"}, 403, "foreign_origin"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "foreign_origin"),
        ({"Sec-Fetch-Site": "same-site"}, 403, "foreign_origin"),
    ],
)
def test_strangers_are_refused_before_anything_is_read(
    service: RunningService, headers: dict[str, str], status: int, code: str
) -> None:
    for path in ("/predict", "/undo"):
        answer = service.send(path, [("clip", "clip.mp4", b"x")], headers=headers)
        assert (answer.status, answer.code) == (status, code)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["permissions-policy"].startswith("camera=(self)")


def test_the_own_page_and_a_tunnel_to_it_are_let_in(service: RunningService) -> None:
    for host in (f"127.0.0.1:{service.port}", "localhost:9000", "[::1]:80"):
        headers = {"Host": host, "Origin": f"http://{host.upper()}", "Sec-Fetch-Site": "same-origin"}
        assert service.ask("POST", "/undo", headers=headers).code == "nothing_to_undo"
    assert service.ask("GET", "/health", headers={"Authorization": ""}).json["status"] == "ready"
    assert service.ask("GET", "/nothing").code == "not_found"
    assert service.ask("PUT", "/undo").code == "method_not_allowed"
    assert service.ask("GET", "/jobs/0").code == "no_such_job"


def test_what_is_known_kept_and_allowed_is_told(service: RunningService, bundle: Path) -> None:
    known = service.ask("GET", "/classes").json
    assert (known["encoder"], known["method"], known["bundle"]) == ("tiny", "slda", "actions.bundle")
    kept = service.ask("GET", "/memory").json
    assert kept["bundle_bytes"] == bundle.stat().st_size
    assert kept["total_bytes"] == sum(entry["bytes"] for entry in kept["kept"]) > 0
    assert known["frames_read"] == 8
    limits = service.ask("GET", "/limits").json
    assert ".webm" in limits["extensions"]
    assert (limits["clip_bytes"], limits["clip_seconds"], limits["side"]) == (MEGABYTE, MOST_SECONDS, MOST_SIDE)


@pytest.mark.parametrize("name", BAD_FORMS)
def test_bad_forms_get_an_answer_and_leave_nothing(service: RunningService, name: str) -> None:
    path, body, code = BAD_FORMS[name]
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    answer = service.ask("POST", path, body=body, headers=headers)
    assert answer.code == code
    assert 400 <= answer.status < 500
    assert service.uploads() == []


def test_an_upload_that_breaks_off_leaves_nothing(service: RunningService) -> None:
    head = (
        f"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: 100000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(head.encode() + form([("clip", "a.mp4", b"x" * 50_000)], end=False))
        _wait_until(lambda: bool(service.uploads()))
    _wait_until(lambda: not service.uploads())
    assert service.ask("GET", "/health").status == 200


def test_two_hundred_requests_at_once_good_and_bad_leave_no_trace(
    service: RunningService, clips: dict[str, list[bytes]], hostile: dict[str, Hostile]
) -> None:
    good = [clips[name][0] for name in TAUGHT]
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    names = ["a.mp4", "../../etc/passwd", "日本語 \U0001f600.mp4", "a" * 500, "con.mp4", "%00%2e%2e"]
    requests = [
        *((lambda clip=clip, file=file: service.predict(clip, file=file)) for clip in good for file in names),
        *((lambda bad=bad: service.predict(bad.content)) for bad in hostile.values()),
        *((lambda bad=bad: service.ask("POST", bad[0], body=bad[1], headers=kind)) for bad in BAD_FORMS.values()),
        lambda: service.ask("GET", "/classes", headers={"Authorization": "Bearer wrong"}),
        lambda: service.ask("GET", "/classes", headers={"Host": "evil.example"}),
        lambda: service.ask("GET", "/memory"),
        lambda: service.ask("GET", "/jobs"),
    ]

    def ask(number_and_request: tuple[int, Callable[[], Answer]]) -> Answer:
        number, request = number_and_request
        # A lesson among them, so that both workers are busy.
        return service.teach(NEW, clips[NEW]) if number == 20 else request()

    assert service.predict(good[0]).status == 200
    assert len(service.workers()) == 2
    files, memory = service.open_files(), [resident_bytes(pid) for pid in (service.process.pid, *service.workers())]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, enumerate(islice(cycle(requests), 200))))
    assert len(answers) == 200
    statuses = Counter(answer.status for answer in answers)
    assert max(statuses) < 500, statuses
    assert statuses[200] >= 60, statuses
    assert statuses[202] == 1
    for answer in answers:
        assert answer.headers["content-type"] == "application/json"
        if answer.status >= 400:
            assert re.fullmatch(r"[a-z_]+", answer.code)
    (lesson,) = [answer.json["id"] for answer in answers if answer.status == 202]
    assert service.outcome(lesson)["state"] == "done"
    assert service.ask("POST", "/undo").status == 200
    assert service.uploads() == []
    _wait_until(lambda: service.open_files() <= files)
    now = [resident_bytes(pid) for pid in (service.process.pid, *service.workers())]
    assert all(after - before < 100 * MEGABYTE for before, after in zip(memory, now, strict=True)), (memory, now)


def test_an_empty_bundle_is_begun_held_and_left_whole_by_ctrl_c(
    clips: dict[str, list[bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ended")
    bundle = folder / "new.bundle"
    # A lesson that lasts until it is broken off.
    slow = ("-s", "method.name=essential", "-s", "training.epochs=1000")
    with running_service(bundle, folder / "s", "--encoder", "tiny", *slow, end=signal.SIGINT) as service:
        empty = bundle.read_bytes()
        answer = service.predict(clips[NEW][0])
        assert (answer.status, answer.code) == (409, "nothing_taught")
        with pytest.raises(InUseError, match="in use by process"), file_lock(bundle):
            pass
        lesson = service.teach(NEW, clips[NEW])
        assert lesson.status == 202
        _wait_until(lambda: service.ask("GET", f"/jobs/{lesson.json['id']}").json["state"] == "running")
        assert service.teach("waits", clips[NEW]).status == 202
    assert (folder / "s" / "log").read_text().splitlines()[1:] == [
        "stopped; the bundle is as the last finished lesson left it",
        f"lost: 2 unfinished lessons: {NEW}, waits",
    ]
    assert bundle.read_bytes() == empty
    with file_lock(bundle):
        pass


def _wait_until(is_so: Callable[[], bool], *, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)
