"""The page of a test in a real browser: no message, no request, nothing sticks out, and all of it can be read."""

import random
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chromium import Page
from essential.learner.clip_results import ClipResults, UnreadClip, WrongClip
from essential.learner.prediction import Scored

MEASURED = """(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  for (const part of all("details")) part.open = true;
  const start = (element) => element.outerHTML.slice(0, 100);
  const inside = (element) => !element.closest(".scroll, .unseen, .patterns");
  const wide = all("body *").filter(inside).filter((element) => element.getBoundingClientRect().right > WIDTH + 0.5);
  const parsed = (colour) => { const [r, g, b, a] = colour.match(/[0-9.]+/g).map(Number); return [r, g, b, a ?? 1] };
  const over = ([r, g, b, a], below) => [r, g, b].map((part, place) => a * part + (1 - a) * below[place]);
  const behind = (element) => element === null ? [255, 255, 255]
    : over(parsed(getComputedStyle(element).backgroundColor), behind(element.parentElement));
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (element) => {
    const ground = behind(element), ink = over(parsed(getComputedStyle(element).color), ground);
    const [dark, bright] = [light(ground), light(ink)].sort((one, other) => one - other);
    return (bright + 0.05) / (dark + 0.05);
  };
  const texts = all("main *, header *, footer *").filter((element) => !element.closest("svg, .unseen")
    && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
  const reached = (element) => {
    element.focus();
    return document.activeElement === element && getComputedStyle(element).outlineStyle !== "none";
  };
  return {
    too_wide: wide.map(start), page_width: document.documentElement.scrollWidth,
    faint: texts.filter((element) => contrast(element) < 4.5).map(start), texts: texts.length,
    unreachable: all("a[href], summary, .scroll").filter((element) => !reached(element)).map(start),
    pictures: [...document.images].filter((image) => image.complete && image.naturalWidth > 0).length,
    bare: [...document.images].filter((image) => !image.alt).length,
    figures: all(".answers .big").map((each) => each.innerText),
    tops: [document.querySelector(".answers"), document.querySelector(".confused")]
      .map((element) => element.getBoundingClientRect().top),
    cells: all(".confused td").length,
    low: Math.min(...all(".confused td").map((cell) => cell.getBoundingClientRect().height)),
  };
})()"""


def made_results(classes: int) -> ClipResults:
    """Return results with all that a page can show; names and paths are long, with and without a place to break."""
    draw = random.Random(0)
    content = BytesIO()
    Image.new("RGB", (384, 192), (200, 40, 40)).save(content, "JPEG")
    names = tuple(f"{'x' * 70 if number == 1 else 'opening something big'} {number}" for number in range(classes))
    answers: dict[str, dict[str | None, int]] = {
        name: {name: 120, draw.choice(names): 5, None: 3} | {name: 1 + draw.randrange(12)} for name in names
    }
    answers["juggling"] = {None: 5, names[0]: 3}
    wrong = [
        WrongClip(
            Path(f"clips/{'y' * 90}/{number}.mp4"),
            names[1],
            Scored(names[0], 0.7),
            number % 2 == 0,
            content.getvalue() if number < 6 else None,
        )
        for number in range(12)
    ]
    unread = (UnreadClip(Path(f"clips/{'z' * 90}.mp4"), names[0], "it is empty (0 bytes)"),)
    return ClipResults(names, answers, tuple(wrong), unread, 2)


@pytest.fixture(scope="module", params=[2, 13, 100])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    path = tmp_path_factory.mktemp("page") / "test.html"
    made_results(request.param).write_page(path, title=f"actions.bundle on {'long-name-' * 8}")
    return path, request.param


def _measure(browser: Page, path: Path, *, width: int, dark: bool) -> dict[str, Any]:
    browser.look_like(width=width, dark=dark)
    browser.console.clear()
    browser.requested.clear()
    browser.open(path.as_uri())
    measured: dict[str, Any] = browser.run(MEASURED.replace("WIDTH", str(width)))
    assert browser.console == []
    assert {address.partition(":")[0] for address in browser.requested} <= {"file", "data", "about"}
    return measured


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_all_can_be_read_at_every_width(page: tuple[Path, int], browser: Page, width: int, dark: bool) -> None:
    path, classes = page
    measured = _measure(browser, path, width=width, dark=dark)
    assert measured["too_wide"] == measured["faint"] == measured["unreachable"] == []
    assert measured["page_width"] <= width
    assert measured["texts"] > 60
    assert (measured["pictures"], measured["bare"]) == (6, 0)
    assert measured["cells"] == classes * (classes + 1)
    assert measured["low"] >= 10
    assert len(measured["figures"]) == 3
    assert all(figure[:-2].isdigit() for figure in measured["figures"])
    assert measured["tops"][0] < measured["tops"][1], "the figures come first"


def test_it_prints_whole(page: tuple[Path, int], browser: Page) -> None:
    path, _ = page
    browser.look_like(width=690, dark=False)
    browser.open(path.as_uri())
    browser.call("Emulation.setEmulatedMedia", media="print")
    # A4 without its margins is 182 mm wide, 688 pixels.
    width = browser.run("document.querySelector('.confused').getBoundingClientRect().right")
    browser.call("Emulation.setEmulatedMedia", media="")
    assert width <= 690


def test_names_and_paths_are_text_and_no_markup(tmp_path: Path) -> None:
    name, file = "<script>a</script>", Path('"><img src=x onerror=b>.mp4')
    wrong = WrongClip(file, name, Scored(name * 2, 0.9), is_none=False, frames=b"x")
    other = wrong._replace(closest=Scored(name * 2, 0.8), frames=None)
    unread = UnreadClip(file, name, "<script>c</script>")
    results = ClipResults((name, name * 2), {name: {name: 1, name * 2: 2}}, (wrong, other), (unread,))
    results.write_page(tmp_path / "test.html", title=name)
    page = (tmp_path / "test.html").read_text()
    assert page.count("&lt;script&gt;") >= 8
    assert "<script" not in page
    assert "<img src=x" not in page
