"""The page with a camera, which shows a video of ours: takes are recorded, taught and recognised live."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_camera import camera_flags, frames_of, write_camera_file
from page_checks import address, check_looks, click, text
from running_service import TAUGHT, RunningService, running_service

from chromium import BROWSER, Page, browser_page

NEW = "2-turn-left"
TAKES = 8
TAKE_SECONDS = 1.2
SHOWN = "2-up"


@pytest.fixture(scope="module")
def service(taught_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("camera")
    bundle = Path(shutil.copy(taught_bundle, folder / "actions.bundle"))
    with running_service(bundle, folder / "s", "--allow-host", "insecure.example") as running:
        yield running


@pytest.fixture(scope="module")
def camera(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser with a camera that shows the clips of a class, one after the other."""
    if BROWSER is None:
        pytest.skip("no chromium or google-chrome on this machine")
    folder = tmp_path_factory.mktemp("browser")
    frames = [frame for clip in sorted(small_data.glob(f"*/{SHOWN}/*")) for frame in frames_of(clip, size=(320, 240))]
    flags = camera_flags(write_camera_file(folder / "camera.y4m", frames))
    # A name that is not this machine's own: pages there are not secure, so they get no camera.
    with browser_page(folder / "profile", *flags, "--host-resolver-rules=MAP insecure.example 127.0.0.1") as page:
        yield page


@pytest.fixture
def page(camera: Page, service: RunningService) -> Iterator[Page]:
    """The page, newly opened; nothing but this service is asked for anything, and the console is empty at the end."""
    camera.console.clear()
    camera.requested.clear()
    camera.look_like(width=1280, dark=False)
    camera.open(address(service))
    camera.wait_for("document.querySelectorAll('#known li').length >= 3")
    yield camera
    assert camera.console == []
    own = (address(service), f"blob:{address(service)}", "data:image/", "about:blank")
    assert [url for url in camera.requested if not url.startswith(own)] == []


def _open_recorder(page: Page) -> None:
    page.run("document.querySelector('#record-start').focus()")
    page.press("Enter", 13)
    page.wait_for("document.querySelector('#record-view').videoWidth == 320")
    assert page.run("document.activeElement.id") == "record-hold"


def _takes(page: Page) -> int:
    return int(page.run("document.querySelectorAll('#lesson-clips li').length"))


def _record(page: Page, hold: Callable[[], None]) -> None:
    """Record a take, again if the machine was too busy for its frames."""
    before = _takes(page)
    for _ in range(10):
        page.run("document.querySelector('#record-status').textContent = ''")
        hold()
        page.wait_for("document.querySelector('#record-status').innerText")
        if _takes(page) == before + 1:
            return
    pytest.fail(text(page, "#record-status"))


def test_a_class_is_recorded_taught_and_recognised_live(page: Page) -> None:
    _open_recorder(page)
    for number in range(1, TAKES + 1):
        _record(page, lambda: page.press(" ", 32, seconds=TAKE_SECONDS))
        assert _takes(page) == number
    assert text(page, "#lesson-count") == "8 clips; 10 or more are best."
    assert text(page, "#record-status").startswith("Take 8, ")
    page.wait_for(
        "[...document.querySelectorAll('#lesson-clips video')].filter((video) => video.duration > 0.8 &&"
        " video.duration < 60 && video.videoWidth == 320).length == 8"
    )
    check_looks(page, "the recorder and takes")
    click(page, "#record-stop")
    page.run("document.querySelector('#class-name').focus()")
    page.type(NEW)
    page.press("Enter", 13)
    page.wait_for(f"document.querySelector('#known').innerText.includes('{NEW} (8 clips)')")
    assert "Learned from 8 clips." in text(page, "#jobs li")
    page.run("document.querySelector('#live-start').focus()")
    page.press("Enter", 13)
    page.wait_for(f"document.querySelector('#live-label').innerText == '{NEW}'")
    assert text(page, "#live-scores li span") == NEW
    facts = text(page, "#live-facts")
    assert "s behind the camera" in facts
    assert "frames sent" in facts
    assert "dropped" in facts
    check_looks(page, "what is recognised live")
    page.run("globalThis.track = document.querySelector('#live-view').srcObject.getVideoTracks()[0]")
    assert page.run("track.readyState") == "live"
    assert page.run("document.activeElement.id") == "live-stop"
    page.press("Enter", 13)
    page.wait_for("document.querySelector('#live').hidden")
    assert page.run("track.readyState") == "ended"
    assert page.run("document.activeElement.id") == "live-start"
    click(page, "#undo")
    page.wait_for("document.querySelectorAll('#known li').length == 3")


