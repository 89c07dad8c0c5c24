"""`essential evaluate`: score a run's checkpoints."""

import typer

from essential.cli.options import Run


def evaluate(run: Run) -> None:
    """Score a finished run's checkpoints on its test videos.

    Nothing is trained or rehearsed. Writes DIR/evaluation.json, which has the form of record.json.

    \b
    Example:
      essential evaluate runs/first
    """
    from essential.cli.progress_bar import terminal_progress
    from essential.cli.tables import print_runs, run_name
    from essential.engine.run import evaluate as score
    from essential.records import Record

    record = score(run, progress=terminal_progress())
    record.write(run / "evaluation.json")
    print_runs([(run_name(run), record)])
    same = record.accuracy == Record.read(run / "record.json").accuracy
    typer.echo("the same accuracies as in record.json" if same else "these accuracies differ from record.json")
    typer.echo(f"evaluation: {run / 'evaluation.json'}")
