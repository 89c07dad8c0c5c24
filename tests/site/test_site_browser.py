"""The site in a real browser: sorting, filtering, links, width, light and dark, from a disk and from a web server."""

import html
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from made_sites import HOSTILE, PUBLISHED, made_found, many_found

from essential.published import published_for
from essential.site import Findings, write_site

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome here")]

BELOW = "some/where"
PHONE_WIDTH = 390
# A page of the same server holds those to look at in frames: a headless window cannot be as narrow as a phone.
FRAMES = """<!doctype html><link rel="icon" href="data:,"><pre id="told"></pre>{frames}<script>
const told = {{}}, frame = (name) => document.getElementById(name).contentWindow;
const rows = (page) => [...page.document.querySelectorAll(".board tbody tr")];
const shown = (page) => rows(page).filter((row) => !row.hidden && row.getClientRects().length);
const names = (page) => shown(page).map((row) => row.querySelector("bdi").textContent);
const head = (page, key) => page.document.querySelector(`[data-key="${{key}}"]`);
const status = (page) => page.document.querySelector(".status")?.textContent;
const wide = (page) => [...page.document.body.querySelectorAll("*")]
  .filter((each) => !each.closest(".scroll, .unseen") && each.getBoundingClientRect().right > page.innerWidth + 0.5)
  .map((each) => each.outerHTML.slice(0, 80));
onload = () => {{
  {script}
  document.getElementById("told").textContent = JSON.stringify(told);
}};
</script>"""