def test_takes_are_held_by_mouse_finger_and_keys_and_short_ones_are_told(page: Page) -> None:
    _open_recorder(page)
    _record(page, lambda: page.hold("#record-hold", seconds=TAKE_SECONDS))
    _record(page, lambda: page.hold("#record-hold", seconds=TAKE_SECONDS, finger=True))
    page.run("document.querySelector('#record-hold').focus()")
    _record(page, lambda: page.press("Enter", 13, seconds=TAKE_SECONDS))
    page.run(
        "for (const kind of ['keydown', 'keyup'])"
        " document.querySelector('#record-hold').dispatchEvent(new KeyboardEvent(kind, { key: ' ' }))"
    )
    page.wait_for("document.querySelector('#record-status').innerText.startsWith('Not used, too short: 0.')")
    assert text(page, "#record-status").endswith("1 s and 8 frames are needed.")
    assert _takes(page) == 3
    assert "One below 1 second, or below the 8 frames" in text(page, "#record-rule")
    click(page, "#lesson-clips button")
    assert "take 1" not in text(page, "#lesson-clips")
    assert _takes(page) == 2


def test_the_camera_goes_off_when_the_page_is_hidden_and_what_was_recorded_stays(page: Page) -> None:
    _open_recorder(page)
    page.run("globalThis.track = document.querySelector('#record-view').srcObject.getVideoTracks()[0]")
    # Live has the same camera: it takes it over.
    click(page, "#live-start")
    page.wait_for("!document.querySelector('#live').hidden")
    assert page.run("[track.readyState, document.querySelector('#recorder').hidden]") == ["ended", True]
    _open_recorder(page)
    assert page.run("document.querySelector('#live').hidden")
    page.run("globalThis.track = document.querySelector('#record-view').srcObject.getVideoTracks()[0]")
    page.call("Input.dispatchKeyEvent", type="keyDown", key=" ", code="Space", windowsVirtualKeyCode=32)
    page.wait_for("parseFloat(document.querySelector('#record-hold').innerText.split(' ')[1]) > 3")
    page.run(
        "Object.defineProperty(document, 'hidden', { get: () => true, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))"
    )
    assert page.run("track.readyState") == "ended"
    assert text(page, "#record-trouble") == "The camera is off, because this page was left."
    page.wait_for("document.querySelectorAll('#lesson-clips li').length == 1")
    page.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))")
    click(page, "#live-start")
    page.wait_for("!document.querySelector('#live').hidden")
    assert page.run("document.querySelector('#live-window').value") == "4", "the nearest to the take's length"
    click(page, "#live-stop")


def test_a_page_that_is_not_secure_says_how_to_get_the_camera(camera: Page, service: RunningService) -> None:
    camera.console.clear()
    camera.open(address(service, "insecure.example"))
    camera.wait_for("document.querySelectorAll('#known li').length == 3")
    click(camera, "#record-start")
    camera.wait_for("!document.querySelector('#record-trouble').hidden")
    said = text(camera, "#record-trouble")
    assert f"this is http://insecure.example:{service.port}. Open it as http://localhost:{service.port}" in said
    click(camera, "#live-start")
    camera.wait_for("!document.querySelector('#live-trouble').hidden")
    check_looks(camera, "what to do without a camera")
    # The browser remarks on one of the headers there.
    assert [line for line in camera.console if "Cross-Origin-Opener-Policy" not in line] == []


def test_without_a_camera_the_page_says_so_and_the_rest_works(
    browser: Page, service: RunningService, small_data: Path
) -> None:
    browser.open(address(service))
    browser.wait_for("document.querySelectorAll('#known li').length == 3")
    for button, place in (("#live-start", "#live-trouble"), ("#record-start", "#record-trouble")):
        click(browser, button)
        browser.wait_for(f"!document.querySelector('{place}').hidden")
        assert "finds no camera. Connect one and try again" in text(browser, place)
    for name, words in (
        ("NotAllowedError", "may not use the camera. Allow it"),
        ("NotReadableError", "Another program"),
    ):
        browser.run(
            f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{name}'));"
            " document.querySelector('#live-start').click()"
        )
        browser.wait_for(f"document.querySelector('#live-trouble').innerText.includes('{words}')")
    browser.choose("#predict-files", [next(small_data.glob(f"test/{TAUGHT[0]}/*"))])
    browser.wait_for("document.querySelectorAll('#answers img').length == 8")
    assert browser.console == []
