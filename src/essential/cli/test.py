"""`essential test`: how good a bundle is on clips whose classes are known."""

# ruff: noqa: PT028 - it is a command, not a test

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from essential.cli.options import BundleFile, FrameRate, Overrides, argument, option, refuse_given
from essential.cli.span_tests import SpanOptions, print_span_results
from essential.cli.terminal import say, say_json
from essential.errors import ConfigError, VideoError
from essential.protocols.class_names import NONE_OF_THESE
from essential.shown import named, printable

if TYPE_CHECKING:
    from essential.learner.clip_results import ClipResults, Share
    from essential.learner.clips import GivenClips

_CLIPS = "Clips as DIR/<class>/*.mp4, of classes that the bundle knows or not; or a file of labelled spans."
_OVERLAP = "Spans: found from this intersection over union on.  [default: 0.5]"
_MISTAKES, _WRONG = 10, 20
# Letters of a text, of one in a row and of two.
_LONGEST = {1: 26, 2: 34}
# So that a page stays below 3 MB.
_THUMBNAIL_BYTES = 1_000_000


def test(  # noqa: PLR0913, PLR0917 - an option each
    bundle: BundleFile,
    clips: Annotated[Path, argument("PATH", _CLIPS)],
    form: Annotated[Literal["table", "json"], option("--format", None, "Tables, or one JSON document.")] = "table",
    page: Annotated[Path | None, option("--page", "FILE.html", "Also write a page with the wrong clips.")] = None,
    window: Annotated[float | None, option("--window", "SECONDS", "Spans: as of predict.", min=0.04)] = None,
    stride: Annotated[float | None, option("--stride", "SECONDS", "Spans: as of predict.", min=0.04)] = None,
    shortest: Annotated[float | None, option("--shortest", "SECONDS", "Spans: as of predict.", min=0)] = None,
    overlap: Annotated[float | None, option("--overlap", "SHARE", _OVERLAP, min=0.01, max=1)] = None,
    videos: Annotated[Path | None, option("--videos", "DIR", "Spans: where the videos are.")] = None,
    frame_rate: FrameRate = None,
    overrides: Overrides = None,
) -> None:
    """Test a bundle on a folder of clips.

    Or on labelled spans of long videos: which are found by windows, as predict
    finds them, with precision and recall.

    The accuracy is of the classes that the bundle knows; "none of these" is wrong for their clips. Clips of other
    classes are counted apart: for them it is right. A clip that cannot be read is named, and the exit code is 2.

    \b
    Examples:
      essential test actions.bundle test-clips
      essential test actions.bundle test-clips --page test.html
      essential test actions.bundle test-clips --format json > test.json
      essential test actions.bundle spans.csv --videos recordings --window 2
    """
    from essential.files.atomic import refuse_unwritable
    from essential.learner.clips import clips_by_class, refuse_missing

    if page is not None:
        refuse_unwritable(page)
    refuse_missing(bundle)
    options = SpanOptions(window, stride, shortest, overlap, videos, frame_rate)
    if clips.is_file() or (window is not None and not clips.exists()):
        if page is not None:
            raise ConfigError("--page shows clips, and spans are tested", remedy="leave it out")
        print_span_results(bundle, clips, options, form, overrides)
        return
    refuse_given(options.by_name, "without a file of spans", "leave it out, or give a file")
    results = _results(bundle, clips_by_class(clips, split="test"), overrides, with_frames=page is not None)
    if page is not None:
        results.write_page(page, title=f"{bundle.name} on {clips.name or clips}")
        say(f"page: {page}", err=True)
    if form == "json":
        say_json(results.as_json())
    else:
        _print(results, clips)
    _tell_unread(results)


def _results(bundle: Path, given: "GivenClips", overrides: Sequence[str] | None, *, with_frames: bool) -> "ClipResults":
    # Here, as torch takes seconds to import.
    from essential.cli.progress_bar import terminal_progress
    from essential.learner.video_learner import VideoLearner

    learner = VideoLearner.load(bundle, overrides=overrides or (), progress=terminal_progress())
    return learner.test(given, thumbnail_bytes=_THUMBNAIL_BYTES if with_frames else 0)


