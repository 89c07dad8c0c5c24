"""The page in a real browser: no console message, no sideways scrolling on a phone, light and dark."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from made_analyses import make_analysis
from made_comparisons import BUDGET, made_run, many_runs
from made_logs import make_log
from made_records import make_record

from chromium import Page
from essential.report import ReportedRun, WatchPage, write_report
from essential.report.comparison_page import write_comparison
from essential.results.comparison import Call

PHONE_WIDTH = 390
PRINT_WIDTH = 688  # A4 between its margins

LEAST_LETTERS = 10
"""Height in pixels of the smallest letters in a figure."""
MEASURED = """(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  for (const part of all("details")) part.open = true;
  const start = (element) => element.outerHTML.slice(0, 80);
  const inside = (element) => !element.closest(".scroll, .unseen, .patterns");
  const wide = all("body *").filter(inside).filter((element) => element.getBoundingClientRect().right > WIDTH + 0.5);
  const collide = (one, other) => Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1
    && Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 4;
  const words = all(".chart").flatMap((chart) => {
    const texts = all("text", chart).map((text) => [text.getBoundingClientRect(), text.textContent]);
    return texts.flatMap(([box, text], number) => texts.slice(number + 1)
      .filter(([other]) => collide(box, other)).map(([, other]) => text + " / " + other));
  });
  const reached = (element) => {
    element.focus();
    return document.activeElement === element && getComputedStyle(element).outlineStyle !== "none";
  };
  const stops = all("a[href], summary, .scroll"), skip = document.querySelector(".skip");
  return {
    too_wide: wide.map(start), page_width: document.documentElement.scrollWidth,
    background: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
    tick: getComputedStyle(document.querySelector(".chart text")).fill,
    charts: all(".chart").length,
    small: all(".chart text").filter((text) => text.getBoundingClientRect().height < LEAST).map(start),
    collisions: words,
    stops: stops.length, unreachable: stops.filter((element) => !reached(element)).map(start),
    skip_top: (skip.focus(), skip.getBoundingClientRect().top),
    pictures: [...document.images].filter((image) => image.complete && image.naturalWidth > 0).length,
  };
})()""".replace("LEAST", str(LEAST_LETTERS))


def _measure(browser: Page, path: Path, *, width: int, dark: bool = False) -> dict[str, Any]:
    """Return what the page is like in the browser, which has nothing to say of it, nor has it more to ask for."""
    browser.look_like(width=width, dark=dark)
    browser.console.clear()
    browser.open(path.as_uri())
    measured: dict[str, Any] = browser.run(MEASURED.replace("WIDTH", str(width)))
    assert browser.console == []
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
        runs.append(ReportedRun(name, record, make_analysis(record, clips=3), None if number else make_log(26)))
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(runs, path)
    return path


@pytest.fixture(scope="module", params=[(BUDGET,), (32_768, 65_536, 153_600, 524_288, 2_097_152)])
def comparison(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of many methods, one of them with a long name, at one budget or several."""
    budgets = request.param
    long = "essential:" + "x" * 80
    runs = [
        *many_runs(),
        *(made_run(long, seed, 0.5, kept=size - 9, budget=size) for size in budgets for seed in (0, 1)),
    ]
    folder = tmp_path_factory.mktemp("comparison")
    call = Call(
        budgets, ("training.epochs=4", "data.root=" + "y" * 200), "essential compare -s " + "z" * 300, ("w" * 200,)
    )
    write_comparison(runs, folder, call)
    return folder / "compare.html"


@pytest.mark.parametrize("width", [PHONE_WIDTH, 768, 1280])
def test_nothing_sticks_out_of_a_comparison_either(comparison: Path, browser: Page, width: int) -> None:
    measured = _measure(browser, comparison, width=width)
    assert measured["too_wide"] == []
    assert measured["page_width"] <= width
    assert measured["charts"] == 3
    assert measured["small"] == measured["collisions"] == measured["unreachable"] == []


@pytest.mark.parametrize("width", [PHONE_WIDTH, 768, 1280])
def test_nothing_sticks_out_and_every_stop_can_be_reached_by_keyboard_and_seen(
    page: Path, browser: Page, width: int
) -> None:
    measured = _measure(browser, page, width=width)
    assert measured["too_wide"] == []
    assert measured["page_width"] <= width
    # Three over tasks, one over frames, two against memory, the curves of the run with a log, and two of every run.
    assert measured["charts"] == 7 + 2 * 2
    assert measured["small"] == measured["collisions"] == measured["unreachable"] == []
    assert measured["pictures"] == 2 * 3 * 4
    assert measured["stops"] > 60
    assert measured["skip_top"] >= 0, "the skip link comes into view"


