"""The documents name configs, files and commands that there are."""

import re
from pathlib import Path

import pytest
import yaml

from documents import DOCUMENTS, ROOT, blocks
from essential import __version__
from essential.configs.shipped import shipped_configs, shipped_methods
from essential.metrics import METRICS

WITH_CHANGES = [*DOCUMENTS, ROOT / "CHANGELOG.md"]


def test_every_published_setting_has_a_row_and_every_row_a_config() -> None:
    rows = re.findall(
        r"^\| `((?:tcd|vclimb)/[\w-]+)` \|", (ROOT / "docs" / "reproduction.md").read_text(), re.MULTILINE
    )
    published = [name for name in shipped_configs() if name.startswith(("tcd/", "vclimb/"))]
    assert sorted(rows) == published
    assert len(rows) == 15


@pytest.mark.parametrize("path", WITH_CHANGES, ids=lambda path: path.name)
def test_configs_and_links_in_documents_exist(path: Path) -> None:
    text = path.read_text()
    named = set(re.findall(r"(?:--config|--protocol|show) ((?:moving-digits|own|tcd|vclimb)/[\w-]+)", text))
    assert named <= set(shipped_configs())
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (path.parent / link).exists(), link
    written_by_the_reader = {block.file for block in blocks(path)}
    for place in re.findall(r"`((?:benchmarks|tests|scripts|docs|examples|src)/[\w/]+\.\w+)`", text):
        if place in written_by_the_reader or "NAME" in place:
            continue
        assert (ROOT / place).exists(), place


def test_the_readme_says_what_every_folder_of_the_sources_is_for() -> None:
    listed = re.findall(r"^  (\w+)/ ", (ROOT / "README.md").read_text(), re.MULTILINE)
    folders = {path.parent.name for path in (ROOT / "src" / "essential").glob("*/*.py")}
    assert len(listed) == len(set(listed))
    assert set(listed) == folders


def test_methods_and_metrics_are_listed_as_they_are() -> None:
    text = (ROOT / "docs" / "methods.md").read_text()
    for name, metric in METRICS.items():
        assert f"| `{name}` | {metric.definition} | {metric.source} |" in text
    named = set(re.findall(r"`([a-z-]+)`", text))
    assert set(shipped_methods()) <= named, set(shipped_methods()) - named


def test_the_citation_is_of_this_version_and_names_the_papers() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    # What version 1.2.0 of the format requires, and the names that it knows of those used here.
    assert citation["cff-version"] == "1.2.0"
    assert citation.keys() == {
        *(
            "cff-version",
            "message",
            "type",
            "title",
            "abstract",
            "version",
            "license",
            "authors",
            "keywords",
            "references",
        )
    }
    assert (citation["type"], citation["license"], citation["version"]) == ("software", "Apache-2.0", __version__)
    for work in citation["references"]:
        assert work.keys() == {"type", "title", "authors", "conference", "year"}
        assert work["type"] == "conference-paper"
        assert isinstance(work["year"], int)
        assert work["conference"].keys() == {"name"}
        assert all(author.keys() == {"family-names", "given-names"} for author in work["authors"])
    titles = " ".join(work["title"] for work in citation["references"])
    sources = (ROOT / "README.md").read_text().split("## Sources")[1]
    for title in re.findall(r"^- (?:TCD: )?(.+?)\. [A-Z]+ \d{4}\.$", sources, flags=re.MULTILINE):
        assert title in titles


def test_every_extra_and_every_pin_is_named_once() -> None:
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    names = [re.split("==", pin)[0] for pin in pins]
    assert len(pins) == len(set(pins))
    assert names == sorted(names)
    for name in set(names):
        markers = sorted(pin.partition("; ")[2] for pin in pins if pin.startswith(f"{name}=="))
        assert markers in (
            [""],
            ['python_version < "3.11"'],
            ['python_version >= "3.11"'],
            ['python_version < "3.11"', 'python_version >= "3.11"'],
        ), name
