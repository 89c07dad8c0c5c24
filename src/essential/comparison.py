"""Many methods and seeds on one protocol: which runs there are to be, and the doing of those that are not there yet.

    OUT/
      runs/METHOD-SEED/       one run folder each
      compare.*, compare.html what `report` makes of their records

Runs share videos and features; a run that is complete is read, not repeated, so that a comparison can be gone on with,
and methods or seeds added later.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from essential.config import load_config
from essential.engine.run import train
from essential.engine.run_folder import RunFolder
from essential.engine.settings import RunConfig
from essential.engine.workspace import open_workspace
from essential.errors import ConfigError, InUseError
from essential.methods.exemplars import MemoryConfig
from essential.progress import Progress
from essential.records import Record
from essential.shipped import protocol_config, shipped_methods

ALL = "all"


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


def check_runs(runs: Sequence[PlannedRun], progress: Progress) -> None:
    """Refuse, before anything is learned, what could not be run or would not be comparable.

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
    first_seed = [run for run in runs if run.seed == runs[0].seed]
    for run in first_seed:
        method = replace(workspace, config=run.config).build_method()
        method.check_room(protocol.longest_names(), tasks=len(protocol.tasks))


def do_runs(
    runs: Sequence[PlannedRun], progress: Progress, announce: Callable[[PlannedRun], None]
) -> list[tuple[str, Record]]:
    """Do the runs that are not complete, and return the records of all, each under its method's name.

    Raises:
        InUseError: another process works on a run; it is raised when all others are done.
        EssentialError: as in `train`.
    """
    records, busy = [], []
    for run in runs:
        if not run.done:
            announce(run)
        try:
            records.append((run.method, train(run.config, run.folder, resume=True, progress=progress)))
        except InUseError:
            busy.append(run)
    if busy:
        named = ", ".join(f"{run.method} with seed {run.seed}" for run in busy)
        raise InUseError(
            f"{named}: another process is at work on it ({busy[0].folder}); {len(records)} of {len(runs)} runs are "
            "done. Wait for it and run the same command again"
        )
    return records
