"""The page where classes change: answers are corrected, folders taught, classes renamed and merged, in two tabs too."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_camera import frames_of
from page_checks import address, check_looks, click, text
from running_service import TAUGHT, RunningService, running_service

from chromium import Page
from video_files import write_video

DOWN, GROW, LEFT = TAUGHT


@pytest.fixture(scope="module")
def service(taught_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("changes")
    bundle = Path(shutil.copy(taught_bundle, folder / "actions.bundle"))
    with running_service(bundle, folder / "s") as running:
        yield running


@pytest.fixture
def page(browser: Page, service: RunningService) -> Iterator[Page]:
    """The page as it is with the three classes that were taught before; lessons of other tests stay listed."""
    while service.ask("POST", "/undo").status == 200:
        pass
    browser.look_like(width=1280, dark=False)
    browser.open(address(service))
    browser.console.clear()
    browser.wait_for("document.querySelectorAll('#known li').length == 3")
    yield browser
    assert browser.console == []
    browser.open("about:blank")


def _known(page: Page) -> list[str]:
    return list(page.run("[...document.querySelectorAll('#known li > span')].map((part) => part.innerText)"))


def _lessons(service: RunningService) -> Counter[str]:
    """Return how many lessons are in each state, those of other tests too."""
    return Counter(job["state"] for job in service.ask("GET", "/jobs").json["jobs"])


def test_a_wrong_answer_is_corrected_and_asked_again(page: Page, small_data: Path, tmp_path: Path) -> None:
    clip = next(small_data.glob("test/2-up/*"))
    page.choose("#predict-files", [clip])
    page.wait_for("document.querySelector('#answers video')?.videoWidth > 0")
    first = text(page, "#answers h3")
    assert text(page, ".correct summary") == "Wrong: it is ..."
    page.run("document.querySelector('.correct summary').focus()")
    page.press("Enter", 13)
    page.press("Tab", 9)
    page.press("Enter", 13)
    page.wait_for("document.querySelector('.correct [role=status]').innerText == 'Give the name of its class.'")
    check_looks(page, "an answer that is corrected")
    page.type("2-up")
    page.press("Enter", 13)
    page.wait_for("document.querySelector('#answers h3').innerText == '2-up'")
    page.wait_for("document.querySelector('.correct [role=status]').innerText.startsWith('Taught as 2-up.')")
    assert f"Before: {first}" in text(page, "#answers li")
    assert _known(page)[3:] == ["2-up (1 clip)"]
    # The same clip is taught once; the reason is beside the answer.
    page.press("Enter", 13)
    page.wait_for("document.querySelector('.correct .warn')?.innerText.includes('taught before')")
    # What the browser cannot play has its frames alone.
    odd = write_video(tmp_path / "odd.avi", frames_of(clip, size=(64, 64)), codec="mpeg4")
    page.choose("#predict-files", [odd])
    page.wait_for("document.querySelectorAll('#answers > li').length == 2")
    page.wait_for("document.querySelectorAll('#answers > li:first-child img').length == 8")
    page.wait_for("!document.querySelector('#answers > li:first-child video')")


def test_folders_are_classes_that_are_confirmed_and_taught_in_turn(
    page: Page, service: RunningService, small_data: Path, tmp_path: Path
) -> None:
    before = _lessons(service)
    root = tmp_path / "given"
    for name, split in (("2-up", "train"), (LEFT, "test"), ("2-right", "train")):
        shutil.copytree(small_data / split / name, root / name)
    (root / "2-up" / "notes.txt").touch()
    (root / "2-up" / ".hidden.mp4").touch()
    (root / "nothing").mkdir()
    (root / "nothing" / "a.pdf").touch()
    (tmp_path / "empty").mkdir()
    folders = [*(root / name for name in ("2-up", LEFT, "2-right", "nothing")), tmp_path / "empty"]
    page.drop("#lesson-drop", folders)
    page.wait_for("!document.querySelector('#folders').hidden")
    assert page.run("[...document.querySelectorAll('#folders li')].map((row) => row.innerText.trim())") == [
        f"{LEFT}: 2 clips, further ones of a known class",
        "2-right: 4 clips",
        "2-up: 4 clips",
    ]
    for words in ("Without a clip: empty, nothing. Passed over: 3 files", "1 hidden", "2 no video by its extension"):
        assert words in text(page, "#folders-rest")
    check_looks(page, "folders to teach")
    click(page, "#folders-cancel")
    assert page.run("document.querySelector('#folders').hidden")
    assert _lessons(service) == before
    # The same by the picker, which gives the folder of folders.
    page.choose("#lesson-folder", [root])
    page.wait_for("document.querySelectorAll('#folders li').length == 3")
    assert "Without a clip: nothing." in text(page, "#folders-rest")
    page.run("document.querySelectorAll('#folders input')[1].click()")
    click(page, "#folders-teach")
    page.wait_for(f"document.querySelectorAll('#jobs [data-state=done]').length == {before['done'] + 2}")
    page.wait_for("document.querySelectorAll('#known li').length == 4")
    assert _known(page) == [f"{DOWN} (4 clips)", f"{GROW} (4 clips)", f"{LEFT} (6 clips)", "2-up (4 clips)"]
    assert page.run("document.querySelector('#folders').hidden")
    # A data set's folder is no class.
    page.drop("#lesson-drop", [small_data / "train", small_data / "test"])
    page.wait_for("document.querySelector('#folders-title').innerText.includes('drop the folder train')")
    assert page.run("document.querySelector('#folders-teach').hidden")


def test_a_folder_is_recognised_clip_by_clip(page: Page, small_data: Path, tmp_path: Path) -> None:
    shutil.copytree(small_data / "test" / LEFT, tmp_path / "asked")
    (tmp_path / "asked" / "notes.txt").touch()
    page.drop("#predict-drop", [tmp_path / "asked"])
    page.wait_for("document.querySelectorAll('#answers img').length == 16")
    assert "Passed over: 1 file (1 no video by its extension)." in text(page, "#predict-limits")


def test_classes_are_renamed_merged_by_a_second_press_and_parted_by_undo(page: Page) -> None:
    page.run(f"document.querySelector('[aria-label=\"Rename {LEFT}\"]').focus()")
    page.press("Enter", 13)
    page.wait_for("document.activeElement.value == '2-left'")
    page.press("Enter", 13)
    page.wait_for("document.querySelector('#change-status').innerText.includes('has that name already')")
    page.console.clear()  # the browser notes every answer of 400 and above
    page.type("<i>waving</i>")
    page.press("Enter", 13)
    page.wait_for("document.querySelector('#change-status').innerText == '2-left is <i>waving</i> now.'")
    assert _known(page)[2] == "<i>waving</i> (4 clips)"
    page.run(f"document.querySelector('[aria-label=\"Rename {DOWN}\"]').click()")
    page.wait_for(f"document.activeElement.value == '{DOWN}'")
    page.type(GROW)
    page.press("Enter", 13)
    page.wait_for("document.querySelector('.renaming p').innerText.startsWith('2-grow is known. Merge')")
    assert len(page.run("[...document.querySelectorAll('#known li')].map((row) => row.innerText)")) == 3
    check_looks(page, "a class that is merged")
    page.press("Enter", 13)
    page.wait_for("document.querySelector('#change-status').innerText == '2-down is part of 2-grow now.'")
    assert _known(page) == ["2-grow (8 clips)", "<i>waving</i> (4 clips)"]
    assert page.run("document.activeElement.id") == "undo"
    for classes in (3, 3):
        page.press("Enter", 13)
        page.wait_for("document.querySelector('#change-status').innerText == 'The last change is undone.'")
        page.run("document.querySelector('#change-status').textContent = ''")
        assert len(_known(page)) == classes
        page.run("document.querySelector('#undo').focus()")
    assert _known(page)[2] == f"{LEFT} (4 clips)"


def test_two_tabs_show_the_lessons_of_both_and_the_same_classes(
    page: Page, service: RunningService, small_data: Path
) -> None:
    before = _lessons(service)
    first = page.open_tab()
    page.open(address(service))
    page.wait_for("document.querySelectorAll('#known li').length == 3")
    second = page.use_tab(first)
    # What is typed in one stays while the other changes the classes.
    click(page, f'[aria-label="Rename {DOWN}"]')
    page.wait_for(f"document.activeElement.value == '{DOWN}'")
    for tab, name in ((first, "2-up"), (second, "2-right")):
        page.use_tab(tab)
        page.choose("#lesson-files", sorted((small_data / "train" / name).iterdir()))
        page.run(f"document.querySelector('#class-name').value = '{name}'")
        click(page, "#lesson button[type=submit]")
    for tab in (first, second):
        page.use_tab(tab)
        page.wait_for(f"document.querySelectorAll('#jobs [data-state=done]').length == {before['done'] + 2}")
        page.wait_for("document.querySelectorAll('#known li').length == 5")
        newest = [text(page, f"#jobs li:nth-child({place})") for place in (1, 2)]
        assert sorted(name for name in ("2-up", "2-right") for lesson in newest if name in lesson) == [
            "2-right",
            "2-up",
        ]
    click(page, f'[aria-label="Forget {GROW}"]')
    page.wait_for("document.querySelectorAll('#known li').length == 4")
    page.use_tab(first)
    page.wait_for("document.querySelectorAll('#known li').length == 4")
    assert page.run("document.querySelector('.renaming input').value") == DOWN
    page.use_tab(second)
    page.call("Page.close")
    page.use_tab(first)
