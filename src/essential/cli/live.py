"""`essential predict --camera`: label what a camera shows, until Ctrl-C."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from essential.cli.answers import StreamedForm, clock, row_printer, verdict
from essential.cli.terminal import say

if TYPE_CHECKING:
    from rich.console import Group

    from essential.learner.live import LiveRecogniser
    from essential.learner.prediction import Prediction
    from essential.learner.video_learner import VideoLearner
    from essential.video.camera import Camera

_COLUMNS = ("seconds", "label", "score", "unknown", "unknown_score", "latency_seconds")
_BAR = 30
_PERCENT = 95
# Of the frames a second that are needed; a camera that gives fewer is slow.
_SLOW = 0.9


@dataclass(frozen=True)
class LiveOptions:
    """What `predict` was told; None: the default."""

    window: float | None
    every: float | None
    form: StreamedForm
    top_k: int
    overrides: Sequence[str]


class _Shown(NamedTuple):
    """An answer: seconds from the start, what the window shows, its latency, and how many frames there were so far."""

    seconds: float
    prediction: "Prediction"
    latency_seconds: float
    frames: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        content = self.prediction.as_json()
        del content["path"]
        times = {"seconds": round(self.seconds, 3), "latency_seconds": round(self.latency_seconds, 4)}
        return {**times, **content, "frames": dict(self.frames)}


def watch(bundle: Path, camera: str, options: LiveOptions) -> None:
    """Label what a camera shows until Ctrl-C; a CameraError if it cannot be opened, or is gone."""
    from essential.learner.clips import refuse_missing
    from essential.video.camera import camera_address, open_camera

    address = camera_address(camera)
    refuse_missing(bundle)
    with closing(open_camera(address)) as source:
        # With torch, which a camera that cannot be opened does not wait for.
        from essential.learner.live import WINDOW_SECONDS
        from essential.learner.video_learner import VideoLearner

        learner = VideoLearner.load(bundle, overrides=options.overrides)
        window = WINDOW_SECONDS if options.window is None else options.window
        recogniser = learner.live(window_seconds=window, every_seconds=options.every)
        _warm_up(learner)
        every = recogniser.every_seconds
        say(f"{source.name}: the last {window:g} s, every {every:g} s; stop with Ctrl-C", err=True)
        _recognise(source, recogniser, options)


def _warm_up(learner: "VideoLearner") -> None:
    """Answer frames of nothing: what is imported, and prepared, when it is first used takes seconds."""
    import numpy as np

    recogniser = learner.live(window_seconds=1.0)
    for number in range(2 * recogniser.frames):
        recogniser.push(np.zeros((64, 64, 3), np.uint8), number * recogniser.frame_seconds)


def _recognise(camera: "Camera", recogniser: "LiveRecogniser", options: LiveOptions) -> None:
    began, latencies, is_noted = time.monotonic(), list[float](), False
    try:
        with _display(options.form) as (show, note), suppress(KeyboardInterrupt):
            for pixels, seconds in camera.frames(every_seconds=recogniser.frame_seconds, most=recogniser.frames):
                recogniser.add(pixels, seconds)
                # Where this machine is behind, it answers seldom and of the newest frames, and not late.
                is_time = recogniser.answers_due > camera.is_waiting
                answer = recogniser.answer(top_k=options.top_k) if is_time else None
                if answer is None:
                    continue
                latencies.append(time.monotonic() - answer.seconds)
                show(_Shown(seconds - began, answer.prediction, latencies[-1], _counts(camera, recogniser)))
                if not is_noted and (slow := _slow(camera, recogniser, seconds=seconds - began)):
                    note(slow)
                    is_noted = True
    finally:
        _summarise(latencies, _counts(camera, recogniser), seconds=time.monotonic() - began)


def _counts(camera: "Camera", recogniser: "LiveRecogniser") -> dict[str, int]:
    counts = {"received": camera.received, "used": recogniser.used, "dropped": camera.dropped}
    return {**counts, "repeated": recogniser.repeated, "damaged": camera.damaged}


def _slow(camera: "Camera", recogniser: "LiveRecogniser", *, seconds: float) -> str:
    """Return what is too slow: this machine, the camera, or nothing."""
    needed, rate = 1 / recogniser.frame_seconds, camera.received / seconds
    if camera.dropped:
        remedy = "give a longer --window, or a bundle of a smaller encoder"
        return f"this machine is behind: frames that were needed are dropped, {camera.dropped} so far; {remedy}"
    if recogniser.repeated and rate < _SLOW * needed:
        few = f"the camera gives {rate:.1f} frames a second, and the window needs {needed:.1f}"
        return f"{few}: some stand in for others; give a longer --window"
    return ""


def _summarise(latencies: Sequence[float], counts: Mapping[str, int], *, seconds: float) -> None:
    from essential.results.formats import counted

    latency = ""
    if latencies:
        high = sorted(latencies)[-(-len(latencies) * _PERCENT // 100) - 1]
        median = statistics.median(latencies)
        latency = f"; latency {median:.3f} s (median), {high:.3f} s ({_PERCENT}th percentile)"
    say(f"{counted(len(latencies), 'answer')} in {seconds:.1f} s{latency}", err=True)
    rest = counts["received"] - counts["used"] - counts["dropped"]
    named = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name != "damaged")
    say(f"frames: {named}, {rest} more than needed", err=True)


@contextmanager
def _display(form: StreamedForm) -> Iterator[tuple[Callable[[_Shown], None], Callable[[str], None]]]:
    """Give what shows an answer, and what says something beside it: on a screen that is renewed, or line by line."""
    if form == "table" and sys.stdout.isatty():
        from rich.live import Live

        from essential.cli.console import Terminal

        console = Terminal()
        with Live(console=console, auto_refresh=False) as live:
            yield lambda shown: live.update(_table(shown), refresh=True), console.print
    else:
        write = row_printer(form, _COLUMNS)
        yield lambda shown: write(shown.as_json(), _line(shown)), partial(say, err=True)


def _line(shown: _Shown) -> str:
    return f"{clock(shown.seconds):>9}  {verdict(shown.prediction)}  latency {shown.latency_seconds:.3f} s"


def _table(shown: _Shown) -> "Group":
    """Return the verdict, the labels with their scores, and how it goes."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    counts = ", ".join(f"{shown.frames[name]} {name}" for name in ("received", "used", "dropped"))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("label", max_width=36, no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("", width=_BAR, no_wrap=True)
    for label, score in shown.prediction.top:
        table.add_row(label, f"{score:.4f}", "#" * round(_BAR * score))
    first = Text(f"{clock(shown.seconds)}  {verdict(shown.prediction)}", style="bold", no_wrap=True)
    return Group(first, table, Text(f"latency {shown.latency_seconds:.3f} s; frames: {counts}", style="dim"))
