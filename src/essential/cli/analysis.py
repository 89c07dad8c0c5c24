"""The analysis of a run, as commands make it: where it cannot be made, they say why and go on without."""

from pathlib import Path
from typing import TYPE_CHECKING

from essential.cli.terminal import say
from essential.errors import EssentialError

if TYPE_CHECKING:
    from essential.records.analysis import Analysis


def analysis_of(run: Path, *, unverified: bool = False) -> "Analysis | None":
    """Return the analysis of the run in a folder, made now if it is not there yet; None, and a note, if it cannot be.

    A record that stands alone, with nothing of its run beside it, has none, and nothing is said of that.
    """
    from essential.analysis import analyse
    from essential.cli.progress_bar import terminal_progress

    if not any((run / name).exists() for name in ("analysis.json", "config.yaml")):
        return None
    try:
        return analyse(run, progress=terminal_progress(), unverified=unverified)
    except EssentialError as error:
        say(f"note: there is no analysis of {run}: {error}", err=True)
        return None
