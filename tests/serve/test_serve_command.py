"""`essential serve` before it serves: what it refuses, and what it needs."""

import logging
import multiprocessing
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from essential.errors import ConfigError
from essential.serve import run
from essential.serve.access import access_for
from essential.serve.app import build_app
from essential.serve.messages import Limits, Setup
from essential.serve.run import most_connections, service_log
from essential.serve.service import Service
from essential.serve.uploads import upload_root
from essential.serve.worker import start_method
from in_process import Essential
from small_runs import command

SERVE = Path(sys.modules["essential.serve"].__file__ or "").parent


def _error(essential: Essential, *arguments: str | Path) -> str:
    outcome = essential("serve", *arguments)
    assert outcome.code == 2
    return outcome.err.splitlines()[-1]


def test_bundles_that_cannot_be_served_are_named(essential: Essential, tmp_path: Path) -> None:
    there = tmp_path / "there.bundle"
    there.write_bytes(b"")
    missing = tmp_path / "missing.bundle"
    said = _error(essential, missing)
    assert said.startswith(f"error: there is no bundle {missing}; begin an empty one with --encoder NAME")
    assert "for a new bundle only" in _error(essential, there, "--encoder", "tiny")
    assert "is a folder" in _error(essential, tmp_path)
    assert list(tmp_path.iterdir()) == [there]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "a.pipe"
    os.mkfifo(pipe)
    # The limit bounds a hang alone.
    done = subprocess.run(
        command("serve", pipe, "--port", "0"), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"error: {pipe} is not a file, but a pipe, a socket or a device; give a file"
    )


def test_an_address_that_is_taken_or_not_ours_is_named(essential: Essential, tmp_path: Path) -> None:
    bundle = tmp_path / "a.bundle"
    bundle.write_bytes(b"")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"cannot listen at 127.0.0.1, port {port}" in _error(essential, bundle, "--port", port)
    assert "--host of this machine" in _error(essential, bundle, "--host", "192.0.2.7", "--port", "0")


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, essential: Essential, tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.startswith("essential.serve.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    said = _error(essential, tmp_path / "a.bundle")
    assert said == (
        "error: the service needs the package uvicorn, which is not installed; install the extra: "
        "pip install 'essential-video[serve]'"
    )


def test_others_than_this_machine_need_a_token() -> None:
    assert access_for("127.0.0.1", 0, None, []).token is None
    assert access_for("::1", 0, None, []).token is None
    for host in ("0.0.0.0", "192.0.2.7", "::", "example.org"):
        token = access_for(host, 0, None, []).token
        assert token is not None
        assert len(token) >= 32
        assert access_for(host, 0, None, []).token != token
    access = access_for("0.0.0.0", 0, "x" * 16, ["proxy.example"])
    assert access.url(80).endswith(":80/")
    assert "x" * 16 not in repr(access)
    made = access_for("0.0.0.0", 0, None, [])
    assert made.token is not None
    assert made.url(80).endswith(f":80/#token={made.token}")
    assert "proxy.example" in access.hosts


@pytest.mark.parametrize("token", ["", "short", "x" * 15, "with a space inside it", "ü" * 20])
def test_weak_tokens_are_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="16 or more of letters"):
        access_for("127.0.0.1", 0, token, [])


@pytest.mark.parametrize("name", ["a.example:80", "http://a.example", "", "a b"])
def test_names_that_no_host_has_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name of a host"):
        access_for("127.0.0.1", 0, None, [name])


