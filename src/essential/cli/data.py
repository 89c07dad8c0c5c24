"""`essential data`: import and audit annotation lists, check videos on disk, make the embedded benchmark's videos."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from essential.cli import data_check
from essential.cli.terminal import say

app = typer.Typer(no_args_is_help=True)
app.command("check")(data_check.check)


@app.callback()
def _group() -> None:
    """Import and audit annotation lists, check videos on disk, make the embedded benchmark's videos.

    \b
    Examples:
      essential data make moving-digits --out digits
      essential data import LIST.pkl --out list.json
      essential data audit list.json
    """


@app.command()
def make(
    benchmark: Annotated[Literal["moving-digits", "moving-digits-untrimmed"], typer.Argument(help="Which benchmark.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to make: train/<class>/* and test/<class>/*.")],
    digits: Annotated[int, typer.Option("--digits", min=1, max=10, help="How many digits move; 8 classes each.")] = 3,
    train_clips: Annotated[int, typer.Option("--train-clips", min=1, max=9999, help="Training clips per class.")] = 40,
    test_clips: Annotated[int, typer.Option("--test-clips", min=1, max=9999, help="Test clips per class.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of all that is drawn.")] = 0,
) -> None:
    """Make the videos of a benchmark as files.

    They are H.264 in MP4, every fourth MPEG-4 in AVI. A stopped command goes on when it is run again.

    \b
    Example:
      essential data make moving-digits --out digits
    """
    import os

    from essential.cli.progress_bar import terminal_progress
    from essential.progress import phase, when_free
    from essential.protocols.moving_digits import MovingDigitsConfig, make_moving_digits

    config = MovingDigitsConfig(
        digits=digits,
        train_clips_per_class=train_clips,
        test_clips_per_class=test_clips,
        untrimmed=benchmark == "moving-digits-untrimmed",
        seed=seed,
    )
    progress = terminal_progress()
    with phase(progress, f"make {benchmark}", 0):
        when_free(
            progress,
            make_moving_digits,
            out,
            config,
            workers=os.cpu_count() or 1,
            progress=lambda done, total: progress.advance(done, total=total),
        )
    say(f"videos: {out}")


@app.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="LIST", help="A list of vCLIMB (a pickle), ActivityNet (JSON) or Kinetics (CSV), or one of ours."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The list to write, as JSON; an older list there is replaced.")],
) -> None:
    """Turn a published annotation list into one of ours: JSON that can be read, compared and hashed.

    The pickle is read as data; nothing in it can run. Train on the list with -s data.kind=list -s data.path=FILE.json.

    \b
    Example:
      essential data import UCF101_data.pkl --out ucf101.json
    """
    from essential.cli.list_tables import entry_findings, print_list
    from essential.protocols.audit import audit_list
    from essential.protocols.video_list import import_list, refuse_other_file, write_video_list

    refuse_other_file(out)
    video_list = import_list(source)
    write_video_list(video_list, out)
    print_list(video_list)
    for finding in entry_findings(audit_list(video_list.tasks)):
        say(f"note: {finding}")
    say(f"sha256: {video_list.sha256}")
    say(f"list: {out}")


@app.command()
def audit(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A list of ours, or a published one (a pickle).")],
) -> None:
    """Say what a reader of results on a list must know: leaks between splits, imbalance, odd entries.

    It informs: also where much is found, the exit code is 0.

    \b
    Example:
      essential data audit ucf101.json
    """
    from essential.cli.list_tables import findings, print_list
    from essential.errors import DataError
    from essential.protocols.audit import audit_list
    from essential.protocols.listed import refuse_unusable
    from essential.protocols.video_list import open_list

    video_list = open_list(source)
    print_list(video_list)
    for finding in findings(audit_list(video_list.tasks)):
        say(f"- {finding}")
    try:
        refuse_unusable(video_list.tasks, video_list.name)
    except DataError as error:
        say(f"no run can use this list: {error}")