def test_the_page_and_its_figures_follow_light_and_dark(page: Path, browser: Page) -> None:
    light, dark = (_measure(browser, page, width=PHONE_WIDTH, dark=dark) for dark in (False, True))

    def brightness(colour: str) -> int:
        return sum(int(part) for part in re.findall(r"\d+", colour)[:3])

    assert brightness(light["background"]) > 700
    assert brightness(light["ink"]) < 300
    assert brightness(dark["background"]) < 100
    assert brightness(dark["ink"]) > 600
    assert brightness(light["tick"]) < 350
    assert brightness(dark["tick"]) > 350


def test_cells_of_many_classes_have_names_under_the_mouse(browser: Page, tmp_path: Path) -> None:
    tasks = [
        {"classes": [f"c{20 * task + i}" for i in range(20)], "train_videos": 9, "test_videos": 9} for task in range(6)
    ]
    record = make_record(tasks=6, protocol={"name": "many", "id": "m" * 16, "tasks": tasks})
    wrong = [[20 if row == column else 0 for column in range(120)] for row in range(120)]
    wrong[5][5], wrong[5][90] = 12, 8
    path = tmp_path / "report.html"
    write_report([ReportedRun("run", record, make_analysis(record, confusion=wrong))], path)
    browser.look_like(width=1280, dark=False)
    browser.open(path.as_uri())
    names = browser.run("""(() => {
      const image = document.querySelector(".chart.large image"), boxes = [...document.querySelectorAll(".hover rect")];
      image.scrollIntoView();
      const {left, top, width, height} = image.getBoundingClientRect();
      const under = (row, column) => document.elementsFromPoint(
        left + (column + 0.5) / 120 * width, top + (row + 0.5) / 120 * height)
        .find((element) => element.closest(".hover"))?.querySelector("title").textContent;
      return [boxes.length, under(5, 90), under(5, 20), under(21, 21)];
    })()""")
    assert names == [121, "c5 taken for c90: 8 of 20", "c5 (task 1): 12 of 20 right", "c21 (task 2): 20 of 20 right"]


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_of_a_running_run_fits_a_phone_and_has_no_script(browser: Page, tmp_path: Path, dark: bool) -> None:
    tasks = [{"train": {"a": "b"}}] * 12
    (tmp_path / "protocol.json").write_text(json.dumps({"tasks": tasks}))
    log = make_log(9)
    page = WatchPage(tmp_path / "report.html", clock=iter(range(0, 10_000_000, 1000)).__next__)
    page.progress.start("task 10 of 12: " + "long" * 60, 40)
    page.progress.advance(7)
    page.start(tmp_path, {}, first_step=0)
    for each in log.epochs:
        page.write(0, {"event": "epoch", **vars(each)})
    for found in log.evaluations:
        page.write(0, {"event": "evaluation", **vars(found)})
    measured = _measure(browser, tmp_path / "report.html", width=PHONE_WIDTH, dark=dark)
    assert measured["too_wide"] == measured["small"] == measured["collisions"] == measured["unreachable"] == []
    assert measured["page_width"] <= PHONE_WIDTH
    assert measured["charts"] == 1


def test_a_phone_shows_rows_as_cards_and_no_table_is_cut(browser: Page, tmp_path: Path) -> None:
    runs = [ReportedRun(name, make_record(tasks=6, method=name), log=make_log(6)) for name in ("a", "b")]
    path = tmp_path / "report.html"
    write_report(runs, path)
    browser.look_like(width=PHONE_WIDTH, dark=False)
    browser.open(path.as_uri())
    cut = browser.run("""[...document.querySelectorAll(".scroll")].filter((box) => box.checkVisibility())
      .filter((box) => box.scrollWidth > box.clientWidth)
      .map((box) => box.getAttribute("aria-label"))""")
    assert cut == []
    label = "getComputedStyle(document.querySelector('.summary td.main'), '::before').content"
    assert browser.run(label) == '"Final, %"'


def test_matrices_beside_each_other_fit_a_printed_page(browser: Page, tmp_path: Path) -> None:
    runs = [ReportedRun(name, make_record(tasks=6, method=name)) for name in ("a", "b")]
    write_report(runs, tmp_path / "report.html")
    browser.look_like(width=PRINT_WIDTH, dark=False)
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        browser.open((tmp_path / "report.html").as_uri())
        places = browser.run(
            "[...document.querySelectorAll('.heat')].map((each) => each.getBoundingClientRect().right)"
        )
        assert len(places) == 2
        assert max(places) <= PRINT_WIDTH
        assert min(places) < PRINT_WIDTH / 2, "they are beside each other"
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")
