"""The runs of a comparison before any is done: which methods, at which budgets, with which seeds and settings."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

from essential.configs.shipped import protocol_config
from essential.encoders import TEXT_TOWERS, text_tower_is_here
from essential.engine.config import load_config, memory_section
from essential.engine.run_folder import RunFolder
from essential.engine.settings import RunConfig
from essential.engine.words import Spoken
from essential.errors import ConfigError, RunError
from essential.methods import METHODS, method_section, method_summaries
from essential.results.formats import parsed_size, size_text

ALL, FLOOR = "all", "zero-shot"
_NOT_FOR_ALL = ("seed", "method", "method.name")
_INSTEAD_OF_BUDGET = ("budget_bytes", "exemplars_per_class")


@dataclass(frozen=True)
class PlannedRun:
    """One run of the comparison: the method as the user named it, its budget, the seed, the settings, the folder.

    `spoken` are the words of its classes, where it needs them and they are known already.
    """

    method: str
    budget_bytes: int | None
    seed: int
    config: RunConfig
    folder: Path
    spoken: Spoken | None = None

    @property
    def label(self) -> str:
        """The method, and its budget if it has one."""
        return self.method if self.budget_bytes is None else f"{self.method} at {size_text(self.budget_bytes)}"

    @property
    def done(self) -> bool:
        """Whether its record is there."""
        return (self.folder / "record.json").exists()


def plan_runs(
    protocol: str,
    out: str | Path,
    methods: Sequence[str] | str,
    seeds: Sequence[int],
    *,
    budgets: Sequence[int | str] | int | str = (),
    overrides: Sequence[str] = (),
) -> list[PlannedRun]:
    """Return the runs of a comparison, all methods of one seed before those of the next; see `compare`."""
    sizes = parsed_budgets(budgets)
    for override in overrides:
        _refuse_own_setting(override, capped=bool(sizes))
    named = [methods] if isinstance(methods, str) else [*methods]
    shipped = protocol_config(protocol)
    wanted = _with_floor(named, shipped, overrides)
    for what, each in (("methods", wanted), ("seeds", [*map(str, seeds)])):
        _refuse_twice(what, each)
        if not each:
            raise ConfigError(f"{what} names none", remedy="name each once")
    wrong = [seed for seed in seeds if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0]
    if wrong:
        raise ConfigError(f"seeds names {wrong[0]!r}", remedy="seeds are whole numbers from 0")
    configs: dict[tuple[str, int | None], RunConfig] = {}
    for name in wanted:
        # What is set of the methods that were named is not for the floor beside them.
        own = overrides if named == [ALL] or name in named else _without_method(overrides)
        config = load_config(shipped, own, method=name)
        if not sizes or memory_section(config) is None:
            configs[name, None] = config
        else:
            configs |= {(name, b): load_config(shipped, overrides, method=name, budget_bytes=b) for b in sizes}
    if sizes and not any(budget for _, budget in configs):
        raise ConfigError(
            f"budgets={','.join(map(size_text, sizes))} caps nothing: none of {', '.join(wanted)} takes a budget",
            remedy="leave it out, or add a method with a memory",
        )
    return [
        _planned(name, budget, config.model_copy(update={"seed": seed}), Path(out) / "runs")
        for seed in map(int, seeds)
        for (name, budget), config in configs.items()
    ]


def _with_floor(named: Sequence[str], shipped: str, overrides: Sequence[str]) -> list[str]:
    """Return the methods that are named, or all of them, with the floor where there are words, without words if not."""
    if not named:
        return []
    spoken = text_tower_is_here(load_config(shipped, _without_method(overrides)).encoder)
    if named == [ALL]:
        return [name for name in method_summaries() if spoken or not _is_of_words(name)]
    return [*named, FLOOR] if spoken and FLOOR not in named else [*named]


def _without_method(overrides: Sequence[str]) -> list[str]:
    return [override for override in overrides if not override.strip().startswith("method.")]


def _is_of_words(name: str) -> bool:
    return METHODS.load(method_section(name)["name"]).needs_words


def words_left_out(runs: Sequence[PlannedRun]) -> list[str]:
    """Return how to have runs of words in a comparison of all methods that has none, if the encoder has a tower."""
    encoder = runs[0].config.encoder
    if encoder.name not in TEXT_TOWERS or any(run.config.needs_words for run in runs):
        return []
    return [
        f"words, zero-shot: the text tower of {encoder.name!r} is not on this machine; name them with --methods to "
        "download it (pip install 'essential-video[transformers]'), or give -s encoder.text_weights=FILE -s "
        "encoder.tokenizer=FILE"
    ]


def parsed_budgets(budgets: Sequence[int | str] | int | str) -> tuple[int, ...]:
    """Return budgets in bytes, the least first.

    Raises:
        ConfigError: one is no size, or there twice.
    """
    given = budgets if isinstance(budgets, Iterable) and not isinstance(budgets, str) else str(budgets).split(",")
    try:
        sizes = sorted(map(parsed_size, given))
    except ConfigError as error:
        raise ConfigError(error.problem, where="budgets", remedy=error.remedy) from error
    _refuse_twice("budgets", [*map(size_text, sizes)])
    return tuple(sizes)


def _refuse_twice(what: str, names: Sequence[str]) -> None:
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise ConfigError(f"{what} names {', '.join(twice)} twice", remedy="name each once")


def _planned(name: str, budget: int | None, config: RunConfig, folder: Path) -> PlannedRun:
    plain = folder / f"{name}-{config.seed}"
    path = plain if budget is None else folder / f"{name}-{size_text(budget)}-{config.seed}"
    if path != plain and RunFolder(plain).begun:
        # A comparison at one budget had it in its settings alone.
        with suppress(RunError):
            RunFolder(plain).refuse_another(config.with_absolute_paths())
            path = plain
    return PlannedRun(name, budget, config.seed, config, path)


def _refuse_own_setting(override: str, *, capped: bool) -> None:
    key = override.partition("=")[0].strip()
    if key in _NOT_FOR_ALL:
        raise ConfigError(
            "a comparison makes this setting itself", where=f"-s {override}", remedy="use its methods and seeds"
        )
    if capped and key.startswith("method.") and key.rpartition(".")[2] in _INSTEAD_OF_BUDGET:
        raise ConfigError("budgets replaces it", where=f"-s {override}", remedy="give one of the two")