def _tell_unread(results: "ClipResults") -> None:
    """Name the clips that could not be read, and raise a VideoError if there are any."""
    from essential.results.formats import counted

    for clip in results.unread:
        say(f"cannot be read: {clip.path}: {printable(clip.error)}", err=True)
    if results.unread:
        total = results.total.clips + results.open_set.clips + len(results.unread)
        raise VideoError(f"{len(results.unread)} of {counted(total, 'clip')} could not be read (see above)")


def _print(results: "ClipResults", folder: Path) -> None:
    """Print tables, and the figure that counts last, where long tables leave it on the screen."""
    from essential.cli.console import print_table

    shares = results.shares
    by_class = [(name, *_cells(shares[name]), results.answers[name].get(None, 0)) for name in results.known]
    by_class.sort(key=lambda row: shares[row[0]].accuracy or 0)
    others = [(name, *_cells(shares[name])) for name in results.unknown_classes]
    mistakes = [
        (each.label, each.taken_for or NONE_OF_THESE, f"{each.clips} of {shares[each.label].clips}")
        for each in results.mistakes
    ]
    wrong = [
        (
            _end_of(str(each.path.relative_to(folder))),
            each.predicted or f"{NONE_OF_THESE} (closest: {each.closest.label})",
            f"{each.closest.score:.4f}",
        )
        for each in results.wrong
    ]
    for columns, rows, texts, most in (
        (("class", "right", "accuracy", "95 % interval", NONE_OF_THESE), by_class, 1, len(by_class)),
        (("class not in the bundle", NONE_OF_THESE, "share", "95 % interval"), others, 1, len(others)),
        (("class", "taken for", "clips"), mistakes, 2, _MISTAKES),
        (("wrong clip", "answer", "score"), wrong, 2, _WRONG),
    ):
        if rows:
            print_table(columns, [_cells_of(row, texts) for row in rows[:most]], names=texts)
            say(f"and {len(rows) - most:,} more; --format json has all\n" if len(rows) > most else "")
    for line in _figures(results):
        say(line)


def _figures(results: "ClipResults") -> list[str]:
    """Return what is said of all clips, a line each."""
    from essential.results.formats import counted

    total, unknown = results.total, results.open_set
    right, accuracy, interval = _cells(total)
    lines = [f"accuracy: {accuracy} ({right} clips; 95 % interval {interval}, Wilson)"]
    if not total.clips:
        lines = ["accuracy: none, as no clip of a class that the bundle knows could be read"]
    if results.answered_none:
        closest = f"; for {results.closest_right} the closest class is right" if results.closest_right else ""
        lines.append(f'answered "{NONE_OF_THESE}": {results.answered_none}, which is wrong{closest}')
    if results.unknown_classes:
        classes = f"{counted(len(results.unknown_classes), 'class')} not in the bundle"
        lines.append(f'{classes}: {_of(unknown)} clips answered "{NONE_OF_THESE}", as they should')
    if not results.can_say_none:
        lines.append(f'this bundle never answers "{NONE_OF_THESE}": too few clips were held out')
    if results.untested:
        lines.append(f"not tested: {counted(len(results.untested), 'class')} of the bundle: {named(results.untested)}")
    if results.taught:
        several = "clips were" if results.taught > 1 else "clip was"
        lines.append(f"warning: {results.taught} {several} taught to this bundle, so the accuracy is too high")
    return lines


def _cells(share: "Share") -> tuple[str, str, str]:
    """Return how many are right, which share that is in percent, and its interval."""
    if share.accuracy is None or share.interval is None:
        return _of(share), "-", "-"
    low, high = share.interval
    return _of(share), f"{share.accuracy:.1%}".replace("%", " %"), f"{100 * low:.1f} to {100 * high:.1f} %"


def _cells_of(row: Sequence[object], texts: int) -> list[str]:
    """Return cells that fit into 80 columns; the other forms have the whole names."""
    from essential.results.formats import shortened

    return [shortened(str(cell), _LONGEST[texts]) for cell in row]


def _end_of(path: str) -> str:
    return path if len(path) <= _LONGEST[2] else f"\u2026{path[1 - _LONGEST[2] :]}"


def _of(share: "Share") -> str:
    return f"{share.right} of {share.clips}"
