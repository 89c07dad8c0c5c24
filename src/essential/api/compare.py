"""Many methods, budgets and seeds on one protocol: plan the runs, check them, and do those that are not complete.

    OUT/
      runs/METHOD-SEED/           one run folder each
      runs/METHOD-BUDGET-SEED/    at a memory budget, such as 150KiB
      compare.*, compare.html     what `report` makes of their records

Runs share videos and features. The same call continues a comparison, also with more methods, budgets or seeds. Where
the cores hold several runs (`training.threads`), so many are done at once, each in a process of its own; on a Ray
cluster, as many as it has room for.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from multiprocessing import active_children, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from essential.analysis import analyse
from essential.api.planned_runs import PlannedRun, plan_runs
from essential.child_process import end_with_parent
from essential.encoders import refuse_without_tower
from essential.engine.allocator import keep_freed_memory
from essential.engine.process_group import SingleProcess
from essential.engine.ray_extraction import encoder_on
from essential.engine.ray_pool import RayCluster, run_on_ray
from essential.engine.run import train
from essential.engine.run_folder import RunFolder
from essential.engine.settings import RunConfig, choose_device
from essential.engine.store_beside import store_beside
from essential.engine.turns import turn
from essential.engine.words import known_words
from essential.engine.workspace import Workspace, data_root, open_workspace
from essential.errors import ComparisonError, ConfigError, EssentialError, FileSystemError
from essential.features.cores import cpu_cores
from essential.files.atomic import explained_os_errors, make_folder, refuse_unwritable, remove_unfinished
from essential.files.cache import cache_folder
from essential.progress import QUIET, Progress, phase, when_free
from essential.records import Record
from essential.video.worker_pool import Lost

_AT_ONCE = 8
OnRun = Callable[[PlannedRun, int, int], None]


def compare(
    protocol: str,
    out: str | Path,
    *,
    methods: Sequence[str] | str,
    seeds: Sequence[int] = (0,),
    budgets: Sequence[int | str] | int | str = (),
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    on_run: OnRun | None = None,
    cluster: RayCluster | None = None,
) -> list[tuple[str, Record]]:
    """Run methods on one protocol, with the same features and seeds; what is complete is read, not repeated.

    Each method that takes a memory budget is run at each of the budgets, the others once. A method that has no room in
    a budget is left out there.

    With `training.threads` several runs are done at once, in processes that import the calling script: there, it
    must stand below `if __name__ == "__main__":`.

    Args:
        protocol: a shipped config, the folder of such, or a YAML file; its own method is used as it is there.
        out: the comparison's folder; each run has one below it, `runs/METHOD-SEED` or `runs/METHOD-BUDGET-SEED`.
        methods: shipped methods, in the order to show; `all` stands for every one. Where the encoder's text tower is on
            this machine or given, `zero-shot` is added as the floor; else `all` leaves out what is made of words.
        seeds: of the runs.
        budgets: caps on what a method keeps, in bytes or as "150KiB,2MiB", in the place of any number per class.
        overrides: such as `data.root=DIR`, for every run.
        progress: shows how far it is.
        on_run: called when a run begins: with it, its number from 1, and how many there are to do.
        cluster: does the runs, and extracts the features; its machines see `out`, the videos and the store under the
            same paths.

    Returns:
        The records of all, each under its method's name; `record.method.budget_bytes` is its budget.

    Raises:
        ConfigError: no such config or method; one named twice; a setting that a method does not have, or that the
            comparison itself makes; a budget that is no size, or that no method can use.
        ComparisonError: a run failed, when all others are done; or a folder holds a run on another protocol.
        EssentialError: a folder holds another run, or the data cannot be used; nothing is learned then.
    """
    runs = plan_runs(protocol, out, methods, seeds, budgets=budgets, overrides=overrides)
    runs, _ = check_runs(runs, progress or Progress(), cluster)
    return do_runs(runs, progress or Progress(), on_run, cluster)


def check_runs(
    runs: Sequence[PlannedRun], progress: Progress, cluster: RayCluster | None = None
) -> tuple[list[PlannedRun], list[str]]:
    """Refuse, before anything is learned, what cannot be run or compared; then extract the features.

    Where a finished store of the same features lies beside the comparison, the runs read that one.

    Returns:
        The runs that there is room for; and of each method and budget that there is none for, why.

    Raises:
        RunError: a folder holds a run of other settings, or of other features.
        ComparisonError: a folder holds a run on another protocol.
        ConfigError: a method does not fit the encoder, or a budget no method that takes one.
    """
    out = runs[0].folder.parent.parent
    if out.exists() and not out.is_dir():
        raise ComparisonError("is a file", where=out, remedy="choose a folder, which is made if it is missing")
    refuse_unwritable(out / "compare.html")
    for run in runs:
        folder = RunFolder(run.folder)
        if folder.begun:
            folder.refuse_another(run.config.with_absolute_paths())
    for run in runs:
        if run.config.needs_words:
            refuse_without_tower(run.config.encoder)
    with turn(runs[0].config.training.threads):
        workspace = open_workspace(runs[0].config.with_absolute_paths(), progress)
        refusals = _refusals([run for run in runs if run.seed == runs[0].seed], workspace)
        of_words = next((run for run in runs if run.config.needs_words), None)
        # As the runs will have it: a path that is given otherwise would make other words.
        absolute = of_words and of_words.config.with_absolute_paths()
        spoken = replace(workspace, config=absolute).with_words().spoken if absolute else None
        runs = [replace(run, spoken=spoken) if run.config.needs_words else run for run in runs]
        for run in runs:
            _refuse_other_protocol(run, workspace)
        store = store_beside(workspace, out, progress)
        if store is not None:
            workspace = replace(workspace, config=workspace.config.with_store(store))
        if workspace.encoder is not None and workspace.config.features.mode == "stored":
            _extract(workspace, progress, cluster)
    fitting = [run for run in runs if (run.method, run.budget_bytes) not in refusals]
    if store is not None:
        fitting = [replace(run, config=run.config.with_store(store)) for run in fitting]
    return fitting, [str(error) for error in refusals.values()]


def _extract(workspace: Workspace, progress: Progress, cluster: RayCluster | None) -> None:
    videos = workspace.protocol.videos
    if cluster is not None:
        # A video that is broken is told when the store is opened.
        encode = encoder_on(cluster, workspace, progress)
        workspace.extract(videos, progress, group=SingleProcess(), encode=encode)
    workspace.source(videos, progress)


def _refusals(runs: Sequence[PlannedRun], workspace: Workspace) -> dict[tuple[str, int | None], ConfigError]:
    """Return why methods do not fit their budgets; raise if none fits one, or one without a budget does not fit."""
    names, tasks = workspace.protocol.longest_names(), len(workspace.protocol.tasks)
    refusals: dict[tuple[str, int | None], ConfigError] = {}
    for run in runs:
        method = replace(workspace, config=run.config).build_method()
        try:
            method.check_room(names, tasks=tasks)
        except ConfigError as error:
            where = ": ".join(filter(None, (run.label, error.where)))
            refusals[run.method, run.budget_bytes] = ConfigError(error.problem, where=where, remedy=error.remedy)
    for budget in dict.fromkeys(run.budget_bytes for run in runs):
        refused = [error for (_, size), error in refusals.items() if size == budget]
        if refused and (budget is None or len(refused) == sum(run.budget_bytes == budget for run in runs)):
            reasons = "\n  ".join(map(str, refused))
            raise refused[0] if len(refused) == 1 else ConfigError(f"no method has room in the budget:\n  {reasons}")
    return refusals


def do_runs(
    runs: Sequence[PlannedRun],
    progress: Progress,
    on_run: OnRun | None = None,
    cluster: RayCluster | None = None,
) -> list[tuple[str, Record]]:
    """Do the runs that are not complete, and return the records of all, each under its method's name.

    `progress` shows how far each run is; or, where several are done at once, how many are done. Runs that fail do not
    stop the others; then a `ComparisonError` names them and the reasons.
    """
    left = [run for run in runs if not run.done]
    for run in runs:
        # It was interrupted between its record and its analysis.
        if run.done and not RunFolder(run.folder).analysis.exists():
            _analyse(run, progress)

    def announce(place: int) -> None:
        if on_run is not None:
            on_run(left[place], place + 1, len(left))

    def begun() -> Iterator[PlannedRun]:
        for place, run in enumerate(left):
            announce(place)
            yield run

    count = min(runs_at_once(runs[0].config), len(left))
    outcomes: Iterable[tuple[PlannedRun, str | None]]
    if cluster is not None:
        outcomes = _on_ray(left, cluster, progress, announce)
    elif count >= 2:
        outcomes = _at_once(begun(), count, progress, total=len(left))
    else:
        outcomes = ((run, _try(run, progress)) for run in begun())
    failed = [f"{run.label} with seed {run.seed} ({run.folder}): {reason}" for run, reason in outcomes if reason]
    if failed:
        lines = "\n  ".join(failed)
        raise ComparisonError(f"{len(failed)} of {len(runs)} runs failed, the others are kept:\n  {lines}")
    return [(run.method, Record.read(run.folder / "record.json")) for run in runs]


def runs_at_once(config: RunConfig) -> int:
    """Return how many runs of the config's number of threads the cores hold; one on a GPU, or with live features."""
    if config.features.mode == "live" or choose_device(config.training.device).type != "cpu":
        return 1
    cores = cpu_cores()
    return max(1, min(_AT_ONCE, cores // (config.training.threads or cores)))


def _refuse_other_protocol(run: PlannedRun, workspace: Workspace) -> None:
    folder = RunFolder(run.folder)
    if not folder.begun:
        return
    folder.refuse_other_features(workspace.origin)
    folder.refuse_other_words(None if run.spoken is None else run.spoken.text_tower)
    record = Record.read(folder.record) if run.done else None
    there = folder.protocol(data_root(workspace.config)) if record is None else record.protocol
    if there is not None and there.id != workspace.protocol.id:
        raise ComparisonError(
            f"{run.folder} holds a run on another protocol ({there.name}, {there.id}) than the data give now "
            f"({workspace.protocol.name}, {workspace.protocol.id}): other videos, classes or tasks",
            remedy="put the data back, or compare in another folder",
        )


def _at_once(
    runs: Iterator[PlannedRun], count: int, progress: Progress, *, total: int
) -> Iterator[tuple[PlannedRun, str | None]]:
    """Do the runs in `count` processes; give each, as it ends, with the reason why it failed, if it did."""
    executor = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin_process)
    running: dict[Future[str | None], PlannedRun] = {}
    own: set[BaseProcess] = set()
    try:
        with phase(progress, f"runs, {count} at once", total):
            for done in range(1, total + 1):
                # No more are handed over than can begin at once.
                for run in islice(runs, count - len(running)):
                    others = active_children()
                    running[executor.submit(_try, run, Progress())] = run
                    own.update(process for process in active_children() if process not in others)
                ended = next(as_completed(running))
                yield running.pop(ended), ended.result()
                progress.advance(done)
    except BrokenProcessPool as error:
        raise ComparisonError(
            f"a process that was training died ({error})",
            remedy="check the machine's memory, and in a script that the call stands below "
            "`if __name__ == '__main__':`; then call again to continue",
        ) from error
    except BaseException:
        # Interrupted: what the processes have saved is enough to continue. Other children are the caller's.
        for process in own:
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _on_ray(
    runs: Sequence[PlannedRun], cluster: RayCluster, progress: Progress, announce: Callable[[int], None]
) -> Iterator[tuple[PlannedRun, str | None]]:
    """Do the runs on a cluster; give each, as it ends, with the reason why it failed, if it did."""
    if not runs:
        return
    runs = [replace(run, folder=run.folder.absolute(), config=run.config.with_absolute_paths()) for run in runs]
    first, out = runs[0].config, runs[0].folder.parent.parent
    make_folder(out)
    remove_unfinished(out)
    with explained_os_errors(out), NamedTemporaryFile(dir=out, prefix=".seen-by-nodes.", suffix=".tmp") as token:
        running = run_on_ray(
            partial(_begin_on_node, first, Path(token.name), str(cache_folder().absolute())),
            runs,
            cluster=cluster,
            on_gpus=first.training.device != "cpu",
            cores=first.training.threads,
            progress=progress,
            on_begin=announce,
        )
        with phase(progress, "runs, on Ray", len(runs)), closing(running):
            for done, (place, result) in enumerate(running, start=1):
                yield runs[place], result.reason if isinstance(result, Lost) else result
                progress.advance(done)


def _begin_on_node(config: RunConfig, token: Path, cache: str) -> Callable[[PlannedRun], str | None]:
    """Refuse a node that does not see what runs read and write; return what does a run there."""
    os.environ["ESSENTIAL_CACHE"] = cache
    keep_freed_memory()
    if not token.exists():
        raise FileSystemError(
            f"it does not see {token.parent}, where the runs are to be",
            remedy="choose an --out that is under the same path on all machines of the cluster",
        )
    workspace = open_workspace(config, QUIET)
    if config.features.mode == "stored":
        workspace.stored(workspace.protocol.videos)
    return partial(_try, progress=QUIET, do=_train_when_free)


def _train_when_free(*arguments: Any, **settings: Any) -> Record:
    """Train; the worker of a node that is lost may live on there, and hold the run for a while."""
    return when_free(QUIET, train, *arguments, **settings)


def _try(run: PlannedRun, progress: Progress, do: Callable[..., Record] = train) -> str | None:
    """Do a run; return why it failed, if it did."""
    try:
        with known_words(run.spoken):
            do(run.config, run.folder, resume=True, progress=progress)
    except EssentialError as error:
        return str(error)
    _analyse(run, progress)
    return None


def _analyse(run: PlannedRun, progress: Progress) -> None:
    """Analyse a run; it is complete without that, and `report` tries again and says why if it cannot be done."""
    with suppress(EssentialError):
        analyse(run.folder, progress=progress)


def _begin_process() -> None:
    keep_freed_memory()
    end_with_parent()
