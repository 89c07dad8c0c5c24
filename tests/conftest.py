"""Fixtures for all tests. This file also lets every test import the modules of this folder, such as `video_files`."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import jaxtyping
import pytest
import torch
from hypothesis import settings

from in_process import Essential, Outcome
from threads import THREADS

if TYPE_CHECKING:
    from chromium import Page

pytest.register_assert_rewrite("essential.contract.test_methods")

# What this machine has downloaded decides nothing: `encoder.name=auto` finds no CLIP, here and in processes of tests.
os.environ["HF_HUB_CACHE"] = str(Path(__file__).parent / "nothing-downloaded")

# No test is timed: how long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# The modules, of the tests, of Python and ours, that start processes, train whole runs or open a browser.
_SLOW = frozenset(
    {
        *("chromium", "running_service", "small_runs", "small_world", "subprocess"),
        *("essential.features.pipeline", "essential.video.check", "essential.video.worker_pool"),
    }
)

# The folders whose tests run whole commands, runs and lessons: of these the parts have their shapes checked elsewhere.
_OF_WHOLES = frozenset({"cli", "docs", "end_to_end", "learner"})


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark as slow, for `make quick`, the tests of each file that imports something slow; check no shapes of wholes."""
    if item.path.parent.name in _OF_WHOLES and isinstance(item, pytest.Function):
        item.fixturenames.append("shapes_checked_elsewhere")
    of_file = vars(item.getparent(pytest.Module).obj).values()
    if not _SLOW.isdisjoint(getattr(value, "__module__", getattr(value, "__name__", None)) for value in of_file):
        item.add_marker("slow")


@pytest.fixture
def without_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make no analysis and no figures after a run from the command line: they take longer than a small run itself."""
    monkeypatch.setattr("essential.cli.runs.analysis_of", lambda *_, **__: None)
    monkeypatch.setattr("essential.report.write_report", lambda _, path: path.write_text("a page"))


@pytest.fixture
def shapes_checked_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check no shapes at run time: half of the time of a test that trains, where others have the same steps checked."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(autouse=True)
def few_threads() -> None:
    """Give torch one thread, whatever the test before has set: on tiny tensors, more of them only wait for each other.

    With `OMP_NUM_THREADS` it has as many as that says. Small runs and learners do the same.
    """
    torch.set_num_threads(THREADS)


@pytest.fixture(scope="module", autouse=True)
def given_back() -> Iterator[None]:
    """Give freed memory back to the system after each file.

    A command that ran in here lets the process keep it, gigabytes in the end, and a fork copies the table of its pages.
    """
    yield
    from essential.engine.allocator import give_back_freed_memory

    give_back_freed_memory()


@pytest.fixture
def float64() -> Iterator[None]:
    """Compute in float64: see `in_float64.py`."""
    from in_float64 import in_float64

    with in_float64():
        yield


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Return the folder of reference material beside the repository; skip the test where there is none."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("the reference material (../shared) is not on this machine")
    return folder


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the clips of `small_runs`, made once per test run."""
    from small_runs import make_small_data

    return make_small_data(tmp_path_factory.mktemp("small") / "data")


@pytest.fixture(scope="session")
def small_store(small_data: Path) -> Path:
    """Return the folder where all small runs keep their features."""
    return small_data.parent / "features"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Page"]:
    """Give a tab of a real browser; skip the test where there is none."""
    from chromium import BROWSER, browser_page

    if BROWSER is None:
        pytest.skip("no chromium or google-chrome on this machine")
    with browser_page(tmp_path_factory.mktemp("browser") / "profile") as page:
        yield page


@pytest.fixture
def essential(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Essential:
    """Return a function that runs one command line inside the test's process, as its script does."""
    from essential.cli import main

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("ESSENTIAL_DEBUG", raising=False)

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["essential", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        code = stop.value.code
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run
