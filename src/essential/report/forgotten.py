"""Test clips that were known and are not in the end, with pictures of as many as the page has room for."""

from collections.abc import Sequence
from dataclasses import dataclass

from essential.analysis_record import MOST_FORGOTTEN, ForgottenClip
from essential.report.run_view import RunView

_PICTURE_LETTERS = 700_000
"""Of all pictures on a page together, so that it stays below 3 MB."""


@dataclass(frozen=True)
class ForgottenView:
    """The clips shown of a run, and how many there are in all."""

    clips: Sequence[ForgottenClip]
    count: int


def forgotten_clips(runs: Sequence[RunView]) -> dict[RunView, ForgottenView]:
    """Return what is shown of each run, in turns until the page is full: the surest mistakes of every run first."""
    analyses = [(run, run.analysis) for run in runs if run.analysis and run.analysis.forgotten]
    chosen: dict[RunView, list[ForgottenClip]] = {run: [] for run, _ in analyses}
    room = _PICTURE_LETTERS
    for place in range(MOST_FORGOTTEN):
        for run, analysis in analyses:
            for clip in analysis.forgotten[place : place + 1]:
                room -= sum(map(len, clip.frames))
                if room >= 0:
                    chosen[run].append(clip)
    return {run: ForgottenView(chosen[run], analysis.forgotten_count) for run, analysis in analyses}
