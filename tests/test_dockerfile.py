"""The image of the service, as far as it can be checked without an engine that builds it."""

import json
import re
import shlex
from fnmatch import fnmatch
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from documents import ROOT, parsed

_LINES = re.sub(r"\\\n", "", re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text())).splitlines()
INSTRUCTIONS = [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in _LINES if line]
STAGES = [place for place, (kind, _) in enumerate(INSTRUCTIONS) if kind == "FROM"]
LAST = INSTRUCTIONS[STAGES[-1] :]


def _only(kind: str, instructions: list[tuple[str, str]]) -> str:
    (found,) = (text for name, text in instructions if name == kind)
    return found


def _command() -> list[str]:
    program, *rest = [*json.loads(_only("ENTRYPOINT", LAST)), *json.loads(_only("CMD", LAST))]
    assert program == "essential"
    return rest


def test_what_is_copied_is_there_and_is_sent_to_the_builder() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*", "only what is named is sent"
    copied = [shlex.split(text)[:-1] for kind, text in INSTRUCTIONS if kind == "COPY" and "--from=" not in text]
    names = {name for names in copied for name in names}
    assert names == {"constraints.txt", "pyproject.toml", "src/essential/version.py", "README.md", "LICENSE", "src"}
    for name in names:
        assert (ROOT / name).exists(), name
        assert any(fnmatch(name.partition("/")[0], rule[1:]) for rule in rules if rule[0] == "!"), name


def test_stages_are_copied_from_that_there_are() -> None:
    named = [re.fullmatch(r".* AS (\w+)", INSTRUCTIONS[place][1]) for place in STAGES]
    stages = {match[1] for match in named if match}
    assert set(re.findall(r"--from=(\w+)", "\n".join(text for _, text in INSTRUCTIONS))) == stages


def test_it_runs_the_service_for_others_than_this_machine() -> None:
    given = parsed(_command())
    assert given["host"] == "0.0.0.0"
    assert given["token"] is None, "the user's, or a generated one: none is in the image"
    assert not given["bundle"].is_absolute(), "it is in the folder that lasts"
    assert _only("EXPOSE", LAST) == str(given["port"])


def test_it_asks_after_its_health_where_no_token_is_needed() -> None:
    from essential.serve.access import _OPEN_PATHS

    program, option, code = json.loads(_only("HEALTHCHECK", LAST).partition(" CMD ")[2])
    assert (program, option) == ("python", "-c")
    compile(code, "the health check", "exec")
    (address,) = re.findall(r"'(http://[^']+)'", code)
    assert urlsplit(address).port == parsed(_command())["port"]
    assert urlsplit(address).path in _OPEN_PATHS


def test_it_is_a_user_whose_folder_lasts() -> None:
    user = _only("USER", LAST)
    assert user not in ("root", "0")
    kinds = [kind for kind, _ in LAST]
    assert kinds.index("USER") < kinds.index("CMD")
    folder = _only("VOLUME", LAST)
    assert _only("WORKDIR", LAST) == folder
    assert f"HOME={folder}" in _only("ENV", LAST).split()
    made = _only("RUN", LAST)
    assert f"--home-dir {folder} {user}" in made
    assert f"install -d -o {user} -g {user} {folder}" in made, "a new volume is a copy of it, owner and all"


def test_python_and_pins_are_those_of_the_project() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    (wanted,) = re.findall(r'(?m)^requires-python = "(.+)"$', project)
    (version,) = re.findall(r"python:(\d+\.\d+)-slim", _only("ARG", INSTRUCTIONS[: STAGES[0]]))
    assert version in SpecifierSet(wanted)
    installs = [
        line for kind, text in INSTRUCTIONS if kind == "RUN" for line in text.split("&&") if "pip install" in line
    ]
    assert all("-c constraints.txt" in line or "--no-deps" in line for line in installs)
    (extra,) = re.findall(r"'\.\[(\w+)\]'", " ".join(installs))
    assert re.search(rf"(?m)^{extra} = \[", project)
    pins = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:1] not in "#"]
    # A build for CPUs has the same number and a mark behind it, so the pins hold for both.
    assert {"torch", "torchvision", "fastapi", "uvicorn", "pip", "setuptools"} <= {pin.name for pin in pins}
