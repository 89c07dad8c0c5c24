"""The page in a real browser: recognise, teach, see it go on, undo; by mouse, drop and keyboard, on a phone too."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_checks import DESK, PHONE, TABLET, address, faint, text, too_wide
from running_service import RunningService, running_service

from chromium import Page
from essential.learner import VideoLearner
from video_files import cut_short, write_numbered_video

TOKEN = "a-token-of-the-tests-0123456789"
KNOWN = ("2-left", "2-up")
NEW = "<b>down</b> & " + "w" * 60


@pytest.fixture(scope="module")
def service(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that has a token and tells the unknown."""
    folder = tmp_path_factory.mktemp("page")
    quick = ["training.epochs=4", "method.rehearsal_epochs=4", "features.views=0", "features.workers=0"]
    learner = VideoLearner(encoder="tiny", method="essential", overrides=quick)
    learner.learn({name: sorted(small_data.glob(f"*/{name}/*")) for name in KNOWN})
    learner.save(folder / "actions.bundle")
    with running_service(folder / "actions.bundle", folder / "s", token=TOKEN) as running:
        yield running


@pytest.fixture
def page(browser: Page, service: RunningService) -> Iterator[Page]:
    """The page as it is after it was opened with the token; it must ask its own service alone, and say nothing odd."""
    browser.look_like(width=PHONE, dark=False)
    browser.call("Page.navigate", url="about:blank")
    browser.console.clear()
    browser.requested.clear()
    browser.open(f"{address(service)}#token={TOKEN}")
    browser.wait_for("document.querySelectorAll('#known li').length == 2")
    yield browser
    own = (address(service), f"blob:{address(service)}", "data:image/", "about:blank")
    assert [url for url in browser.requested if not url.startswith(own)] == []
    assert browser.console == []


def test_clips_are_recognised_as_they_are_chosen_or_dropped(
    page: Page, service: RunningService, small_data: Path, tmp_path: Path
) -> None:
    clips = sorted(small_data.glob("*/2-left/*"))[:2]
    page.choose("#predict-files", clips)
    page.wait_for("document.querySelectorAll('#answers img').length == 16")
    answer = service.predict(clips[0].read_bytes()).json
    shown = text(page, "#answers > li:last-child")
    assert clips[0].name in shown
    assert f"{100 * answer['score']:.1f}\N{NO-BREAK SPACE}%" in shown
    assert text(page, "#answers > li:last-child h3") == ("None of these" if answer["unknown"] else answer["label"])
    assert page.run("[...document.querySelectorAll('#answers img')].every((image) => image.naturalWidth == 64)")
    assert page.run("document.querySelector('#answers img').alt") == "frame 1 of 8"
    unlike = write_numbered_video(tmp_path / "unlike.mp4", 20)
    assert service.predict(unlike.read_bytes()).json["unknown"] is True
    page.drop("#predict-drop", [unlike])
    page.wait_for("document.querySelectorAll('#answers img').length == 24")
    assert text(page, "#answers > li h3") == "None of these"
    assert "Closest: 2-" in text(page, "#answers > li")
    assert text(page, "#predict-status") == "unlike.mp4: None of these"
    assert too_wide(page, PHONE) == []


def test_a_clip_that_cannot_be_read_is_told_and_the_others_are_answered(
    page: Page, small_data: Path, tmp_path: Path
) -> None:
    broken = cut_short(write_numbered_video(tmp_path / "broken.mp4", 20), 0.5)
    page.choose("#predict-files", [broken, next(small_data.glob("test/2-up/*"))])
    page.wait_for("document.querySelectorAll('#answers img').length == 8")
    page.wait_for("!document.querySelector('#answers [aria-busy]')")
    cards = page.run("[...document.querySelectorAll('#answers > li')].map((card) => card.innerText)")
    (told,) = [card for card in cards if card.startswith("No answer")]
    assert "broken.mp4" in told
    assert "The clip cannot be read: " in told
    # The browser itself notes every answer of 400 and above.
    (noted,) = page.console
    assert "422" in noted
    page.console.clear()


