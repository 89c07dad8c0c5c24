"""What a shell asks for at a press of the key, by typer's protocol, in a process of its own as there."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # it starts processes

_ASK = """
import sys
sys.argv[0] = "essential"
from essential.cli import main
try:
    main()
finally:
    assert not sys.modules.keys() & {"torch", "numpy", "av"}, "a key press is no time to load them"
"""


def completed(line: str) -> list[str]:
    """Return what bash is offered for the last word of a line."""
    words = line.split(" ")
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_ESSENTIAL_COMPLETE": "complete_bash"}
    result = subprocess.run(
        [sys.executable, "-c", _ASK], capture_output=True, text=True, check=False, env={**os.environ, **asked}
    )
    assert "Traceback" not in result.stderr, result.stderr
    return result.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("essential tr", {"train"}),
        ("essential predict --wi", {"--window"}),
        ("essential train --config moving-digits/repl", {"moving-digits/replay-dense", "moving-digits/replay-sparse"}),
        ("essential extract --config own/sp", {"own/spectral"}),
        ("essential learn --method spec", {"spectral"}),
        ("essential learn --encoder efficient", {"efficientnet-lite0"}),
        ("essential configs show own/sp", {"own/spectral"}),
        ("essential configs show fe", {"fecam"}),
        # Nothing is offered: the shell then completes files.
        ("essential predict ./a", set()),
        ("essential train --config ./mine", set()),
    ],
)
def test_bash_completes_commands_options_and_names(line: str, expected: set[str]) -> None:
    found = completed(line)
    assert set(found) >= expected
    assert all(name.startswith(line.rpartition(" ")[2]) for name in found)
    assert expected or not found


def test_the_script_for_bash_falls_back_to_files() -> None:
    # Typer prints the script of the shell that it was started from; this names one.
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    result = subprocess.run(
        [sys.executable, "-c", _ASK, "--show-completion", "bash"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **named},
    )
    assert result.returncode == 0, result.stderr
    assert "complete -o default" in result.stdout