class _Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and keeps what was asked for and how it was answered."""

    asked: list[tuple[str, str]] = []  # noqa: RUF012 - one list for all requests is what is wanted

    def end_headers(self) -> None:
        """Let the browser keep nothing: a second frame would ask whether its copy is still good, or not ask at all."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_request(self, code: Any = "-", *_: Any) -> None:
        self.asked.append((self.path, str(int(code))))

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a site some folders below."""
    top = tmp_path_factory.mktemp("top")
    long = made_found("essential:" + "x" * 90, 0, 0.3, label="a/very/long/" + "label" * 30)
    write_site(Findings((*many_found(), long), 0), top / BELOW)
    return top


@pytest.fixture(scope="module")
def address(top: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(top)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def _browse(url: str, profile: Path, *, dark: bool = False) -> str:
    assert BROWSER is not None
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={profile}", f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    command += ["--enable-logging=stderr", "--window-size=1280,2000", "--dump-dom", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert [line for line in done.stderr.splitlines() if ":CONSOLE" in line] == []
    return done.stdout


def _board(top: Path) -> str:
    """The address, below the site, of the board with most of the runs."""
    found = (top / BELOW / "protocols").glob(f"{PUBLISHED}-*/index.html")
    boards = [path for path in found if ">joint</bdi></a>" in path.read_text()]
    assert len(boards) == 1
    return str(boards[0].relative_to(top / BELOW))


def _tell(
    pages: dict[str, str], script: str, *, top: Path, address: str, folder: Path, width: int = 1280, dark: bool = False
) -> Any:
    """Show `pages`, by name, in frames; run `script` on them, and return what it put into `told`."""
    frames = "".join(
        f'<iframe id="{name}" style="border:0;width:{width}px;height:900px" '
        f'src="/{BELOW}/{html.escape(page)}"></iframe>'
        for name, page in pages.items()
    )
    (top / "frames.html").write_text(FRAMES.format(frames=frames, script=script), encoding="utf-8")
    out = _browse(f"{address}/frames.html", folder / "profile", dark=dark)
    found = re.search(r'<pre id="told">(.+?)</pre>', out)
    assert found, "the pages were loaded and looked at"
    return json.loads(html.unescape(found[1]))


def test_sorting_filtering_and_resetting_by_mouse_and_their_addresses(top: Path, address: str, tmp_path: Path) -> None:
    script = """
    const page = frame("page"), radio = (value) => page.document.querySelector(`[type=radio][value="${value}"]`);
    const note = (name) => told[name] = [names(page), page.location.search, status(page)];
    const find = page.document.querySelector("[type=search]");
    told.first = names(page).slice(0, 7);
    told.unsorted = page.document.querySelectorAll("[aria-sort]").length;
    radio("ours").click(); note("ours");
    head(page, "method").querySelector("button").click(); note("by_name");
    told.aria = head(page, "method").getAttribute("aria-sort");
    head(page, "method").querySelector("button").click(); note("turned");
    told.aria_turned = head(page, "method").getAttribute("aria-sort");
    head(page, "forgetting_from_best").querySelector("button").click();
    told.aria_less = head(page, "forgetting_from_best").getAttribute("aria-sort");
    told.sorted_by = page.document.querySelectorAll("[aria-sort]").length;
    radio("published").click();
    head(page, "average_incremental_accuracy_nme").querySelector("button").click(); note("published");
    find.value = "tcd SECOND-hand"; find.dispatchEvent(new Event("input")); note("found");
    [...page.document.querySelectorAll(".controls button")].pop().click(); note("reset");
    head(page, "average_incremental_accuracy").querySelector("button").click(); note("mixed");
    told.button = page.getComputedStyle(head(page, "method").querySelector("button")).cursor;
    """
    told = _tell({"page": _board(top)}, script, top=top, address=address, folder=tmp_path)
    ours = ["joint", "essential", "icarl", "icarl", HOSTILE, f"essential:{'x' * 90}", "finetune"]
    assert told["first"] == ours
    assert told["unsorted"] == 0
    assert told["ours"] == [ours, "?from=ours", "7 of 31 rows."]
    by_name = [HOSTILE, "essential", f"essential:{'x' * 90}", "finetune", "icarl", "icarl", "joint"]
    assert told["by_name"] == [by_name, "?sort=method&from=ours", "7 of 31 rows, by “Method”, rising."]
    assert told["turned"][:2] == [by_name[::-1], "?sort=-method&from=ours"]
    assert (told["aria"], told["aria_turned"]) == ("ascending", "descending")
    assert (told["aria_less"], told["sorted_by"]) == ("ascending", 1), "the least forgetting first"
    nme = [each for each in published_for(PUBLISHED) if each.metric == "average_incremental_accuracy_nme"]
    falling = [each.method for each in sorted(nme, key=lambda each: each.value or 0, reverse=True)]
    assert told["published"][0][: len(nme)] == falling
    assert falling[:3] == ["Oracle (joint)", "HCE", "FrameMaker"]
    assert len(told["published"][0]) == 24, "those without the figure stand behind"
    assert told["found"][:2] == [["TCD"], "?sort=average_incremental_accuracy_nme&from=published&find=tcd+SECOND-hand"]
    assert told["reset"][0][:7] == ours
    assert told["reset"][1:] == ["", "31 of 31 rows."]
    assert told["mixed"][2].endswith("falling. Run here and published stand in one list: this is no ranking.")
    assert told["button"] == "pointer"


def test_a_link_shows_what_its_sender_saw(top: Path, address: str, tmp_path: Path) -> None:
    board = _board(top)
    [anchor] = set(re.findall(r'id="(finetune-[0-9a-f]{12})" class="ours"', (top / BELOW / board).read_text()))
    script = """
    const page = frame("linked"), row = page.document.getElementById(ANCHOR);
    told.names = names(page); told.address = page.location.search + page.location.hash;
    told.search = page.document.querySelector("[type=search]").value;
    told.radio = page.document.querySelector("[type=radio]:checked").value;
    told.target = page.document.querySelector(":target") === row;
    const place = frame("row").document.getElementById(ANCHOR).getBoundingClientRect();
    told.in_sight = place.top > 0 && place.bottom < frame("row").innerHeight;
    told.first = names(frame("row"))[0];
    told.odd = [names(frame("odd")).length, frame("odd").document.querySelectorAll("[aria-sort]").length];
    told.none = [names(frame("none")).length, status(frame("none"))];
    """.replace("ANCHOR", json.dumps(anchor))
    pages = {
        "linked": f"{board}?sort=-final_accuracy&from=ours&find=run#{anchor}",
        "row": f"{board}?sort=-average_incremental_accuracy#{anchor}",
        "odd": f"{board}?sort=<b>&from=nobody&other=1#%E0%A4%A",
        "none": f"{board}?find=nothing+has+this",
        "index": "index.html",
    }
    _Quiet.asked.clear()
    told = _tell(pages, script, top=top, address=address, folder=tmp_path)
    assert told["names"][:2] == ["finetune", f"essential:{'x' * 90}"]
    assert len(told["names"]) == 7
    assert told["address"] == f"?sort=-final_accuracy&from=ours&find=run#{anchor}"
    assert (told["search"], told["radio"], told["target"], told["in_sight"]) == ("run", "ours", True, True)
    assert told["first"] != "joint"
    assert told["odd"] == [31, 0], "what is not known is left aside"
    assert told["none"] == [0, "0 of 31 rows."]
    asked = {path.split("?")[0] for path, _ in _Quiet.asked}
    assert asked == {"/frames.html", *(f"/{BELOW}/{name}" for name in ("index.html", "site.css", "site.js", board))}
    assert {code for _, code in _Quiet.asked} == {"200"}, "a server is asked for nothing that is not there"


def test_a_browser_that_takes_no_more_addresses_still_sorts(top: Path, address: str, tmp_path: Path) -> None:
    script = """
    const page = frame("page");
    page.history.replaceState = () => { throw new page.DOMException("too many", "SecurityError"); };
    head(page, "method").querySelector("button").click();
    told.names = names(page).slice(0, 2); told.aria = head(page, "method").getAttribute("aria-sort");
    """
    told = _tell({"page": f"{_board(top)}?from=ours"}, script, top=top, address=address, folder=tmp_path)
    assert told == {"names": [HOSTILE, "essential"], "aria": "ascending"}


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_sticks_out_on_a_phone_and_colours_follow(dark: bool, top: Path, address: str, tmp_path: Path) -> None:
    runs = sorted((top / BELOW / "runs").iterdir(), key=lambda path: -len(path.name))
    pages = {
        "index": "index.html",
        "board": _board(top),
        "run": f"runs/{runs[0].name}",
        "other": f"protocols/{PUBLISHED}/index.html",
    }
    script = """
    for (const name of ["index", "board", "run", "other"]) {
      const page = frame(name), style = page.getComputedStyle(page.document.body);
      for (const part of page.document.querySelectorAll("details")) part.open = true;
      told[name] = [wide(page), page.document.documentElement.scrollWidth, style.backgroundColor, style.color];
    }
    """
    told = _tell(pages, script, top=top, address=address, folder=tmp_path, width=PHONE_WIDTH, dark=dark)
    for too_wide, width, background, ink in told.values():
        assert too_wide == []
        assert width <= PHONE_WIDTH
        light, text = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (background, ink))
        assert (light < 100, text > 600) == (dark, dark)


def test_it_works_from_a_disk_as_well(top: Path, tmp_path: Path) -> None:
    path = top / BELOW / _board(top)
    dumped = _browse(f"{path.as_uri()}?sort=-final_accuracy&from=ours", tmp_path / "profile")
    assert "7 of 31 rows, by “Final, %”, rising." in dumped
    first = re.search(r"<tbody>\s*<tr id=\"([a-z]+)-", dumped)
    assert first
    assert first[1] == "finetune"
    assert dumped.count('hidden=""') == 31 - 7


def test_without_a_script_the_table_is_there_and_sorted(top: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(top / BELOW, copy)
    (copy / "site.js").write_text("")
    dumped = _browse((copy / _board(top)).as_uri(), tmp_path / "profile")
    assert '<div class="controls" data-from="yes" hidden=""></div>' in dumped
    assert len(re.findall(r"<tr id=", dumped)) == 31
    shown = [float(value) for value in re.findall(r'<td class="main" data-v="([0-9.]+)">', dumped)]
    assert shown == sorted(shown, reverse=True)
    assert len(shown) == 7
