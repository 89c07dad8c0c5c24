"""The documents as a site: it builds without a warning, its links lead somewhere, it loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from documents import ROOT

# What a browser loads by itself, by the attribute that says where from. An `a` is followed by its reader alone.
_LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}


@dataclass
class _Page(HTMLParser):
    """Names, links and what is loaded of one page."""

    names: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.names.add(values.get("id", ""))
        self.classes.update(values.get("class", "").split())
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if _LOADED.get(tag) in values:
            self.loaded.append(values[_LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "pages"
    # Their banner about their next program is not about ours.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    arguments = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    result = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stdout + result.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    found = {}
    for path in site.rglob("*.html"):
        found[path] = _Page()
        found[path].feed(path.read_text())
    return found


def _named_in(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [name for part in (nav.values() if isinstance(nav, dict) else nav) for name in _named_in(part)]  # type: ignore[attr-defined]


def test_every_document_is_a_page_that_the_menu_names(pages: dict[Path, _Page]) -> None:
    documents = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    assert len(documents) >= 16
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert sorted(_named_in(menu)) == documents
    assert {path.stem for path in pages} == {name.removesuffix(".md") for name in documents} | {"404"}


def test_every_link_leads_to_a_page_and_a_place_on_it(pages: dict[Path, _Page]) -> None:
    followed = 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            # That of an unknown address does not know how deep it lies.
            if parts.scheme or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), (path.name, link)
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].names, (path.name, link)
            followed += 1
    assert followed > 300


def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[Path, _Page]) -> None:
    loaded = [(path.name, place) for path, page in pages.items() for place in page.loaded]
    assert len(loaded) > 50
    assert [(name, place) for name, place in loaded if urlsplit(place).netloc] == []
    sheets = [path.read_text() for path in site.rglob("*.css")]
    assert len(sheets) >= 2
    assert [
        place for sheet in sheets for place in re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)\s]*", sheet)
    ] == []
    # The theme's script fetches these two, where a page has them.
    assert all("mermaid" not in page.classes for page in pages.values())
    assert all("md-source" not in page.classes for page in pages.values())


def test_the_interface_is_described(pages: dict[Path, _Page]) -> None:
    (api,) = (page for path, page in pages.items() if path.name == "api.html")
    for name in (
        "learner.video_learner.VideoLearner.learn",
        "learner.prediction.Prediction.unknown",
        "learner.prediction.Span",
        "learner.bundle.Lesson",
        "methods.contract.Method.losses",
        "records.Record.coverage",
    ):
        assert f"essential.{name}" in api.names
