"""`essential learn`: teach a bundle new classes."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from essential.cli.classes import print_classes
from essential.cli.completion import config_names, encoder_names
from essential.cli.options import FrameRate, Method, Overrides, option, refuse_given
from essential.cli.terminal import bundle_told_on_ctrl_c, say

if TYPE_CHECKING:
    from essential.learner.bundle import Bundle, Lesson
    from essential.learner.clips import Given
    from essential.learner.video_learner import VideoLearner
    from essential.spans.labelled_span import LabelledSpan

_NEW = "New bundle: "
_ENCODER = f"{_NEW}clip-vit-b16 (downloads), efficientnet-lite0, ...; default: CLIP if it is here."
_BUDGET = f"{_NEW}most bytes kept of old clips, such as 512KiB."
_HELD_OUT = f"{_NEW}most clips per class kept for checking, one in five.  [default: 4]"
_SPANS = "Labelled spans: CSV, JSON, CVAT, ELAN, WebVTT, ... (docs/spans.md)."
_WINDOW = "Spans: cut them into clips as long as predict's --window."
_DESCRIBE = "A text for a class, which its words are taken from (repeatable; method words)."
# The options of a new bundle, and what the learner calls them.
_OF_NEW = {
    **{"--encoder": "encoder", "--method": "method", "--config": "config"},
    **{"--budget-bytes": "memory_budget_bytes", "--held-out": "held_out_per_class"},
}
# Options that can hold what only another encoder takes than the one that is installed.
_OF_AN_ENCODER = ("--encoder", "--describe", "--method", "-s", "--set")


def learn(  # noqa: PLR0913, PLR0917 - an option each
    into: Annotated[Path, option("--into", "BUNDLE", "The bundle; made if it is missing.")],
    videos: Annotated[
        Path | None, option("--videos", "DIR", "Clips as DIR/<class>/*.mp4; of --spans: its videos.")
    ] = None,
    spans: Annotated[Path | None, option("--spans", "FILE", _SPANS)] = None,
    window: Annotated[float | None, option("--window", "SECONDS", _WINDOW, min=0.04)] = None,
    frame_rate: FrameRate = None,
    encoder: Annotated[str | None, option("--encoder", "NAME", _ENCODER, autocompletion=encoder_names)] = None,
    method: Method = None,
    budget: Annotated[str | None, option("--budget-bytes", "SIZE", _BUDGET)] = None,
    config: Annotated[
        str | None, option("--config", "NAME", f"{_NEW}config for all other settings.", autocompletion=config_names)
    ] = None,
    held_out: Annotated[int | None, option("--held-out", "N", _HELD_OUT, min=0)] = None,
    more_of_known: Annotated[bool, option("--more-of-known", None, "Allow more clips for known classes.")] = False,
    describe: Annotated[list[str] | None, option("--describe", "CLASS=TEXT", _DESCRIBE)] = None,
    overrides: Overrides = None,
) -> None:
    """Teach a bundle new classes from folders of clips.

    Or from labelled spans of long videos. The clips are not needed again. The
    bundle is one file: classifier, memory and labels. It is written whole or
    not at all.

    \b
    Examples:
      essential learn --into actions.bundle --videos clips
      essential learn --into actions.bundle --videos new-clips
      essential learn --into actions.bundle --spans spans.csv --videos recordings
      essential learn --into small.bundle --videos clips \\
        --encoder efficientnet-lite0
      essential learn --into words.bundle --videos clips --encoder clip-vit-b16 \\
        --describe "wave=a person waves a hand"
    """
    # What is given is read before anything is imported that takes seconds.
    given = _given(videos, spans, window=window, frame_rate=frame_rate)
    described = _described(describe or ())
    if described and method is None and config is None and not into.exists():
        method = "words"
    of_new = dict(zip(_OF_NEW.values(), (encoder, method, config, _bytes(budget), held_out), strict=True))
    new = {name: value for name, value in of_new.items() if value is not None}
    with bundle_told_on_ctrl_c(into):
        _teach(into, given, new, overrides=overrides or (), described=described, more_of_known=more_of_known)


def _teach(
    into: Path,
    given: "Given | Sequence[LabelledSpan]",
    new: Mapping[str, Any],
    *,
    overrides: Sequence[str],
    described: Mapping[str, str],
    more_of_known: bool,
) -> None:
    """Teach the bundle at `into`, or one with the options `new`, write it, and print what was learned."""
    from essential.cli.progress_bar import terminal_progress
    from essential.files.atomic import file_lock
    from essential.learner.clips import clips_by_class, refuse_known

    clips = clips_by_class(given)
    with file_lock(into):
        read = _read(into, new, overrides)
        if read is not None and not more_of_known:
            refuse_known(clips.videos, read.model.classes)
        settings = {**new, "overrides": overrides}
        if described:
            _refuse_undescribed(read, settings, described, [*clips.videos])
        # From here on an encoder may be downloaded.
        learner = _learner(read, {**settings, "progress": terminal_progress()})
        lesson = learner.learn(clips, more_of_known=more_of_known, describe=described)
        written = learner.save(into)
    _print_lesson(lesson, learner)
    _print_bundle(into, learner, written)
    say(f"try: essential predict {into} {'CLIP' if isinstance(given, Path) else 'VIDEO --window SECONDS'}")


def _bytes(budget: str | None) -> int | None:
    """Return the bytes of a text such as 512KiB; a ConfigError that names the option if it is none."""
    from essential.errors import ConfigError
    from essential.results.formats import parsed_size

    try:
        return None if budget is None else parsed_size(budget)
    except ConfigError as error:
        raise ConfigError(error.problem, where="--budget-bytes", remedy=error.remedy) from error


def _read(into: Path, new: Mapping[str, Any], overrides: Sequence[str]) -> "Bundle | None":
    """Return the bundle to go on with, if there is one; refuse the options of a new one beside it."""
    from essential.errors import BundleError
    from essential.learner.bundle import Bundle

    if not into.exists():
        return None
    if new:
        options = ", ".join(option for option, name in _OF_NEW.items() if name in new)
        instead = ", and give -s method.budget_bytes=N" if "memory_budget_bytes" in new else ""
        raise BundleError(
            f"{into} is there already, and {options} can be given for a new bundle only; leave it out{instead}"
        )
    return Bundle.read(into, overrides)


def _refuse_undescribed(
    read: "Bundle | None", new: Mapping[str, Any], described: Mapping[str, str], classes: Sequence[str]
) -> None:
    """Raise a ConfigError if a class that is described is not taught, or its description has no use."""
    from essential.learner.bundle import new_settings
    from essential.learner.lesson_words import with_descriptions

    if read is None:
        chosen = {name: new.get(name) for name in ("encoder", "method", "config")}
        begun = new_settings(**chosen, overrides=new["overrides"], budget_bytes=new.get("memory_budget_bytes"))
    else:
        begun = read.config
    with_descriptions(begun, described, classes)


def _given(
    videos: Path | None, spans: Path | None, *, window: float | None, frame_rate: float | None
) -> "Given | Sequence[LabelledSpan]":
    """Return the folder of clips, or the spans of a file, cut into windows if that is asked for."""
    from essential.errors import ConfigError
    from essential.spans.reading import read_spans

    if spans is not None:
        found = read_spans(spans, videos=videos, frame_rate=frame_rate, tell=partial(say, err=True))
        if window is None:
            return found
        from essential.learner.cutting import cut_spans

        return cut_spans(found, window_seconds=window)
    if videos is None:
        raise ConfigError("no clips are given", remedy="give --videos DIR, or --spans FILE")
    of_spans = {"--window": window, "--frame-rate": frame_rate}
    refuse_given(of_spans, "without --spans", "leave it out, or give --spans FILE")
    return videos


def _described(given: Sequence[str]) -> dict[str, str]:
    """Return the texts by class of options such as `wave=a person waves a hand`."""
    from essential.errors import ConfigError
    from essential.protocols.class_names import same_name

    texts: dict[str, str] = {}
    for each in given:
        name, sign, text = each.partition("=")
        name = same_name(name)
        problem = "is not of the form CLASS=TEXT" if not (sign and name) else "describes a class again"
        if not (sign and name) or name in texts:
            raise ConfigError(problem, where=f"--describe {each!r}", remedy="give each class one text: 'wave=a person'")
        texts[name] = text
    return texts


def _learner(read: "Bundle | None", settings: Mapping[str, Any]) -> "VideoLearner":
    """Return the learner of a bundle, or a new one; without a network, with commands to copy in the error."""
    from essential.errors import NoNetworkError
    from essential.learner.video_learner import VideoLearner

    try:
        if read is not None:
            return VideoLearner(bundle=read, progress=settings["progress"])
        return VideoLearner(**settings)
    except NoNetworkError as error:
        words = ["essential", *sys.argv[1:]]
        ways = [shlex.join([*words, "-s", "encoder.weights=FILE"])]
        if read is None:
            ways.insert(0, shlex.join(_by_installed_encoder(words)))
        raise NoNetworkError(
            error.problem, where=error.where, remedy="\n  ".join([error.remedy or "that is:", *ways])
        ) from error


def _by_installed_encoder(words: Sequence[str]) -> list[str]:
    """Return a command with the encoder that is installed, without settings of another, and without texts for it."""
    from essential.encoders.config import LITE

    kept, given = [], iter(words)
    for word in given:
        option, sign, value = word.partition("=")
        if option not in _OF_AN_ENCODER:
            kept.append(word)
            continue
        value = value if sign else next(given, "")
        if option in ("--method", "-s", "--set") and not value.startswith(("words", "zero-shot", "encoder.")):
            kept += [option, value]
    return [*kept, "--encoder", LITE]


def _print_lesson(lesson: "Lesson", learner: "VideoLearner") -> None:
    from essential.cli.console import size

    print_classes([lesson], first=len(learner.lessons))
    for key, reason in lesson.skipped.items():
        say(f"skipped: {key}: {reason}")
    if counts := learner.recognised:
        weakest, (right, of) = min(counts.items(), key=lambda item: item[1][0] / item[1][1])
        right_of_all, of_all = map(sum, zip(*counts.values(), strict=True))
        worst = f" (weakest: {weakest}, {right} of {of})" if right < of else ""
        say(f"held-out clips recognised: {right_of_all} of {of_all}{worst}")
    say(f"kept of clips: {size(sum(entry.bytes for entry in learner.memory))}")


def _print_bundle(into: Path, learner: "VideoLearner", written: int) -> None:
    from essential.cli.console import size
    from essential.results.formats import counted

    say(f"bundle: {into} ({size(written)}, {counted(len(learner.classes), 'class')})")
