"""The fault sweep: a command, and a fault at each of its calls in turn that change the disk.

After each fault: no traceback, exit code 2 or, where the fault hit a mere note, 0. Then the same command once more,
without a fault, succeeds, gives what an undisturbed one gives, and leaves nothing else behind. Where the fault came
after the work was done, the command may say so instead: a class that is forgotten cannot be forgotten again.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from faults.injection import KINDS, Injector

Contents = dict[str, str]


@dataclass(frozen=True)
class Command:
    """What is swept.

    Attributes:
        name: of it.
        words: the command line, run in the folder.
        prepare: makes what the command needs in a new folder.
        once: whether the command is refused when its work is done.
        lighten: called in the process of the command, before it.
    """

    name: str
    words: tuple[str, ...]
    prepare: Callable[[Path], None]
    once: bool = False
    lighten: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Ended:
    """How a command line ended in a process of its own; `signal.SIGKILL` counts as -9."""

    code: int
    printed: str


@dataclass(frozen=True)
class Fault:
    """One injected fault: at which call, of which kind, and what was wrong after it; nothing if all was right."""

    number: int
    call: str
    kind: str
    wrong: tuple[str, ...]


def sweep(
    command: Command, folder: Path, *, kinds: Iterable[str] = KINDS, part: slice = slice(None)
) -> Iterator[Fault]:
    """Inject a fault of each kind at each call of the command in turn, and give what came of it.

    Args:
        command: what to run.
        folder: where it is run, again and again; made.
        kinds: of faults.
        part: of the calls; all.
    """
    start, work = folder / "start", folder / "work"
    start.mkdir(parents=True)
    command.prepare(start)
    _import_what_it_imports(command, _copied(start, work), folder)
    calls, expected = _undisturbed(command, _copied(start, work), folder)
    for number in range(1, len(calls) + 1)[part]:
        for kind in kinds:
            injector = Injector(_copied(start, work), number, kind)
            wrong = [*_after_fault(kind, run(command, work, folder, injector=injector))]
            kept = contents(work)
            wrong += _after_repetition(command, run(command, work, folder), kept, contents(work), expected)
            yield Fault(number, calls[number - 1], kind, tuple(wrong))


def _import_what_it_imports(command: Command, work: Path, folder: Path) -> None:
    """Import the modules that the command does, so that the processes that are forked from here need not."""
    names = folder / "modules"
    ended = run(command, work, folder, at_end=lambda: names.write_text("\n".join(sorted(sys.modules))))
    assert ended.code == 0, ended.printed
    for name in names.read_text().split():
        if name not in sys.modules and name.partition(".")[0] != "__main__":
            try:
                __import__(name)
            except ImportError:
                continue


def _undisturbed(command: Command, work: Path, folder: Path) -> tuple[list[str], Contents]:
    note = folder / "calls"
    injector = Injector(work, 0, "kill")
    ended = run(command, work, folder, injector=injector, at_end=lambda: note.write_text(json.dumps(injector.calls)))
    assert ended.code == 0, ended.printed
    calls: list[str] = json.loads(note.read_text())
    return calls, contents(work)


def _after_fault(kind: str, ended: Ended) -> Iterator[str]:
    if "Traceback" in ended.printed:
        yield f"a traceback: {ended.printed}"
    allowed = (-signal.SIGKILL,) if kind == "kill" else (0, 2)
    if ended.code not in allowed:
        yield f"exit code {ended.code}: {ended.printed}"
    if ended.code == 2 and len(re.findall("^error: ", ended.printed, re.MULTILINE)) != 1:
        yield f"not one message: {ended.printed}"


def _after_repetition(
    command: Command, ended: Ended, kept: Contents, now: Contents, expected: Contents
) -> Iterator[str]:
    # The file of a killed process's lock is there until the next command takes the lock.
    done = {name: content for name, content in kept.items() if not name.endswith(".lock")} == expected
    if ended.code != 0 and not (command.once and done and "Traceback" not in ended.printed):
        yield f"repeated, it ended with {ended.code}: {ended.printed}"
    yield from (f"left over: {name}" for name in sorted(now.keys() - expected.keys()))
    yield from (f"missing: {name}" for name in sorted(expected.keys() - now.keys()))
    yield from (f"another content: {name}" for name in sorted(now) if now[name] != expected.get(name, now[name]))


def run(
    command: Command,
    work: Path,
    folder: Path,
    *,
    injector: Injector | None = None,
    at_end: Callable[[], object] = lambda: None,
) -> Ended:
    """Run a command in a process that is forked for it; what it prints goes through `folder`."""
    printed = folder / "printed"
    child = os.fork()
    if not child:
        _be_the_command(command, work, printed, injector, at_end)
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), printed.read_text())


def _be_the_command(
    command: Command, work: Path, printed: Path, injector: Injector | None, at_end: Callable[[], object]
) -> NoReturn:
    code = 1
    try:
        handle = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout = sys.stderr = os.fdopen(handle, "w", buffering=1)
        os.chdir(work)
        sys.argv = ["essential", *command.words]
        command.lighten()
        if injector:
            injector.install()
        from essential.cli import main

        main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
        at_end()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def contents(folder: Path) -> Contents:
    """Return what every file holds, as a hash; of those with times in them, what does not change from run to run."""
    return {str(path.relative_to(folder)): _content(path) for path in sorted(folder.rglob("*"))}


def _content(path: Path) -> str:
    if path.is_dir() or path.name in _ONLY_THERE or "lock" in path.name:
        return ""
    content = path.read_bytes()
    if path.name == "record.json":
        record = json.loads(content)
        content = json.dumps({key: value for key, value in record.items() if key not in _OF_TIMES}).encode()
    return hashlib.sha256(content).hexdigest()


# Derived from the stamps of files; or with times in them.
_ONLY_THERE = {
    *(".index", "state.safetensors", "log.jsonl", "report.html"),
    *(f"compare.{kind}" for kind in ("html", "tex", "md", "csv", "json")),
}
# What a record says of times, and its digest.
_OF_TIMES = ("seconds", "sha256")


def _copied(start: Path, work: Path) -> Path:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(start, work)
    return work


def table(name: str, faults: Iterable[Fault]) -> tuple[str, list[Fault]]:
    """Return a line that counts the faults by kind, and those after which something was wrong."""
    all_of_them = list(faults)
    counts = Counter(fault.kind for fault in all_of_them)
    calls = len({fault.number for fault in all_of_them})
    wrong = [fault for fault in all_of_them if fault.wrong]
    kinds = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    return f"{name}: {calls} calls, {len(all_of_them)} faults ({kinds}), {len(wrong)} wrong", wrong
