"""`essential predict`: label clips or long videos."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

from essential.cli.answers import CLIP_COLUMNS, SPAN_COLUMNS, Format, printer, streamed
from essential.cli.options import BundleFile, Overrides, argument, option, refuse_given
from essential.cli.terminal import say

if TYPE_CHECKING:
    from essential.cli.answers import Answer
    from essential.learner.clips import Expanded
    from essential.learner.contact_sheet import ContactSheet
    from essential.learner.video_learner import VideoLearner

_FROM_INPUT = "-"

_CAMERA = "Label a camera live (0, rtsp://...), by windows of 2 s."
_INPUT = "Videos, or folders of them; - or nothing: a path per line of standard input."


def predict(  # noqa: PLR0913, PLR0917 - each is an option of its own
    bundle: BundleFile,
    paths: Annotated[list[str] | None, argument("PATH", _INPUT)] = None,
    form: Annotated[Format, option("--format", None, "The last three: with --window, spans.")] = "table",
    top_k: Annotated[int, option("--top-k", "N", "Labels of each clip in JSON lines.", min=1)] = 5,
    window: Annotated[
        float | None, option("--window", "SECONDS", "Long videos: print labelled spans.", min=0.04)
    ] = None,
    stride: Annotated[float | None, option("--stride", "SECONDS", "Window to window; default: half.", min=0.04)] = None,
    shortest: Annotated[
        float | None, option("--shortest", "SECONDS", "Shorter spans are flicker; default: the window.", min=0)
    ] = None,
    sheet: Annotated[Path | None, option("--sheet", "FILE.png", "Also write an image of frames and labels.")] = None,
    camera: Annotated[str | None, option("--camera", "CAMERA", _CAMERA)] = None,
    every: Annotated[float | None, option("--every", "SECONDS", "Camera: from answer to answer.", min=0.01)] = None,
    overrides: Overrides = None,
) -> None:
    """Label clips or long videos.

    A clip that cannot be read is named, the others are labelled, and the exit code is 2.

    \b
    Examples:
      essential predict actions.bundle clip.mp4 more-clips
      find . -name '*.mp4' | essential predict actions.bundle --format jsonl
      essential predict actions.bundle match.mp4 --window 4
      essential predict actions.bundle match.mp4 --window 4 --format vtt
      essential predict actions.bundle clips --sheet seen.png
      essential predict actions.bundle --camera 0
    """
    if camera is not None:
        from essential.cli.live import LiveOptions, watch

        others = {"PATH": paths, "--stride": stride, "--shortest": shortest, "--sheet": sheet}
        refuse_given(others, "beside --camera", "give a camera, or files to label")
        watch(bundle, camera, LiveOptions(window, every, streamed(form), top_k, overrides or ()))
        return
    refuse_given({"--every": every}, "without --camera", "give both, or neither")
    of_spans = {"--stride": stride, "--shortest": shortest}
    _refuse_wrong_use(form, paths or [], window=window, of_spans=of_spans, sheet=sheet)
    windows = {"window_seconds": window, "stride_seconds": stride, "shortest_seconds": shortest}
    wanted = None if window is None else windows
    _label(bundle, paths or [], form, top_k=top_k, windows=wanted, sheet=sheet, overrides=overrides or ())


def _label(
    bundle: Path,
    paths: list[str],
    form: Format,
    *,
    top_k: int,
    windows: dict[str, Any] | None,
    sheet: Path | None,
    overrides: Sequence[str],
) -> None:
    """Print what clips show, or with `windows` the spans of long videos."""
    given = _given(bundle, paths)

    # Here, as torch takes seconds to import.
    from essential.errors import VideoError
    from essential.learner.clips import Expanded
    from essential.learner.contact_sheet import ContactSheet
    from essential.learner.video_learner import VideoLearner
    from essential.results.formats import counted

    found = Expanded(_named(given))
    learner = VideoLearner.load(bundle, overrides=overrides)
    image = None if sheet is None else ContactSheet(learner.classes)
    if windows is None:
        clips = learner.stream(found, top_k=top_k, with_frames=sheet is not None)
        answered: Iterator[Sequence[Answer]] = ([answer] for answer in clips)
    else:
        answered = _of_long_videos(learner, found, windows)
    with printer(form, CLIP_COLUMNS if windows is None else SPAN_COLUMNS) as show:
        videos, lost = _show(answered, show, image)
    if image is not None and sheet is not None:
        image.write(sheet)
        say(f"image: {sheet}" + (f"; {image.left_out} more clips not shown" if image.left_out else ""), err=True)
    nothing = "" if videos else "nothing to label: no path came on standard input"
    offer = _offer(bundle, paths, learner.classes) if windows is None else ""
    for note in filter(None, (found.passed_over.line, nothing, offer)):
        say(note, err=True)
    if lost:
        raise VideoError(f"{lost} of {counted(videos, 'clip')} could not be read (see above)")


def _show(
    answered: Iterator[Sequence["Answer"]], show: Callable[["Answer"], None], image: "ContactSheet | None"
) -> tuple[int, int]:
    """Print the answers as they come, and return how many videos there were, and how many could not be read."""
    from essential.learner.prediction import Prediction

    videos = lost = 0
    for answers in answered:
        for answer in answers:
            show(answer)
            if isinstance(answer, Prediction):
                lost += answer.error is not None
                if image is not None:
                    image.add(answer)
        videos += 1
    return videos, lost


def _offer(bundle: Path, paths: Sequence[str], classes: tuple[str, ...]) -> str:
    """Return how the first folder of known classes is tested, if there is one."""
    from essential.protocols.folder import holds_class

    folders = (path for path in paths if holds_class(Path(path), classes))
    folder = next(folders, None)
    return "" if folder is None else f"to count what is right: essential test {quote(str(bundle))} {quote(folder)}"


def _refuse_wrong_use(
    form: Format, paths: list[str], *, window: float | None, of_spans: Mapping[str, object], sheet: Path | None
) -> None:
    from essential.errors import ConfigError
    from essential.learner.contact_sheet import check_place

    if window is None:
        refuse_given(of_spans, "without --window", "give both, or neither")
        streamed(form)
    else:
        refuse_given({"--sheet": sheet}, "beside --window, which makes spans", "give one of the two")
    if sheet is not None:
        check_place(sheet)
    is_one_file = len(paths) == 1 and paths[0] != _FROM_INPUT and not os.path.isdir(paths[0])  # noqa: PTH112
    if form in ("vtt", "srt") and not is_one_file:
        raise ConfigError(
            f"--format {form} is of one video", remedy="name one file, or take jsonl, csv or label-studio"
        )


def _given(bundle: Path, paths: list[str]) -> list[str]:
    """Return the paths, or `-` for standard input, if there are a bundle and something to label."""
    from essential.errors import ConfigError
    from essential.learner.clips import refuse_absent, refuse_missing

    given = paths or [_FROM_INPUT]
    if _FROM_INPUT in given and (sys.stdin is None or (not paths and sys.stdin.isatty())):
        raise ConfigError("no clip is given; name files or folders, or send a list of paths to standard input")
    refuse_missing(bundle)
    if _FROM_INPUT not in given:
        refuse_absent(given)
    return given


def _named(given: list[str]) -> Iterator[str]:
    """Yield the paths, and in the place of `-` those that come on standard input."""
    for path in given:
        if path == _FROM_INPUT:
            if isinstance(sys.stdin, TextIOWrapper):
                sys.stdin.reconfigure(errors="surrogateescape")  # names are bytes, whatever the locale's text is
            yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
        else:
            yield path


def _of_long_videos(
    learner: "VideoLearner", paths: "Expanded", windows: dict[str, Any]
) -> "Iterator[Sequence[Answer]]":
    """Yield the spans of each video, or why it cannot be read."""
    from essential.errors import VideoError
    from essential.learner.prediction import Prediction

    for path, problem in paths:
        try:
            if problem is not None:
                raise VideoError(problem)
            yield learner.predict_spans(path, **windows)
        except VideoError as error:
            yield [Prediction(path, error=error.problem)]
