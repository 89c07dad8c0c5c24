"""Running `essential` inside the test's process, as its script does."""

import sys

import pytest
from in_process import Essential, Outcome

from essential.cli import main


@pytest.fixture
def essential(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Essential:
    """Return a function that runs one command line."""
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