def test_connections_leave_files_for_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, most in ((256, 128), (1024, 896), (1 << 20, 1000), (64, 16), (resource.RLIM_INFINITY, 1000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert most_connections() == most


def test_the_log_is_not_flooded(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("tests.flood")
    with service_log():
        for number in range(500):
            logger.error("accept failed: \x1b%d", number)
        for number in range(500):
            logger.error(f"message {number}")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= 110
    assert sum("accept failed: \ufffd" in line for line in lines) == 3
    assert "(497 messages like those before were left out)" in lines


def test_limits_are_above_zero() -> None:
    with pytest.raises(ConfigError, match=r"a limit of 0 \(side\) is not allowed"):
        Limits(side=0)
    with pytest.raises(ConfigError, match="a limit of nan"):
        Limits(clip_seconds=float("nan"))


_UPLOADS = "from essential.serve.uploads import new_folder, upload_root\nwith upload_root() as root:\n"


def _with_uploads(folder: Path, line: str) -> int:
    """Do a line of Python in another process that has made a root of uploads; return its exit code."""
    program = f"import os\n{_UPLOADS}    new_folder(root)\n    {line}"
    return subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "TMPDIR": str(folder)}, check=False
    ).returncode


def test_uploads_are_private_and_go_at_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setitem(multiprocessing.current_process()._config, "tempdir", None)  # type: ignore[attr-defined]
    stranger = tmp_path / "pymp-other"
    stranger.mkdir()
    with upload_root() as first:
        assert first.stat().st_mode & 0o777 == first.parent.stat().st_mode & 0o777 == 0o700
        assert _with_uploads(tmp_path, "pass") == 0
        assert first.exists()
        assert set(tmp_path.iterdir()) == {stranger, first.parent}
    assert not list(first.parent.iterdir())
    assert stranger.exists()


def test_what_a_killed_service_left_is_removed_by_the_next(tmp_path: Path) -> None:
    assert _with_uploads(tmp_path, "os.kill(os.getpid(), 9)") == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert len(list(left.iterdir())) == 2
    assert _with_uploads(tmp_path, "pass") == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("moment", ["start", "announce"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_at_any_moment_of_its_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    def end(*_: object) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setitem(multiprocessing.current_process()._config, "tempdir", None)  # type: ignore[attr-defined]
    monkeypatch.setattr(Service, "start", end if moment == "start" else lambda _: None)
    monkeypatch.setattr(run, "_answer", lambda *_: pytest.fail("it serves"))
    (tmp_path / "a.bundle").touch()
    before = signal.getsignal(number)
    run.serve(Setup(tmp_path / "a.bundle", (), None, Limits()), access_for("127.0.0.1", 0, None, []), announce=end)
    assert signal.getsignal(number) is before
    assert not list(tmp_path.glob("pymp-*/*"))


def test_a_long_name_of_the_temporary_folder_changes_how_processes_start() -> None:
    assert start_method(Path("/tmp")) == "forkserver"
    assert start_method(Path("/tmp") / ("x" * 100)) == "spawn"


def test_the_web_process_loads_nothing_heavy() -> None:
    tell = "import sys, essential.serve.run; print([n for n in ('torch', 'numpy', 'av', 'PIL') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", tell], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system has no /proc")
def test_a_worker_has_so_much_memory_and_no_more() -> None:
    tell = (
        "from essential.engine.allocator import limit_memory\nlimit_memory(50_000_000)\nfine = bytes(20_000_000)\n"
        "try:\n    bytes(200_000_000)\nexcept MemoryError:\n    print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", tell], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system has no /proc")
def test_memory_that_is_kept_can_be_given_back() -> None:
    tell = (
        "from essential.engine.allocator import give_back_freed_memory, keep_freed_memory, resident_bytes\n"
        "keep_freed_memory()\nbefore = resident_bytes()\nparts = [b'x' * 10**7 for _ in range(20)]\n"
        "end = bytes(100)\ndel parts\nkept = resident_bytes() - before\ngive_back_freed_memory()\n"
        "print(kept > 150e6, resident_bytes() - before < 50e6)"
    )
    done = subprocess.run([sys.executable, "-c", tell], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


def test_the_page_of_the_api_names_every_path_and_every_code(tmp_path: Path) -> None:
    text = (SERVE / "page" / "api.html").read_text(encoding="utf-8")
    setup = Setup(tmp_path / "a.bundle", (), None, Limits())
    operations = [
        (method.upper(), path)
        for path, methods in build_app(Service(setup, tmp_path)).openapi()["paths"].items()
        for method in methods
    ]
    assert len(operations) == 12
    assert re.findall(r"<dt>(\w+) (\S+)</dt>", text) != []
    assert sorted(re.findall(r"<dt>(\w+) (\S+)</dt>", text)) == sorted(operations)
    source = "".join(path.read_text(encoding="utf-8") for path in sorted(SERVE.rglob("*.py")))
    codes = set(re.findall(r'Refusal\(\s*\d+,\s*"([a-z_]+)"', source))
    assert len(codes) >= 25
    assert codes - {"internal"} <= set(re.findall(r"<code>([a-z_]+)</code>", text))
