"""`essential evaluate`: score a run's checkpoints."""

from essential.cli.options import Overrides, Run
from essential.cli.terminal import say


def evaluate(run: Run, overrides: Overrides = None) -> None:
    """Evaluate a run's checkpoints on its test videos.

    Nothing is trained. Writes RUN/evaluation.json, which has the form of record.json. Use -s if the videos or the store
    are elsewhere now. The first evaluation of an imported run needs its data, and writes RUN/record.json.

    \b
    Examples:
      essential evaluate runs/first
      essential evaluate runs/first -s data.root=ELSEWHERE
    """
    from essential.cli.progress_bar import terminal_progress
    from essential.cli.runs import print_runs, print_skipped, run_name
    from essential.engine.ranks import open_process_group
    from essential.engine.score import evaluate as score
    from essential.files.atomic import refuse_unwritable
    from essential.records import Record

    with open_process_group() as group:
        if group.first:
            refuse_unwritable(run / "evaluation.json")
        before = Record.read(run / "record.json") if (run / "record.json").exists() else None
        record = score(run, overrides=overrides or [], progress=terminal_progress(), group=group)
        if not group.first:
            return
    record.write(run / "evaluation.json")
    print_runs([(record.marked(run_name(run)), record)])
    print_skipped(record)
    scored, tasks = len(record.accuracy), len(record.protocol.tasks)
    if scored < tasks:
        say(f"note: evaluated after {scored} of {tasks} tasks, as many as there are checkpoints")
    modules = sum(entry.kind == "retrieval_modules" for entry in record.ledger)
    if record.method.config.get("memory_mode") == "task" and modules != tasks:
        say(f"note: the network has {modules} MR modules, one per task, but the protocol has {tasks} tasks")
    if before is not None:
        same = record.accuracy == before.accuracy
        say("the same accuracies as in record.json" if same else "these accuracies differ from record.json")
    say(f"evaluation: {run / 'evaluation.json'}")
