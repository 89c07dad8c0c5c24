"""Every command line and all Python in the documents is run, in the order in which a reader would type it."""

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

import essential.api.planned_runs

# Here, before anything is made smaller: what is imported later would keep the stand-in.
import essential.authors.import_run
import essential.engine.config
import essential.learner.bundle
from documents import DOCUMENTS, Block, blocks, essential_commands, parsed, words
from in_process import Essential
from small_runs import run_command
from small_world import World, cache, load_smaller_config

# What a test cannot run, by its beginning, and why. What it asks of `essential` is parsed all the same.
NOT_RUN: Mapping[str, str] = {
    "make ": "continuous integration runs the project's own test command, which is one of these",
    ".venv/bin/": "checks of the project by itself",
    "pip install": "installs from a package index; `test_wheel.py` installs what this project builds",
    "torchrun --nproc-per-node 2": "starts two processes; `end_to_end/test_ranks.py` does the same",
    "torchrun --nnodes 2": "needs two machines",
    "ray get-auth-token": "makes a token in the reader's home folder",
    "export RAY_AUTH_MODE": "a variable of the reader's shell",
    "ray start": "starts a cluster that lives on; `engine/test_ray_commands.py` has one of its own",
    "essential extract --config own/essential --store /shared/features/mine --engine ray": "the same",
    "essential compare --config own --methods essential,icarl,slda": "the same",
    "essential predict actions.bundle --camera": "needs a camera; `cli/test_predict_camera.py` has another",
    "essential serve": "a server that runs until it is stopped; `tests/serve` runs it",
    "ESSENTIAL_TOKEN=... essential serve": "the same",
    "curl ": "asks the server; `tests/serve` asks all that there is",
    "docker ": "needs an engine; `test_dockerfile.py` checks what can be checked without one",
    "export ESSENTIAL_TOKEN": "a variable of the reader's shell",
    "essential export": "takes seconds; `tests/export/test_export.py` does it, in both forms",
    "python examples/use_onnx.py": "`tests/export/test_export.py` runs it",
    "tensorboard --logdir": "a server that runs until it is stopped; `test_tracking.py` reads what it would show",
    "essential train --config tcd/ssv2-10x9": "needs the weights of the authors' temporal adapters",
    "pip install -e . && pytest": "needs the method of the page; `test_add_a_method.py` runs it",
    "essential train --config moving-digits/essential --method gdumb": "`test_add_a_method.py` adds it, and runs this",
    "essential compare --methods essential,replay,gdumb": "needs the same method",
    "essential learn --into words.bundle": "needs CLIP; `end_to_end/test_words_end_to_end.py` does it with a small one",
    "essential compare --config own --methods spectral,words": "the same",
    "essential train --method words": "the same",
    "essential train --config diving48": "`test_add_a_benchmark.py` adds it, and runs this",
    "essential data check --protocol diving48": "the same",
}
# Scripts for a cluster, by the document, and the reason.
NOT_RUN_SCRIPTS: Mapping[str, str] = {"docs/clusters.md": "jobs of SLURM, which is not here"}
# What takes seconds and is run for another document already.
RUN_FOR: Mapping[tuple[str, str], str] = {
    ("docs/your-own-clips.md", "essential compare --config own --methods icarl"): "docs/methods.md",
    ("docs/reproduce-a-row.md", "essential train --config vclimb/ucf101-20"): "docs/datasets.md",
    ("docs/reproduction.md", "essential train --config vclimb/ucf101-20"): "docs/datasets.md",
}
# Long lists, and what stands for them here.
SHORTER: Mapping[tuple[str, str], str] = {
    ("--methods", "all"): "essential,icarl-tc,slda-temporal",
    ("--seeds", "0,1,2"): "0",
    ("--seeds", "0,1,2,3,4"): "0",
    ("--budgets", "64KiB,150KiB,512KiB"): "64KiB,512KiB",
}
# Commands whose page is made by `essential report` as well, which is run as it is.
WITHOUT_PAGE = frozenset({"train", "demo"})
_SH = {"sh", "bash"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
def place(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the reader's working folder; configs are small from here on."""
    for name, value in cache(world.folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("essential.api.compare.runs_at_once", lambda _: 1)
    for module in (essential.engine.config, essential.api.planned_runs, essential.learner.bundle):
        monkeypatch.setattr(module, "load_config", load_smaller_config)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _why_not(block: Block, line: str) -> str | None:
    if block.is_script:
        return NOT_RUN_SCRIPTS.get(block.document)
    for (document, start), other in RUN_FOR.items():
        if block.document == document and line.startswith(start):
            return f"{other} has it, too"
    return next((reason for start, reason in NOT_RUN.items() if line.startswith(start)), None)


def _run(line: str, command_line: Essential, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command line: `essential` inside this process, anything else as it is; `|` and `>` as in a shell."""
    rest, given = words(line), ""
    target = None
    if ">" in rest:
        at = rest.index(">")
        rest, target = rest[:at], Path(rest[at + 1])
    while rest:
        at = rest.index("|") if "|" in rest else len(rest)
        command, rest = rest[:at], rest[at + 1 :]
        if command[:2] == ["essential", "configs"]:
            # In here the types of every call are checked, and typer's stand for each other.
            given = run_command(*command[1:]).stdout
        elif command[0] == "essential":
            with monkeypatch.context() as quick:
                quick.setattr(sys, "stdin", io.StringIO(given))
                if command[1] in WITHOUT_PAGE:
                    quick.setattr("essential.cli.runs.analysis_of", lambda *_, **__: None)
                    quick.setattr("essential.report.write_report", lambda _, path: path.write_text("a page"))
                outcome = command_line(*_shorter(command[1:]))
            assert outcome.code == 0, (line, outcome.err[-2000:])
            assert "Traceback" not in outcome.err
            given = outcome.out
        else:
            given = subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout
    if target is not None:
        assert given
        target.write_text(given)


def _shorter(arguments: list[str]) -> list[str]:
    if arguments[0] == "compare" and "--seeds" not in arguments:
        arguments = [*arguments, "--seeds", "0,1,2"]
    pairs = zip(["", *arguments], arguments, strict=False)
    return [SHORTER.get((before, argument), argument) for before, argument in pairs]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_the_document_says_to_type_works(
    document: Path, world: World, place: Path, essential: Essential, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [block for block in blocks(document) if block.file is None]
    lines = [
        (block, line)
        for block in found
        if block.language in _SH
        for _, line in block.lines
        if not _why_not(block, line)
    ]
    to_run = "\n".join(line for _, line in lines)
    python = "\n".join(block.text for block in found if block.language == "python")
    world.furnish(place, f"{to_run}\n{python}")
    names: dict[str, object] = {"__name__": "__main__"}
    for block in found:
        where = f"{block.document}:{block.line}"
        if block.language == "python":
            exec(compile(block.text, where, "exec"), names)
        elif block.language in _SH:
            for number, line in block.lines:
                if not _why_not(block, line):
                    try:
                        _run(line, essential, monkeypatch)
                    except Exception as error:
                        raise AssertionError(f"{block.document}:{number}: {line}\n{error}") from error
    assert not [path for path in place.rglob("*.tmp")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_cannot_be_run_here_is_at_least_understood(document: Path) -> None:
    for block in blocks(document):
        for number, line in block.lines if block.language in _SH else ():
            for arguments in essential_commands(line):
                try:
                    parsed(arguments)
                except Exception as error:
                    raise AssertionError(f"{block.document}:{number}: {line}\n{error}") from error


@pytest.mark.parametrize(
    "wrong", ["train --outt x", "train --out x --seed x", "trian --out x", "data check", "predict", "data imort x"]
)
def test_parsing_finds_what_is_wrong(wrong: str) -> None:
    with pytest.raises(Exception, match=r"(?i)no such|missing|invalid|valid integer"):
        parsed(wrong.split())


def test_all_that_is_not_run_is_there_and_most_is_run() -> None:
    shown = [
        (block, line)
        for document in DOCUMENTS
        for block in blocks(document)
        if block.language in _SH
        for _, line in block.lines
    ]
    skipped = [(block, line) for block, line in shown if _why_not(block, line)]
    for start in NOT_RUN:
        assert any(line.startswith(start) for _, line in skipped), f"no document says {start!r} any more"
    run = {(block.document, line) for block, line in shown if not _why_not(block, line)}
    for (document, start), other in RUN_FOR.items():
        assert any(block.document == document and line.startswith(start) for block, line in skipped)
        assert any(where == other and line.startswith(start) for where, line in run)
    assert {block.document for block, _ in skipped if block.is_script} == set(NOT_RUN_SCRIPTS)
    typed = [line for block, line in shown if not block.is_script]
    not_run = [line for block, line in skipped if not block.is_script]
    assert len(typed) >= 80
    # As many as there are now: who writes one more into a document decides here that it is not run.
    assert len(not_run) <= 57
    of_ours, ours_not_run = (sum(line.startswith("essential ") for line in lines) for lines in (typed, not_run))
    assert 6 * ours_not_run <= of_ours


def test_nobody_keeps_the_small_configs() -> None:
    modules = [module for name, module in sys.modules.items() if name.startswith("essential")]
    assert len(modules) > 50
    assert not [each.__name__ for each in modules if getattr(each, "load_config", None) is load_smaller_config]


def test_json_and_yaml_that_are_shown_are_well_formed() -> None:
    readers = {"json": json.loads, "yaml": yaml.safe_load, "csv": str.splitlines, "toml": str.splitlines}
    shown = [block for document in DOCUMENTS for block in blocks(document)]
    assert {block.language for block in shown} <= {"", "sh", "bash", "python", *readers}
    for block in shown:
        if block.language in readers:
            assert readers[block.language](block.text), f"{block.document}:{block.line}"
