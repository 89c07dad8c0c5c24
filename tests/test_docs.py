"""The documents name configs, files and commands that there are."""

import re
from pathlib import Path

import pytest

from essential.metrics import METRICS
from essential.shipped import shipped_configs, shipped_methods
from small_runs import run_command

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _commands(path: Path) -> list[list[str]]:
    """Return the words of every `essential` command that a document shows."""
    lines = "\n".join(_FENCE.findall(path.read_text())).replace("\\\n", " ").splitlines()
    return [line.split("#")[0].split() for line in lines if line.startswith("essential ")]


def test_every_published_setting_has_a_row_and_every_row_a_config() -> None:
    rows = re.findall(
        r"^\| `((?:tcd|vclimb)/[\w-]+)` \|", (ROOT / "docs" / "reproduction.md").read_text(), re.MULTILINE
    )
    published = [name for name in shipped_configs() if name.startswith(("tcd/", "vclimb/"))]
    assert sorted(rows) == published
    assert len(rows) == 15


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_configs_and_links_in_documents_exist(path: Path) -> None:
    text = path.read_text()
    named = set(re.findall(r"(?:--config|--protocol|show) ((?:moving-digits|own|tcd|vclimb)/[\w-]+)", text))
    assert named <= set(shipped_configs())
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (path.parent / link).exists(), link
    written_by_the_reader = re.findall(r"`([\w/.]+)`:\n\n```", text)
    for place in re.findall(r"`((?:benchmarks|tests|scripts|docs)/[\w/]+\.\w+)`", text):
        if place in written_by_the_reader:
            continue
        assert (ROOT / place).exists(), place


def test_every_command_in_the_documents_is_one_with_its_options() -> None:
    shown = [words for path in DOCUMENTS for words in _commands(path)]
    assert len(shown) >= 20
    commands = {tuple(word for word in words[1:3] if re.fullmatch(r"[a-z][a-z-]+", word)) for words in shown}
    helps = {command: run_command(*command, "--help") for command in commands}
    assert [command for command, result in helps.items() if result.returncode] == []
    for words in shown:
        command = tuple(word for word in words[1:3] if re.fullmatch(r"[a-z][a-z-]+", word))
        for option in (word for word in words if re.fullmatch(r"--[a-z-]+|-s", word)):
            assert re.search(rf"(?<![\w-]){option}\b", helps[command].stdout), (words, option)


def test_methods_and_metrics_are_listed_as_they_are() -> None:
    text = (ROOT / "docs" / "methods.md").read_text()
    for name, metric in METRICS.items():
        assert f"| `{name}` | {metric.definition} | {metric.source} |" in text
    named = set(re.findall(r"`([a-z-]+)`", text))
    assert set(shipped_methods()) <= named, set(shipped_methods()) - named
