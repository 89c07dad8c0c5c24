"""A service in a process of its own, and asking it by hand: requests that no client library would send, too."""

import http.client
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from small_runs import command

TAUGHT = ("2-down", "2-grow", "2-left")
BOUNDARY = "a-boundary-of-the-tests"
Part = tuple[str, str | None, bytes]


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the headers in small letters, the body as JSON."""

    status: int
    headers: dict[str, str]
    json: Any

    @property
    def code(self) -> str:
        """The code of an error, whose form is checked."""
        assert self.json.keys() == {"error"}, self.json
        assert self.json["error"].keys() == {"code", "message"}
        assert self.json["error"]["message"]
        return str(self.json["error"]["code"])


def form(parts: Sequence[Part], *, end: bool = True) -> bytes:
    """Return a multipart body of (name, name of the file or None, content)."""
    body = b""
    for name, file, content in parts:
        named = "" if file is None else f'; filename="{file}"'
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode()
        body += content + b"\r\n"
    return body + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


@dataclass(frozen=True)
class RunningService:
    """A service that can be asked.

    Attributes:
        process: of `essential serve`.
        port: where it listens.
        token: what it wants to know; None: nothing.
        temporary: the folder in which its uploads are.
    """

    process: subprocess.Popen[str]
    port: int
    token: str | None
    temporary: Path

    def ask(
        self, method: str, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request and return what comes back."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        try:
            given = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
            connection.request(method, f"/api/v1{path}", body, {**given, **(headers or {})})
            return answer_of(connection)
        finally:
            connection.close()

    def send(self, path: str, parts: Sequence[Part], *, headers: dict[str, str] | None = None) -> Answer:
        """Send a form."""
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.ask("POST", path, body=form(parts), headers={**kind, **(headers or {})})

    def predict(self, content: bytes, *, file: str = "clip.mp4") -> Answer:
        """Send a clip to be recognised."""
        return self.send("/predict", [("clip", file, content)])

    def teach(self, name: str, clips: Sequence[bytes], **more: str) -> Answer:
        """Send a lesson."""
        texts: list[Part] = [(key, None, value.encode()) for key, value in {"class": name, **more}.items()]
        return self.send("/teach", [*texts, *(("clips", "clip.mp4", clip) for clip in clips)])

    def lesson(self, name: str, clips: Sequence[bytes], **more: str) -> dict[str, Any]:
        """Send a lesson and wait until it is over."""
        answer = self.teach(name, clips, **more)
        assert answer.status == 202, answer
        return self.outcome(answer.json["id"])

    def outcome(self, job: str) -> dict[str, Any]:
        """Return a lesson once it is over."""
        end = time.monotonic() + 300
        while True:
            found: dict[str, Any] = self.ask("GET", f"/jobs/{job}").json
            if found["state"] in ("done", "failed"):
                return found
            assert time.monotonic() < end, found
            time.sleep(0.05)

    @property
    def classes(self) -> list[str]:
        """The names of the classes that it knows."""
        return [known["name"] for known in self.ask("GET", "/classes").json["classes"]]

    def workers(self) -> list[int]:
        """Return the processes that hold a learner: the children of its fork server."""
        return [worker for child in _children(self.process.pid) for worker in _children(child)]

    def open_files(self) -> int:
        """Return how many files the web process and the workers have open."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in (self.process.pid, *self.workers()))

    def uploads(self) -> list[Path]:
        """Return every file that is left of what was sent."""
        return [path for path in self.temporary.rglob("clip-*") if path.is_file()]


def answer_of(connection: http.client.HTTPConnection) -> Answer:
    """Return the answer that comes next."""
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, json.loads(response.read()))


def resident_bytes(pid: int) -> int:
    """Return how much memory a process has."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


@contextmanager
def running_service(
    bundle: Path, folder: Path, *options: str, token: str | None = None, end: signal.Signals = signal.SIGTERM
) -> Iterator[RunningService]:
    """Run `essential serve` until the block is left, end it by a signal, and see that it ends in order."""
    temporary = folder / "temporary"
    temporary.mkdir(parents=True)
    environment = {**os.environ, "TMPDIR": str(temporary), **({} if token is None else {"ESSENTIAL_TOKEN": token})}
    log = folder / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command("serve", bundle, "--port", "0", "-s", "training.threads=1", *options),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )
    try:
        assert process.stdout is not None
        found = re.search(r"^serving at http://[^\s:]+:(\d+)/", process.stdout.readline())
        assert found, log.read_text()
        yield RunningService(process, int(found[1]), token, temporary)
        process.send_signal(end)
        assert process.wait(timeout=300) == 0, log.read_text()
        # A test kills workers, and has the reason logged if one was not ready yet.
        said = [line for line in log.read_text().splitlines() if "a worker process died (signal 9)" not in line]
        assert [said[0].partition(" ")[0], said[1].partition(";")[0]] == ["reading", "stopped"], said
        assert list(temporary.glob("pymp-*")) == []
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found
