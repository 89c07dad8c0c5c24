"""The site in a real browser: sorting, filtering, links, width, light and dark, from a disk and from a web server."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from made_sites import HOSTILE, PUBLISHED, made_found, many_found

from chromium import Page
from essential.published import published_for
from essential.site import Findings, write_site

LONG = f"essential:{'x' * 90}"
OURS = ["joint", "essential", "icarl", "icarl", HOSTILE, LONG, "finetune"]
PHONE_WIDTH = 390
SORTED = "document.querySelectorAll('[aria-sort]').length"
NAMES = """[...document.querySelectorAll(".board tbody tr")]
  .filter((row) => !row.hidden && row.getClientRects().length).map((row) => row.querySelector("bdi").textContent)"""
WIDE = """[...document.body.querySelectorAll("*")]
  .filter((each) => !each.closest(".scroll, .unseen") && each.getBoundingClientRect().right > WIDTH + 0.5)
  .map((each) => each.outerHTML.slice(0, 80))""".replace("WIDTH", str(PHONE_WIDTH))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a site."""
    folder = tmp_path_factory.mktemp("top") / "some" / "where"
    long = made_found(LONG, 0, 0.3, label="a/very/long/" + "label" * 30)
    write_site(Findings((*many_found(), long), 0), folder)
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Serve the site some folders below the top, and return its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site.parents[1])))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/some/where"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def board(site: Path) -> str:
    """The address, below the site, of the board with most of the runs."""
    found = (site / "protocols").glob(f"{PUBLISHED}-*/index.html")
    [path] = [path for path in found if ">joint</bdi></a>" in path.read_text()]
    return str(path.relative_to(site))


@pytest.fixture
def page(browser: Page) -> Iterator[Page]:
    """A page, of which the browser has nothing to say."""
    browser.look_like(width=1280, dark=False)
    browser.console.clear()
    browser.requested.clear()
    yield browser
    assert browser.console == []


def _seen(page: Page) -> tuple[list[str], str, str]:
    """Return the names in the rows that are shown, what the address says of them, and what is told of them."""
    return page.run(NAMES), page.run("location.search"), page.run("document.querySelector('.status').textContent")


def _sort(page: Page, key: str) -> str:
    """Press a column's head; return how the table is sorted by it."""
    head = f"document.querySelector('[data-key={key}]')"
    return str(page.run(f"{head}.querySelector('button').click(), {head}.getAttribute('aria-sort')"))


def test_sorting_finding_and_resetting_by_mouse_and_their_addresses(address: str, board: str, page: Page) -> None:
    page.open(f"{address}/{board}")
    assert page.run(NAMES)[:7] == OURS
    assert page.run(SORTED) == 0
    assert _sort(page, "method") == "ascending"
    by_name = [HOSTILE, "essential", LONG, "finetune", "icarl", "icarl", "joint"]
    names, *told = _seen(page)
    assert (names[:7], told) == (by_name, ["?sort=method", "31 of 31 rows, by “Method”, rising."])
    assert names[7:] == sorted(names[7:], key=str.lower), "what was published is sorted too, and stays behind"
    assert _sort(page, "method") == "descending"
    assert (page.run(NAMES)[:7], page.run(SORTED)) == (by_name[::-1], 2)
    assert _sort(page, "forgetting_from_best") == "ascending", "the least forgetting first"
    assert page.run(SORTED) == 1, "nobody has published it"
    _sort(page, "average_incremental_accuracy_nme")
    nme = [each for each in published_for(PUBLISHED) if each.metric == "average_incremental_accuracy_nme"]
    falling = [each.method for each in sorted(nme, key=lambda each: each.value or 0, reverse=True)]
    names, *_ = _seen(page)
    assert names[:7] == OURS
    assert names[7 : 7 + len(nme)] == falling
    assert falling[:3] == ["Oracle (joint)", "HCE", "FrameMaker"]
    assert len(names) == 31, "those without the figure stand behind"
    page.run("document.querySelector('[type=search]').focus()")
    page.type("tcd SECOND-hand")
    assert _seen(page)[:2] == (["TCD"], "?sort=average_incremental_accuracy_nme&find=tcd+SECOND-hand")
    page.run("[...document.querySelectorAll('.controls button')].pop().click()")
    names, search, status = _seen(page)
    assert (names[:7], search, status) == (OURS, "", "31 of 31 rows.")
    assert page.run("getComputedStyle(document.querySelector('[data-key=method] button')).cursor") == "pointer"


def test_sorting_and_finding_by_keyboard_alone(address: str, board: str, page: Page) -> None:
    page.open(f"{address}/{board}")
    page.run("document.querySelector('[type=search]').focus()")
    page.type("icarl")
    assert page.run(NAMES) == ["icarl", "icarl", "iCaRL", "iCaRL"]
    page.press("Tab", 9)
    assert page.run("document.activeElement.textContent") == "Reset"
    page.press("Enter", 13)
    assert len(page.run(NAMES)) == 31
    for stop in ("DIV", "BUTTON"):
        page.press("Tab", 9)
        assert page.run("document.activeElement.tagName") == stop
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.press("Enter", 13)
    assert page.run("document.activeElement.closest('th').getAttribute('aria-sort')") == "ascending"
    assert page.run(NAMES)[0] == HOSTILE


