"""Many methods and seeds on one protocol: which runs there are to be, and the doing of those that are not there yet.

    OUT/
      runs/METHOD-SEED/       one run folder each
      compare.*, compare.html what `report` makes of their records

Runs share videos and features; a run that is complete is read, not repeated, so that a comparison can be gone on with,
also with more methods or seeds. Where the cores hold several runs at once (`training.threads`), several are done at
once, each in a process of its own.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path

from essential.analysis import analyse
from essential.configs.shipped import protocol_config
from essential.engine.allocator import keep_freed_memory
from essential.engine.config import load_config, memory_section
from essential.engine.run import train
from essential.engine.run_folder import RunFolder
from essential.engine.settings import RunConfig, choose_device
from essential.engine.workspace import Workspace, data_root, open_workspace
from essential.errors import ComparisonError, ConfigError, EssentialError
from essential.features.cores import cpu_cores, own_threads
from essential.files.atomic import refuse_unwritable
from essential.methods import method_summaries
from essential.progress import Progress, phase
from essential.records import Record

ALL = "all"
_AT_ONCE = 8
_NOT_FOR_ALL = ("seed", "method", "method.name")
_INSTEAD_OF_BUDGET = ("budget_bytes", "exemplars_per_class")


@dataclass(frozen=True)
class PlannedRun:
    """One run of the comparison: the method as the user named it, the seed, the settings, the folder."""

    method: str
    seed: int
    config: RunConfig
    folder: Path

    @property
    def done(self) -> bool:
        """Whether its record is there."""
        return (self.folder / "record.json").exists()


@dataclass(frozen=True)
class ComparisonPlan:
    """What to compare, and where.

    Attributes:
        config: a protocol: a shipped config, the folder of such, or a YAML file; its own method is used as it is there.
        methods: shipped methods, in the order to show; `all` stands for every one.
        seeds: of the runs.
        budget_bytes: cap on what every method with exemplars keeps, in the place of any number per class.
        overrides: such as `data.root=DIR`, for every run.
        out: the comparison's folder.
    """

    config: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    budget_bytes: int | None
    overrides: tuple[str, ...]
    out: Path

    def runs(self) -> list[PlannedRun]:
        """Return the runs, all methods of one seed before those of the next.

        Raises:
            ConfigError: no such config or method; one named twice; a setting that a method does not have, or that the
                comparison itself makes; a budget, and no method that has a use for it.
        """
        self._refuse_overrides()
        methods = [*method_summaries()] if self.methods == (ALL,) else [*self.methods]
        for what, named in (("method", methods), ("seed", self.seeds)):
            twice = sorted({str(each) for each in named if [*named].count(each) > 1})
            if twice or not named:
                raise ConfigError(f"--{what}s names {', '.join(twice) + ' twice' if twice else 'none'}; name each once")
        configs = {name: self._config(name) for name in methods}
        if self.budget_bytes and not any(memory_section(config) for config in configs.values()):
            raise ConfigError(
                f"--budget-bytes {self.budget_bytes} caps nothing: none of {', '.join(methods)} keeps exemplars; "
                "leave it out, or add a method with a memory"
            )
        return [
            PlannedRun(name, seed, config.model_copy(update={"seed": seed}), self.out / "runs" / f"{name}-{seed}")
            for seed in self.seeds
            for name, config in configs.items()
        ]

    def _refuse_overrides(self) -> None:
        for override in self.overrides:
            key = override.partition("=")[0].strip()
            if key in _NOT_FOR_ALL:
                raise ConfigError(f"-s {override}: a comparison makes this setting itself; use --methods and --seeds")
            if self.budget_bytes and key.startswith("method.") and key.rpartition(".")[2] in _INSTEAD_OF_BUDGET:
                raise ConfigError(f"-s {override}: --budget-bytes stands in its place; give one of the two")

    def _config(self, name: str) -> RunConfig:
        protocol = protocol_config(self.config)
        config = load_config(protocol, self.overrides, method=name)
        if self.budget_bytes is None:
            return config
        # The budget alone says how many: a number per class beside it would leave part of it unused.
        budget = [f"budget_bytes={self.budget_bytes}", "exemplars_per_class=null"]
        where = memory_section(config)
        return load_config(protocol, [*self.overrides, *(f"{where}.{each}" for each in budget if where)], method=name)


def check_runs(runs: Sequence[PlannedRun], progress: Progress) -> None:
    """Refuse, before anything is learned, what could not be run or would not be comparable; then see to the features.

    Raises:
        RunError: a folder holds a run of other settings, or of other features.
        ComparisonError: a folder holds a run on another protocol.
        ConfigError: a method does not fit the encoder, or its budget not the protocol.
        EssentialError: the data cannot be used, or the features not be extracted.
    """
    out = runs[0].folder.parent.parent
    if out.exists() and not out.is_dir():
        raise ComparisonError(f"--out {out} is a file; choose a folder, which is made if it is missing")
    refuse_unwritable(out / "compare.html")
    for run in runs:
        folder = RunFolder(run.folder)
        if folder.begun:
            folder.refuse_another(run.config.with_absolute_paths())
    runs[0].config.data.require_places()
    workspace = open_workspace(runs[0].config.with_absolute_paths(), progress)
    for run in runs:
        _refuse_other_ground(run, workspace)
    protocol = workspace.protocol
    for run in (run for run in runs if run.seed == runs[0].seed):
        method = replace(workspace, config=run.config).build_method()
        try:
            method.check_room(protocol.longest_names(), tasks=len(protocol.tasks))
        except ConfigError as error:
            raise ConfigError(f"{run.method}: {error}") from error
    if workspace.encoder is not None and workspace.config.features.mode == "stored":
        with own_threads(runs[0].config.training.threads):
            workspace.source(protocol.videos, progress)


def do_runs(
    runs: Sequence[PlannedRun], *, progress: Progress, announce: Callable[[PlannedRun], None]
) -> list[tuple[str, Record]]:
    """Do the runs that are not complete, and return the records of all, each under its method's name.

    Args:
        runs: those of a plan, checked.
        progress: told how far each run is; or, where several are done at once, how many are done.
        announce: called when a run begins.

    Raises:
        ComparisonError: a run failed, or another process works on it; it is raised when all others are done, and names
            them and the reasons.
    """
    left = [run for run in runs if not run.done]
    for run in runs:
        # It was broken off between its record and its analysis.
        if run.done and not RunFolder(run.folder).analysis.exists():
            with suppress(EssentialError):
                analyse(run.folder, progress=progress)
    at_once = min(runs_at_once(runs[0].config), len(left))
    outcomes = _one_by_one(left, progress, announce) if at_once < 2 else _at_once(left, at_once, progress, announce)
    failed = [f"{run.method} with seed {run.seed} ({run.folder}): {reason}" for run, reason in outcomes if reason]
    if failed:
        lines = "\n  ".join(failed)
        raise ComparisonError(
            f"{len(failed)} of {len(runs)} runs did not come to their end, the others are kept:\n  {lines}"
        )
    return [(run.method, Record.read(run.folder / "record.json")) for run in runs]


def runs_at_once(config: RunConfig) -> int:
    """Return how many runs of the config's number of threads the cores hold; one on a GPU, or with live features."""
    if config.features.mode == "live" or choose_device(config.training.device).type != "cpu":
        return 1
    cores = cpu_cores()
    return max(1, min(_AT_ONCE, cores // (config.training.threads or cores)))


def _refuse_other_ground(run: PlannedRun, workspace: Workspace) -> None:
    folder = RunFolder(run.folder)
    if not folder.begun:
        return
    folder.refuse_other_features(workspace.origin)
    record = Record.read(folder.record) if run.done else None
    there = folder.protocol(data_root(workspace.config)) if record is None else record.protocol
    if there is not None and there.id != workspace.protocol.id:
        raise ComparisonError(
            f"{run.folder} holds a run on another protocol ({there.name}, {there.id}) than the data give now "
            f"({workspace.protocol.name}, {workspace.protocol.id}): other videos, classes or tasks; put the data back, "
            "or compare in another folder"
        )


def _one_by_one(
    left: Sequence[PlannedRun], progress: Progress, announce: Callable[[PlannedRun], None]
) -> Iterator[tuple[PlannedRun, str | None]]:
    """Do the runs here; give each with the reason why it failed, if it did."""
    for run in left:
        announce(run)
        yield run, _try(run, progress)


def _at_once(
    left: Sequence[PlannedRun], count: int, progress: Progress, announce: Callable[[PlannedRun], None]
) -> Iterator[tuple[PlannedRun, str | None]]:
    """Do the runs in `count` processes; give each with the reason why it failed, if it did."""
    executor = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin_process)
    try:
        with phase(progress, f"runs, {count} at once", len(left)):
            for done, (run, future) in enumerate(_completed(executor, left, count, announce), start=1):
                yield run, future.result()
                progress.advance(done)
    except BrokenProcessPool as error:
        raise ComparisonError(
            f"a process that was training died ({error}); look after the machine's memory, and run the same command "
            "again: it goes on where it was"
        ) from error
    except BaseException:
        # Interrupted: what the processes have saved is enough to go on from.
        for process in active_children():
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _completed(
    executor: ProcessPoolExecutor, left: Sequence[PlannedRun], count: int, announce: Callable[[PlannedRun], None]
) -> Iterator[tuple[PlannedRun, Future[str | None]]]:
    """Give the runs as they end, `count` of them on their way at any time."""
    waiting = iter(left)
    running: dict[Future[str | None], PlannedRun] = {}
    while True:
        for _, run in zip(range(count - len(running)), waiting, strict=False):
            announce(run)
            running[executor.submit(_try, run, Progress())] = run
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        yield from [(running.pop(future), future) for future in done]


def _try(run: PlannedRun, progress: Progress) -> str | None:
    """Do a run; return why it failed, if it did."""
    try:
        train(run.config, run.folder, resume=True, progress=progress)
    except EssentialError as error:
        return str(error)
    # The run is complete without it; `report` tries again, and says why if it cannot be made.
    with suppress(EssentialError):
        analyse(run.folder, progress=progress)
    return None


def _begin_process() -> None:
    """Begin a process that trains; it ends when the one that started it is gone, as nobody would end it otherwise."""
    keep_freed_memory()
    parent = parent_process()
    assert parent is not None, "it was started by another process"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
