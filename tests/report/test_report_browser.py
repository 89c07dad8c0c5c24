"""The page in a real browser: no console message, no sideways scrolling on a phone, light and dark."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from made_analyses import make_analysis
from made_comparisons import BUDGET, made_run, many_runs
from made_records import make_record

from essential.report import ReportedRun, write_report
from essential.report.page import write_comparison
from essential.results.comparison import Call

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on this machine")

PHONE_WIDTH = 390
LEAST_LETTERS = 10
"""Height in pixels of the smallest letters in a figure."""
# The page stands in a frame as wide as a phone, because a headless window cannot be that narrow.
FRAME = """<!doctype html><pre id="measured"></pre>
<iframe id="page" style="border:0;width:{width}px;height:3000px" srcdoc="{page}"></iframe>
<script>
document.getElementById("page").onload = (event) => {{
  const page = event.target.contentDocument, root = page.documentElement;
  const look = (element) => event.target.contentWindow.getComputedStyle(element);
  const all = (selector, within = page) => [...within.querySelectorAll(selector)];
  const start = (element) => element.outerHTML.slice(0, 80);
  const inside = (element) => !element.closest(".scroll, .unseen, .patterns");
  const wide = all("body *").filter(inside)
    .filter((element) => element.getBoundingClientRect().right > {width} + 0.5);
  const collide = (one, other) => Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1
    && Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 4;
  const words = all(".chart").flatMap((chart) => {{
    const texts = all("text", chart).map((text) => [text.getBoundingClientRect(), text.textContent]);
    return texts.flatMap(([box, text], number) => texts.slice(number + 1)
      .filter(([other]) => collide(box, other)).map(([, other]) => text + " / " + other));
  }});
  const reached = (element) => {{
    element.focus();
    return page.activeElement === element && look(element).outlineStyle !== "none";
  }};
  document.getElementById("measured").textContent = JSON.stringify({{
    page_width: root.scrollWidth, body_width: page.body.getBoundingClientRect().width,
    too_wide: wide.map(start),
    background: look(page.body).backgroundColor, ink: look(page.body).color,
    tick: look(page.querySelector(".chart text")).fill,
    charts: all(".chart").length,
    small: all(".chart text").filter((text) => text.getBoundingClientRect().height < {least}).map(start),
    collisions: words,
    stops: all("a[href], summary, .scroll").length,
    unreachable: all("a[href], summary, .scroll").filter((element) => !reached(element)).map(start),
    skip_top: (page.querySelector(".skip").focus(), page.querySelector(".skip").getBoundingClientRect().top),
    pictures: [...page.images].filter((image) => image.complete && image.naturalWidth > 0).length,
  }});
}};
</script>"""


def _measure(page: Path, folder: Path, *, width: int, dark: bool) -> dict[str, Any]:
    frame = folder / "frame.html"
    text = html.escape(page.read_text(encoding="utf-8"))
    frame.write_text(FRAME.format(width=width, least=LEAST_LETTERS, page=text), encoding="utf-8")
    assert BROWSER is not None
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={folder / 'profile'}", f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    command += ["--enable-logging=stderr", "--window-size=1280,2000", "--dump-dom", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert [line for line in done.stderr.splitlines() if ":CONSOLE" in line] == []
    found = re.search(r'<pre id="measured">(.+?)</pre>', done.stdout)
    assert found, "the page was loaded and measured"
    measured: dict[str, Any] = json.loads(html.unescape(found[1]))
    return measured


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with what needs most room: many tasks, published figures, long names with and without a place to break."""
    names = ["a" * 90, "runs/with/many/parts/" + "and-a-long-name-" * 6]
    skipped = [{"video": f"train/{'b' * 120}.mp4", "split": "train", "reason": "no video stream"}]
    more = {"skipped_videos": skipped, "class_accuracy": [0.5] * 52, "protocol_name": "tcd-ucf101-2x25"}
    runs = []
    for number, name in enumerate(names):
        record = make_record(tasks=26, method=f"m{number}", **more)
        runs.append(ReportedRun(name, record, make_analysis(record, clips=3)))
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(runs, path)
    path.write_text(path.read_text(encoding="utf-8").replace("<details", "<details open"), encoding="utf-8")
    return path


Measure = Callable[[int, bool], dict[str, Any]]


@pytest.fixture(scope="module")
def measure(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Measure:
    """Measures the page at a width, in light or dark, each once."""

    @cache
    def measured(width: int, dark: bool) -> dict[str, Any]:
        return _measure(page, tmp_path_factory.mktemp("measured"), width=width, dark=dark)

    return measured


@pytest.fixture(scope="module", params=[(BUDGET,), (32_768, 65_536, 153_600, 524_288, 2_097_152)])
def comparison(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of many methods, one of them with a long name, at one budget or several."""
    budgets = request.param
    long = "essential:" + "x" * 80
    runs = [
        *many_runs(),
        *(made_run(long, seed, 0.5, kept=size - 9, budget=size) for size in budgets for seed in (0, 1)),
    ]
    path = tmp_path_factory.mktemp("comparison") / "compare.html"
    call = Call(
        budgets, ("training.epochs=4", "data.root=" + "y" * 200), "essential compare -s " + "z" * 300, ("w" * 200,)
    )
    write_comparison(runs, path.parent, call)
    path.write_text(path.read_text(encoding="utf-8").replace("<details", "<details open"), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("width", [PHONE_WIDTH, 1280])
def test_nothing_sticks_out_of_a_comparison_either(comparison: Path, tmp_path: Path, width: int) -> None:
    measured = _measure(comparison, tmp_path, width=width, dark=False)
    assert measured["too_wide"] == []
    assert measured["page_width"] <= width
    assert measured["body_width"] <= width
    assert measured["charts"] == 3
    assert measured["small"] == measured["collisions"] == measured["unreachable"] == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [PHONE_WIDTH, 1280])
def test_nothing_sticks_out_and_the_console_is_silent(measure: Measure, width: int) -> None:
    measured = measure(width, False)
    assert measured["too_wide"] == []
    assert measured["page_width"] <= width
    assert measured["body_width"] <= width
    # Five over tasks and frames, two against memory, and four of every run.
    assert measured["charts"] == 7 + 2 * 4
    assert measured["small"] == measured["collisions"] == []
    assert measured["pictures"] == 2 * 3 * 4


@pytest.mark.slow
def test_every_stop_can_be_reached_by_keyboard_and_seen(measure: Measure) -> None:
    measured = measure(1280, False)
    assert measured["stops"] > 70
    assert measured["unreachable"] == []
    assert measured["skip_top"] >= 0, "the skip link comes into view"


@pytest.mark.slow
def test_the_page_and_its_figures_follow_light_and_dark(measure: Measure) -> None:
    light, dark = measure(PHONE_WIDTH, False), measure(PHONE_WIDTH, True)

    def brightness(colour: str) -> int:
        return sum(int(part) for part in re.findall(r"\d+", colour)[:3])

    assert brightness(light["background"]) > 700
    assert brightness(light["ink"]) < 300
    assert brightness(dark["background"]) < 100
    assert brightness(dark["ink"]) > 600
    assert brightness(light["tick"]) < 350
    assert brightness(dark["tick"]) > 350