def test_a_class_is_taught_by_keyboard_seen_to_go_on_and_undone(page: Page, small_data: Path, tmp_path: Path) -> None:
    assert page.run("document.querySelector('#undo').disabled")
    page.run("document.querySelector('#lesson button[type=submit]').click()")
    assert "no name" in text(page, "#lesson-error")
    assert page.run("document.activeElement.id") == "class-name"
    page.type(KNOWN[0])
    assert page.run("!document.querySelector('#more-line').hidden")
    page.run("document.querySelector('#class-name').select()")
    page.type(NEW)
    assert page.run("document.querySelector('#more-line').hidden")
    page.press("Enter", 13)
    page.wait_for("document.querySelector('#lesson-error').innerText.includes('no clip')")
    broken = cut_short(write_numbered_video(tmp_path / "broken <i>.mp4", 20), 0.5)
    clips = sorted(small_data.glob("*/2-down/*"))
    page.drop("#lesson-drop", [*clips[:3], broken])
    page.choose("#lesson-files", clips[3:])
    page.wait_for("document.querySelectorAll('#lesson-clips li').length == 7")
    page.run("document.querySelector('#lesson-clips button').click()")
    page.wait_for("document.querySelectorAll('#lesson-clips li').length == 6")
    page.run(
        "globalThis.seen = new Set(); new MutationObserver(() => {"
        " if (document.querySelector('#jobs progress')) seen.add(document.querySelector('#jobs p').innerText) })"
        ".observe(document.querySelector('#jobs'), { childList: true })"
    )
    page.run("document.querySelector('#class-name').focus()")
    page.press("Enter", 13)
    page.wait_for("document.querySelector('#jobs [data-state=done]')")
    assert page.run("seen.size") >= 1
    said = text(page, "#jobs li")
    assert NEW in said
    assert "Learned from 5 clips." in said
    assert "Left out: broken <i>.mp4: " in said
    page.wait_for("document.querySelectorAll('#known li').length == 3")
    assert f"{NEW} (5 clips)" in text(page, "#known")
    assert page.run("document.querySelectorAll('#known b, #jobs b, #jobs i').length") == 0
    assert too_wide(page, PHONE) == []
    page.run("document.querySelector('#undo').focus()")
    page.press("Enter", 13)
    page.wait_for("document.querySelector('#change-status').innerText == 'The last change is undone.'")
    assert page.run("document.querySelectorAll('#known li').length") == 2
    assert page.run("document.querySelector('#undo').disabled")


def test_a_class_is_forgotten_and_comes_back(page: Page) -> None:
    page.run("document.querySelector('[aria-label=\"Forget 2-up\"]').click()")
    page.wait_for("document.querySelector('#change-status').innerText.startsWith('2-up is forgotten.')")
    assert page.run("document.querySelectorAll('#known li').length") == 1
    page.run("document.querySelector('#undo').click()")
    page.wait_for("document.querySelector('#change-status').innerText == 'The last change is undone.'")
    assert page.run("document.querySelectorAll('#known li').length") == 2


@pytest.mark.parametrize("width", [PHONE, TABLET, DESK])
@pytest.mark.parametrize("path", ["", "api"])
def test_nothing_sticks_out_in_light_and_dark(page: Page, service: RunningService, width: int, path: str) -> None:
    seen = []
    for dark in (False, True):
        page.look_like(width=width, dark=dark)
        page.open(address(service) + path)
        page.wait_for("document.querySelector('h1')")
        assert too_wide(page, width) == []
        assert page.run("document.documentElement.scrollWidth") <= width
        assert faint(page) == []
        seen.append(page.run("getComputedStyle(document.body).backgroundColor"))
    light, dark_one = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in seen)
    assert light > 700
    assert dark_one < 100


def test_all_can_be_reached_by_keyboard_and_has_a_name(page: Page) -> None:
    reached = []
    for _ in range(12):
        page.press("Tab", 9)
        reached.append(page.run("document.activeElement.id || document.activeElement.innerText"))
    assert reached == [
        *("Skip to the content", "predict-files", "live-start"),
        *("class-name", "lesson-files", "record-start", "lesson-folder", "Teach"),
        *("Rename", "Forget") * 2,
    ]
    nameless = page.run(
        "[...document.querySelectorAll('input, button')].filter((part) => !(part.labels?.length || part.innerText ||"
        " part.ariaLabel)).map((part) => part.outerHTML)"
    )
    assert nameless == []


def test_without_the_token_the_page_asks_for_it(browser: Page, service: RunningService) -> None:
    browser.call("Page.navigate", url="about:blank")
    browser.open(address(service))
    browser.run("sessionStorage.clear()")
    browser.call("Page.reload")
    browser.wait_for("document.querySelector('#access')?.hidden === false")
    assert browser.run("document.activeElement.id") == "token"
    assert browser.run("document.querySelector('#trouble').hidden")
    browser.type("not-this-one-0123456789")
    browser.press("Enter", 13)
    browser.wait_for(
        "document.querySelector('#access').hidden === false && document.querySelector('#token').value == ''"
    )
    browser.type(TOKEN)
    browser.press("Enter", 13)
    browser.wait_for("document.querySelectorAll('#known li').length == 2")
    assert browser.run("document.querySelector('#access').hidden")
    assert TOKEN not in browser.run("location.href + document.cookie + JSON.stringify(localStorage)")
