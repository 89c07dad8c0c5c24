"""Work on what another process holds waits for it, and says for which."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from essential import progress as progress_module
from essential.engine.run import extract
from essential.errors import InUseError
from essential.files.atomic import folder_lock
from essential.progress import Progress, when_free
from small_runs import small_config


class _Watched(Progress):
    """Takes down what the work waits for, and lets it have that at once."""

    def __init__(self, held: ExitStack) -> None:
        self.reasons: list[str] = []
        self._held = held

    def say(self, note: str) -> None:
        self.reasons.append(note.removeprefix("waiting: "))
        self._held.close()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "_PAUSE_SECONDS", 0)


@pytest.mark.parametrize("what", ["features", "videos"])
def test_a_second_extraction_waits_for_the_first_and_says_for_whom(small_data: Path, tmp_path: Path, what: str) -> None:
    store = tmp_path / "store"
    config = small_config("finetune", small_data, store, "features.workers=0", "features.views=0", "video.frames=2")
    with ExitStack() as held:
        held.enter_context(
            folder_lock(store, name=".lock-0-of-1")
            if what == "features"
            else folder_lock(small_data, name=".lock-videos")
        )
        progress = _Watched(held)
        folder, broken = extract(config, progress=progress)
    holds = store if what == "features" else small_data
    wanted = f"{holds} is in use by process {os.getpid()}; wait for it to end, or choose another folder"
    assert (folder, broken, progress.reasons) == (store, {}, [wanted])


def test_a_reason_is_told_once() -> None:
    holders = ["process 1", "process 1", "process 2"]

    def work() -> str:
        if holders:
            raise InUseError(holders.pop(0))
        return "done"

    progress = _Watched(ExitStack())
    assert when_free(progress, work) == "done"
    assert progress.reasons == ["process 1", "process 2"]
