"""What a newcomer meets first: help, version, and messages about wrong usage."""

import re

import pytest

from in_process import Essential
from small_runs import run_command

OPTIONS = {
    "demo": {"--out", "--seed", "--compare"},
    "train": {"--config", "--method", "--out", "--seed", "--resume", "--watch", "--tensorboard", "--wandb", "--set"},
    "compare": {
        "--config",
        "--methods",
        "--seeds",
        "--budgets",
        "--out",
        "--engine",
        "--address",
        "--workers",
        "--set",
    },
    "extract": {"--config", "--store", "--shard", "--engine", "--address", "--workers", "--set"},
    "evaluate": {"--set"},
    "import-checkpoint": {"--config", "--out", "--temporal-embedding", "--set"},
    "report": {"--figures", "--out", "--unverified"},
    "site": {"--out", "--unverified"},
    "memory": set(),
    "learn": {
        "--into",
        "--videos",
        "--spans",
        "--window",
        "--frame-rate",
        "--encoder",
        "--method",
        "--budget-bytes",
        "--config",
        "--held-out",
        "--more-of-known",
        "--describe",
        "--set",
    },
    "predict": {"--format", "--top-k", "--window", "--stride", "--shortest", "--sheet", "--camera", "--every", "--set"},
    "test": {
        "--format",
        "--page",
        "--window",
        "--stride",
        "--shortest",
        "--overlap",
        "--videos",
        "--frame-rate",
        "--set",
    },
    "classes": set(),
    "rename": {"--merge"},
    "forget": {"--set"},
    "export": {"--out", "--from", "--set"},
    "serve": {
        *("--encoder", "--host", "--port", "--token", "--allow-host"),
        *("--max-mb", "--max-seconds", "--max-side", "--time-limit", "--set"),
    },
    "data": set(),
    "data make": {"--out", "--digits", "--train-clips", "--test-clips", "--seed"},
    "data import": {"--out"},
    "data audit": set(),
    "data check": {"--protocol", "--root", "--list", "--out", "--set"},
    "features": set(),
    "features import": {"--out"},
    "features merge": {"--into"},
    "configs": set(),
    "configs show": set(),
}


def test_help_names_every_command_and_where_to_start(essential: Essential) -> None:
    outcome = essential("--help")
    assert outcome.code == 0
    listed = re.findall(r"^  ([\w-]+) +[A-Z]", outcome.out.split("Commands:")[1], flags=re.MULTILINE)
    assert listed == [
        *("demo", "train", "compare", "extract", "evaluate", "import-checkpoint"),
        *("report", "site", "memory", "learn", "predict", "test", "classes", "rename", "forget", "export", "serve"),
        *("data", "features", "configs"),
    ]
    assert "Start with: essential demo" in outcome.out


def test_the_list_of_commands_fits_into_a_terminal() -> None:
    listed = run_command("--help", COLUMNS="80").stdout.partition("\nCommands:\n")[2].splitlines()
    assert len(listed) == 20
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)


@pytest.mark.parametrize("command", OPTIONS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    result = run_command(*command.split(), "--help", COLUMNS="80")
    assert result.returncode == 0, result.stderr
    assert re.search(rf"Examples?:\n(.*\n)*? +essential {command}", result.stdout), result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert not [line for line in result.stdout.partition("\nCommands:")[2].splitlines() if line.endswith("...")]
    # Options are added on purpose: this list is part of what users rely on.
    declared = result.stdout.split("\nOptions:")[1]
    assert set(re.findall(r"^  (?:-s, )?(--[a-z-]+)", declared, flags=re.MULTILINE)) == OPTIONS[command] | {"--help"}


def test_a_long_example_can_be_copied_line_by_line(essential: Essential) -> None:
    example = (
        "essential train --out runs/mine \\\n        -s data.kind=features -s data.path=STORE -s protocol.tasks=4\n"
    )
    assert example in essential("train", "--help").out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'?"),
        (["extract", "--store", "x"], "Missing option '--config'"),
        (["train", "--config", "x"], "Missing option '--out'"),
        (["demo", "--seed", "-1"], "Invalid value for '--seed': '-1': Input should be greater than or equal to 0"),
        (["demo", "--seed", "few"], "Invalid value for '--seed': 'few': Input should be a valid integer"),
        (["predict", "b", "--window", "0"], "Invalid value for '--window': '0': Input should be greater than"),
        (["predict", "b", "--format", "xml"], "Invalid value for '--format': 'xml' is not one of 'table', 'jsonl'"),
        (["demo", "--sed", "1"], "No such option: --sed"),
        (["data", "make", "moving-digit", "--out", "x"], "'moving-digit' is not one of 'moving-digits', "),
        (["data", "make", "moving-digits", "--out", "x", "--digits", "11"], "Invalid value for '--digits': '11': "),
        (
            ["data", "make", "moving-digits", "--out", "x", "--test-clips", "10000"],
            "Invalid value for '--test-clips': '10000': ",
        ),
        (["compare", "--methods", "joint"], "Missing option '--out'"),
        (["compare", "--out", "x", "--budgets", "0"], "budgets: '0' is no size in bytes"),
        (["memory"], "Missing argument 'RUN|BUNDLE'"),
        (["report"], "Missing argument 'RUN'"),
        (["site", "runs"], "Missing option '--out'"),
    ],
)
def test_wrong_usage_is_named(arguments: list[str], expected: str, essential: Essential) -> None:
    outcome = essential(*arguments)
    assert outcome.code == 2
    assert expected in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("arguments", [[], ["data"]])
def test_without_a_command_there_is_help(arguments: list[str], essential: Essential) -> None:
    outcome = essential(*arguments)
    assert outcome.code == 2
    assert "Commands:" in outcome.err + outcome.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "--out", "s3://bucket/run"], "--out s3://... is an address, and a path is expected"),
        (["features", "merge", "--into=gs://bucket/store", "part"], "--into gs://... is an address"),
        (["predict", "a.bundle", "https://user:word@host/v.mp4"], "error: https://... is an address"),
        (["train", "--out", "x", "-s", "data.root=s3://bucket"], "root is given an address, and takes a path here"),
    ],
)
def test_an_address_in_the_place_of_a_path(words: list[str], says: str) -> None:
    found = run_command(*words)
    assert (found.returncode, "Traceback" in found.stderr, "word@" in found.stderr) == (2, False, False)
    assert says in found.stderr
