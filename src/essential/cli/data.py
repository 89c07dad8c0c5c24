"""`essential data`: make the embedded benchmark's videos."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from essential.cli import data_check

app = typer.Typer(no_args_is_help=True)
app.command("check")(data_check.check)


class Benchmark(str, Enum):
    """What `essential data make` can make."""

    MOVING_DIGITS = "moving-digits"
    UNTRIMMED = "moving-digits-untrimmed"


@app.callback()
def _group() -> None:
    """Make the videos of an embedded benchmark.

    \b
    Example:
      essential data make moving-digits --out digits
    """


@app.command()
def make(
    benchmark: Annotated[Benchmark, typer.Argument(help="Which benchmark.")],
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
    from essential.progress import phase
    from essential.protocols.moving_digits import MovingDigitsConfig, make_moving_digits

    config = MovingDigitsConfig(
        digits=digits,
        train_clips_per_class=train_clips,
        test_clips_per_class=test_clips,
        untrimmed=benchmark is Benchmark.UNTRIMMED,
        seed=seed,
    )
    progress = terminal_progress()
    with phase(progress, f"make {benchmark.value}", 0):
        make_moving_digits(
            out, config, workers=os.cpu_count() or 1, progress=lambda done, total: progress.advance(done, total=total)
        )
    typer.echo(f"videos: {out}")
