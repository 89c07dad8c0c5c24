"""`essential learn`: teach a bundle new classes."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from essential.cli.options import Method, Overrides
from essential.cli.terminal import say

_HELD_OUT = 4


def learn(
    into: Annotated[Path, typer.Option("--into", help="The bundle; made if it is missing.", metavar="BUNDLE")],
    videos: Annotated[Path, typer.Option("--videos", help="Clips laid out as DIR/<class>/*.mp4.", metavar="DIR")],
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="Of a new bundle: clip-vit-b16 (downloaded once), tiny, or another.")
    ] = None,
    method: Method = None,
    budget_bytes: Annotated[
        int | None, typer.Option("--budget-bytes", min=1, help="Of a new bundle: most bytes to keep of old clips.")
    ] = None,
    config: Annotated[
        str | None, typer.Option("--config", help="Of a new bundle: a config for everything else.", metavar="NAME")
    ] = None,
    held_out: Annotated[
        int | None,
        typer.Option(
            "--held-out",
            min=0,
            help="Of a new bundle: clips of a class, of 20 or more, to judge by and not learn from.",
        ),
    ] = None,
    more_of_known: Annotated[
        bool, typer.Option("--more-of-known", help="Classes that are known get these as further clips.")
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Teach new classes from folders of clips. The clips are not needed again.

    The bundle is one file: the classifier, its memory, its labels. It is written whole or not at all.

    \b
    Examples:
      essential learn --into actions.bundle --videos clips
      essential learn --into actions.bundle --videos new-clips      later, without the old ones
      essential learn --into small.bundle --videos clips --encoder tiny --budget-bytes 1000000
    """
    from essential.cli.bundle_tables import print_lesson
    from essential.cli.progress_bar import terminal_progress
    from essential.errors import BundleError, NoNetworkError
    from essential.files.atomic import file_lock
    from essential.learner.bundle import Bundle
    from essential.learner.clips import clips_by_class, refuse_known
    from essential.learner.video_learner import VideoLearner

    # Before an encoder is downloaded in vain.
    clips = clips_by_class(videos)
    progress = terminal_progress()
    with file_lock(into):
        if into.exists():
            asked = {"--encoder": encoder, "--method": method, "--budget-bytes": budget_bytes, "--config": config}
            asked |= {"--held-out": held_out}
            fixed = [option for option, value in asked.items() if value is not None]
            if fixed:
                raise BundleError(
                    f"{into} is there already, and {', '.join(fixed)} can be given for a new bundle only; leave it out"
                )
        read = Bundle.read(into, overrides or ()) if into.exists() else None
        if read is not None and not more_of_known:
            refuse_known(clips.videos, read.classes)
        try:
            if read is not None:
                learner = VideoLearner(bundle=read, progress=progress)
            else:
                learner = VideoLearner(
                    encoder=encoder,
                    method=method,
                    memory_budget_bytes=budget_bytes,
                    config=config or "own/essential",
                    overrides=overrides or (),
                    held_out_per_class=_HELD_OUT if held_out is None else held_out,
                    progress=progress,
                )
        except NoNetworkError as error:
            command = shlex.join(["essential", *sys.argv[1:]])
            tiny = [] if read else [f"{command} --encoder tiny"]
            raise NoNetworkError("\n  ".join([str(error), *tiny, f"{command} -s encoder.weights=FILE"])) from error
        lesson = learner.learn(clips, more_of_known=more_of_known)
        written = learner.save(into)
    print_lesson(lesson, learner.memory, number=len(learner.lessons))
    say(f"bundle: {into} ({written:,} bytes, {len(learner.classes)} classes)\ntry: essential predict {into} CLIP")