def test_on_a_phone_rows_are_cards_and_a_list_sorts_them(address: str, board: str, page: Page) -> None:
    page.look_like(width=PHONE_WIDTH, dark=False)
    page.open(f"{address}/{board}")
    assert page.run("document.querySelector('.board thead').getClientRects().length") == 0
    assert page.run("[...document.querySelectorAll('.board td')].every((cell) => cell.dataset.label)")
    wide = "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth)"
    assert page.run(f"{wide}.length") == 0, "nothing is cut"
    page.run(
        "(() => { const list = document.querySelector('select'); list.value = 'final_accuracy';"
        " list.dispatchEvent(new Event('change')) })()"
    )
    assert page.run("location.search") == "?sort=final_accuracy"
    page.run("[...document.querySelectorAll('.controls button')].pop().click()")
    assert page.run("document.querySelector('select').value") == ""


def test_a_link_shows_what_its_sender_saw(site: Path, address: str, board: str, page: Page) -> None:
    [anchor] = set(re.findall(r'id="(finetune-[0-9a-f]{12})" class="ours"', (site / board).read_text()))
    row = f"document.getElementById({json.dumps(anchor)})"
    shown = f"?sort=-final_accuracy&find=KiB#{anchor}"
    page.open(f"{address}/{board}{shown}")
    names = page.run(NAMES)
    assert (names[:2], len(names)) == (["finetune", LONG], 6)
    assert page.run("location.search + location.hash") == shown
    assert page.run("document.querySelector('[type=search]').value") == "KiB"
    assert page.run(f"document.querySelector(':target') === {row}")
    page.open(f"{address}/{board}?sort=-average_incremental_accuracy#{anchor}")
    page.wait_for(f"{row}.getBoundingClientRect().top > 0 && {row}.getBoundingClientRect().bottom < innerHeight")
    assert page.run(NAMES)[7] == "Finetune"
    page.open(f"{address}/{board}?sort=<b>&other=1#%E0%A4%A")
    assert (len(page.run(NAMES)), page.run(SORTED)) == (31, 0), "what is not known is left aside"
    page.open(f"{address}/{board}?find=nothing+has+this")
    assert (page.run(NAMES), _seen(page)[2]) == ([], "0 of 31 rows.")
    page.open(f"{address}/index.html")
    asked = {re.split("[?#]", url)[0] for url in page.requested} - {"about:blank"}
    assert asked == {f"{address}/{name}" for name in ("index.html", "site.css", "site.js", board)}


def test_a_browser_that_takes_no_more_addresses_still_sorts(address: str, board: str, page: Page) -> None:
    page.open(f"{address}/{board}")
    page.run("history.replaceState = () => { throw new DOMException('too many', 'SecurityError') }, 0")
    assert _sort(page, "method") == "ascending"
    assert page.run(NAMES)[:2] == [HOSTILE, "essential"]


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_sticks_out_on_a_phone_and_colours_follow(
    dark: bool, site: Path, address: str, board: str, page: Page
) -> None:
    page.look_like(width=PHONE_WIDTH, dark=dark)
    longest = max((site / "runs").iterdir(), key=lambda path: len(path.name))
    for name in ("index.html", board, f"runs/{longest.name}", f"protocols/{PUBLISHED}/index.html"):
        page.open(f"{address}/{name}")
        page.run("for (const part of document.querySelectorAll('details')) part.open = true")
        assert page.run(WIDE) == []
        assert page.run("document.documentElement.scrollWidth") <= PHONE_WIDTH
        colours = [page.run(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color")]
        light, text = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
        assert (light < 100, text > 600) == (dark, dark)


@pytest.mark.parametrize("width", [768, 1280])
def test_notes_are_not_cut(width: int, address: str, board: str, page: Page) -> None:
    page.look_like(width=width, dark=False)
    page.open(f"{address}/{board}")
    # A name without a place to break is another matter.
    page.run(f"[...document.querySelectorAll('bdi')].filter((name) => name.textContent == '{LONG}')[0].remove()")
    notes = page.run(
        "[...document.querySelectorAll('.board td.wide')].filter((cell) => cell.textContent)"
        ".map((cell) => cell.closest('.scroll').getBoundingClientRect().right - cell.getBoundingClientRect().right)"
    )
    assert len(notes) > 3
    assert min(notes) >= 0


def test_it_works_from_a_disk_as_well(site: Path, board: str, page: Page) -> None:
    page.open(f"{(site / board).as_uri()}?sort=-final_accuracy")
    names, _, status = _seen(page)
    assert (names[0], len(names), status) == ("finetune", 31, "31 of 31 rows, by “Final, %”, rising.")


def test_without_a_script_the_table_is_there_and_sorted(site: Path, board: str, page: Page, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(site, copy)
    (copy / "site.js").write_text("")
    page.open((copy / board).as_uri())
    assert page.run(
        "document.querySelector('.controls').hidden && !document.querySelector('.controls').children.length"
    )
    names = page.run(NAMES)
    assert (names[:7], len(names)) == (OURS, 31)
    shown = page.run("[...document.querySelectorAll('td.main[data-v]')].map((cell) => cell.dataset.v).filter(Boolean)")
    assert (sorted(map(float, shown), reverse=True), len(shown)) == ([*map(float, shown)], 7)
