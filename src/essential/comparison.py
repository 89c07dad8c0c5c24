"""Many methods and seeds on one protocol: which runs there are to be, and the doing of those that are not there yet.

    OUT/
      runs/METHOD-SEED/       one run folder each
      compare.*, compare.html what `report` makes of their records

Runs share videos and features; a run that is complete is read, not repeated, so that a comparison can be gone on with,
and methods or seeds added later. Where the cores hold several runs at once (`training.threads`), several are done at
once, each in a process of its own.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from essential.config import load_config
from essential.engine.run import train
from essential.engine.run_folder import RunFolder
from essential.engine.settings import RunConfig
from essential.engine.workspace import Workspace, choose_device, open_workspace
from essential.errors import ConfigError, InUseError, RunError
from essential.features.cores import cpu_cores
from essential.methods.exemplars import MemoryConfig
from essential.progress import Progress, SilentProgress, phase
from essential.records import Record
from essential.shipped import protocol_config, shipped_methods

ALL = "all"
_AT_ONCE = 8
_PARENT_CHECK_SECONDS = 1.0


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
            ConfigError: no such config or method; one named twice; a setting that a method does not have; a budget, and
                no method that has a use for it.
        """
        methods = [*shipped_methods()] if self.methods == (ALL,) else [*self.methods]
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

    def _config(self, name: str) -> RunConfig:
        protocol = protocol_config(self.config)
        config = load_config(protocol, self.overrides, method=name)
        if self.budget_bytes is None:
            return config
        # The budget alone says how many: a number per class beside it would leave part of it unused.
        budget = [f"budget_bytes={self.budget_bytes}", "exemplars_per_class=null"]
        where = memory_section(config)
        return load_config(protocol, [*self.overrides, *(f"{where}.{each}" for each in budget if where)], method=name)


def memory_section(config: RunConfig) -> str | None:
    """Return the key of the section that says how many exemplars are kept; None if the method keeps none."""
    if isinstance(config.method, MemoryConfig):
        return "method"
    return "method.base" if isinstance(getattr(config.method, "base", None), MemoryConfig) else None


def check_runs(runs: Sequence[PlannedRun], progress: Progress) -> Workspace:
    """Refuse, before anything is learned, what could not be run or would not be comparable; return what all stand on.

    Raises:
        RunError: a folder holds a run of other settings.
        ConfigError: a method does not fit the encoder, or its budget not the protocol.
        DataError: the data cannot be used.
    """
    for run in runs:
        folder = RunFolder(run.folder)
        if folder.begun:
            folder.refuse_another(run.config.with_absolute_paths())
    runs[0].config.data.require_places()
    workspace = open_workspace(runs[0].config.with_absolute_paths(), progress)
    protocol = workspace.protocol
    for run in (run for run in runs if run.seed == runs[0].seed):
        method = replace(workspace, config=run.config).build_method()
        method.check_room(protocol.longest_names(), tasks=len(protocol.tasks))
    return workspace


def do_runs(
    runs: Sequence[PlannedRun], workspace: Workspace, progress: Progress, announce: Callable[[PlannedRun], None]
) -> list[tuple[str, Record]]:
    """Do the runs that are not complete, and return the records of all, each under its method's name.

    Args:
        runs: those of a plan.
        workspace: what they stand on.
        progress: told how far each run is; or, where several are done at once, how many are done.
        announce: called when a run begins.

    Raises:
        InUseError: another process works on a run; it is raised when all others are done.
        EssentialError: as in `train`.
    """
    left = [run for run in runs if not run.done]
    at_once = min(runs_at_once(runs[0].config), len(left))
    busy = (
        _one_by_one(left, progress, announce) if at_once < 2 else _at_once(left, at_once, workspace, progress, announce)
    )
    if busy:
        named = ", ".join(f"{run.method} with seed {run.seed}" for run in busy)
        raise InUseError(
            f"{named}: another process is at work on it ({busy[0].folder}); {len(runs) - len(busy)} of {len(runs)} "
            "runs are done. Wait for it and run the same command again"
        )
    return [(run.method, train(run.config, run.folder, resume=True, progress=progress)) for run in runs]


def runs_at_once(config: RunConfig) -> int:
    """Return how many runs of the config's number of threads the cores hold; one on a GPU."""
    if choose_device(config.training.device).type != "cpu":
        return 1
    cores = cpu_cores()
    return max(1, min(_AT_ONCE, cores // (config.training.threads or cores)))


def _one_by_one(
    left: Sequence[PlannedRun], progress: Progress, announce: Callable[[PlannedRun], None]
) -> list[PlannedRun]:
    """Do the runs here; return those that another process works on."""
    busy = []
    for run in left:
        announce(run)
        try:
            train(run.config, run.folder, resume=True, progress=progress)
        except InUseError:
            busy.append(run)
    return busy


def _at_once(
    left: Sequence[PlannedRun],
    count: int,
    workspace: Workspace,
    progress: Progress,
    announce: Callable[[PlannedRun], None],
) -> list[PlannedRun]:
    """Do the runs in `count` processes; return those that another process works on."""
    # Features first, here: the processes would wait for each other with them.
    workspace.source(workspace.protocol.videos, progress)
    busy = []
    executor = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        with phase(progress, f"runs, {count} at once", len(left)):
            for done, (run, future) in enumerate(_completed(executor, left, count, announce), start=1):
                try:
                    future.result()
                except InUseError:
                    busy.append(run)
                progress.advance(done)
    except BrokenProcessPool as error:
        raise RunError(
            f"a process that was training died ({error}); look after the machine's memory, and run the same command "
            "again: it goes on where it was"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)
    return busy


def _completed(
    executor: ProcessPoolExecutor, left: Sequence[PlannedRun], count: int, announce: Callable[[PlannedRun], None]
) -> Iterator[tuple[PlannedRun, Future[None]]]:
    """Give the runs as they end, `count` of them on their way at any time."""
    waiting = iter(left)
    running: dict[Future[None], PlannedRun] = {}
    while True:
        for _, run in zip(range(count - len(running)), waiting, strict=False):
            announce(run)
            running[executor.submit(_train_here, run)] = run
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        yield from [(running.pop(future), future) for future in done]


def _train_here(run: PlannedRun) -> None:
    train(run.config, run.folder, resume=True, progress=SilentProgress())


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however that went: nobody would end it otherwise."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
