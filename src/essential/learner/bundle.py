"""The bundle: one file that a learner is kept in. It predicts, and learns on, without the old videos.

A sealed safetensors file:

    arrays     method.*             the method's whole state: network, episodic memory, slots of every lesson
               held_out.*           the held-out clips, as an episodic memory of 8 bits
    metadata   what, version        "essential bundle", and the version of this layout
               config               all settings but what a machine's owner decides: paths, device, processes, limits
               encoder              name, fingerprint and width of the frozen encoder, which is not inside; without a
                                    fingerprint, features were given as arrays
               labels               the class of every slot in order of arrival; null where it was forgotten
               lessons              what each `learn` was given, and its result
               held_out_per_class
               taught               the class of every clip that was taught, by the first letters of its SHA-256
               text_tower           fingerprint of what made the words of the classes; null without words

The seal is a checksum: it shows damage and careless edits, not a forger who makes a new one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, ValidationError

from essential.engine.config import load_config, memory_section, own_config, with_overrides
from essential.engine.run_folder import differences
from essential.engine.settings import OF_THE_MACHINE, RunConfig, refuse_missing_plugins
from essential.engine.turns import turn
from essential.engine.workspace import FeatureOrigin
from essential.errors import BundleError, CheckpointError, ConfigError
from essential.files.sealed import Array, read_sealed, write_sealed
from essential.files.versioned_json import Part
from essential.learner.clips import refuse_missing
from essential.learner.held_out import read_held_out
from essential.learner.model import Model, ModelSettings
from essential.models.growing import below

WHAT = "essential bundle"
VERSION = 2
# Logits of slots that came later were never stored, and are NaN.
_MAY_HOLD_NAN = "method.memory.logits"

Count = Annotated[int, Field(ge=0, le=10**9)]


@dataclass(frozen=True)
class Lesson:
    """What one `learn` was given, and its result.

    Attributes:
        classes: in order of arrival; None where one was forgotten since.
        clips: of each class, those learned from and those held out.
        held_out: how many clips were held out.
        skipped: why each clip that is left out could not be read.
        held_out_accuracy: of the learner after the lesson on all clips held out so far; None without any.
        passed_over: how many files in the folders of the clips were not taken, by reason.
    """

    classes: tuple[str | None, ...]
    clips: tuple[Count, ...]
    held_out: Count
    skipped: Mapping[str, str]
    held_out_accuracy: float | None
    passed_over: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.clips):
            raise ValueError(f"a lesson of {len(self.classes)} classes with {len(self.clips)} numbers of clips")

    def without(self, name: str) -> "Lesson":
        """Return the lesson without any mention of a class."""
        classes = tuple(None if each == name else each for each in self.classes)
        skipped = {key: reason for key, reason in self.skipped.items() if not key.startswith(f"{name}/")}
        return replace(self, classes=classes, skipped=skipped)

    def renamed(self, name: str, to: str) -> "Lesson":
        """Return the lesson with a class under another name; two of one name become one."""
        classes = [to if each == name else each for each in self.classes]
        counts = [
            sum(count for other, count in zip(classes, self.clips, strict=True) if other == each) if each == to else own
            for each, own in zip(classes, self.clips, strict=True)
        ]
        kept = [place for place, each in enumerate(classes) if each != to or classes.index(to) == place]
        skipped: dict[str, str] = {}
        for key, reason in self.skipped.items():
            moved = f"{to}/{key.removeprefix(f'{name}/')}" if key.startswith(f"{name}/") else key
            skipped[f"{moved}~{len(skipped)}" if moved in skipped else moved] = reason
        return replace(
            self,
            classes=tuple(classes[place] for place in kept),
            clips=tuple(counts[place] for place in kept),
            skipped=skipped,
        )


class _Note(Part):
    """The metadata; see the top of this file."""

    what: str
    version: int
    config: dict[str, Any]
    encoder: FeatureOrigin
    labels: tuple[str | None, ...]
    lessons: tuple[Lesson, ...]
    held_out_per_class: Count
    taught: dict[str, str]
    text_tower: str | None = None


@dataclass(frozen=True)
class Bundle:
    """What the file holds, see the top of this one; a learner is one, and its encoder."""

    config: RunConfig
    encoder: FeatureOrigin
    model: Model
    lessons: tuple[Lesson, ...] = ()
    taught: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None
    text_tower: str | None = None

    def write(self, path: Path) -> int:
        """Write the bundle, whole or not at all, and return its bytes; FileSystemError if it cannot."""
        model = self.model
        arrays = {f"method.{name}": array for name, array in model.method.state_dict().items()}
        arrays |= {f"held_out.{name}": array for name, array in model.held_out.arrays().items()}
        metadata = {
            "what": WHAT,
            "version": VERSION,
            "config": _portable(self.config.model_dump(mode="json")),
            "encoder": asdict(self.encoder),
            "labels": model.labels,
            "lessons": [asdict(lesson) for lesson in self.lessons],
            "held_out_per_class": model.settings.held_out_per_class,
            "taught": dict(self.taught),
            "text_tower": self.text_tower,
        }
        # A link stays one.
        return write_sealed(path.resolve(), arrays, metadata)

    @classmethod
    def read(cls, path: Path, overrides: Sequence[str] = ()) -> "Bundle":
        """Read a bundle, with its model on the CPU.

        Args:
            path: the file.
            overrides: of `encoder.weights`, of how this machine works (`training.device`, `features.workers`, ...) and
                of the memory's `budget_bytes`; not of what else decides the numbers.

        Raises:
            BundleError: it is missing, damaged, something else, or of a newer version.
            ConfigError: an override would change the numbers.
        """
        arrays, metadata = _read(path)
        with damage_explained(path):
            # From text: a tuple, which JSON does not have, is refused in what was read from it already.
            note = _Note.model_validate_json(json.dumps(metadata), strict=True)
            portable = _portable(note.config)
            refuse_missing_plugins(portable, path, BundleError)
            config = RunConfig.model_validate(portable)
            _check_arrays(arrays)
            clips = below("held_out.", arrays)
            held_out = read_held_out(clips, frames=config.video.frames, dim=note.encoder.dim)
        config = _overridden(config, overrides, path)
        settings = model_settings(config, note.held_out_per_class)
        with turn(config.training.threads), damage_explained(path):
            state = below("method.", arrays)
            settings.refuse_other_shapes(state, note.encoder.dim)
            model = Model.restored(settings, state, note.labels, held_out)
            _refuse_misfit(model, note.encoder.dim)
        return cls(config, note.encoder, model, note.lessons, note.taught, path, note.text_tower)


def model_settings(config: RunConfig, held_out_per_class: int) -> ModelSettings:
    """Return the settings of a model out of a config; ConfigError as for `ModelSettings`."""
    sections = config.method, config.training, config.features
    return ModelSettings(*sections, config.video.frames, config.seed, held_out_per_class)


def new_settings(
    *, encoder: str | None, method: str | None, config: str | None, overrides: Sequence[str], budget_bytes: int | None
) -> RunConfig:
    """Return the settings of a new learner, see `VideoLearner`.

    Errors as of `load_config`, and a ConfigError if a budget caps nothing, or stands beside another cap.
    """
    chosen = [] if encoder is None else [f"encoder.name={encoder}"]
    settings = load_config(
        config or own_config(method), [*chosen, *overrides], method=method, budget_bytes=budget_bytes
    )
    if budget_bytes is None:
        return settings
    section = memory_section(settings)
    if section is None:
        raise ConfigError(
            f"memory_budget_bytes={budget_bytes} caps nothing: the method {settings.method.name!r} cannot keep less",
            remedy="leave it out, or choose a method with a memory or statistics",
        )
    for override in overrides:
        if override.partition("=")[0].strip() in (f"{section}.budget_bytes", f"{section}.exemplars_per_class"):
            raise ConfigError(
                f"{override}: memory_budget_bytes={budget_bytes} stands in its place", remedy="give one of the two"
            )
    return settings


# What is raised where arrays and settings of any content are used.
_DAMAGE = (
    *(LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError, MemoryError),
    CheckpointError,
)


@contextmanager
def damage_explained(path: Path | None) -> Iterator[None]:
    """Turn what the content of a damaged bundle raises into a `BundleError` that names the file."""
    try:
        yield
    except torch.OutOfMemoryError:  # of a sound bundle on a small GPU
        raise
    except _DAMAGE as error:
        reason = f"{type(error).__name__}: {error}" if isinstance(error, LookupError) else str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        reason = " ".join(reason.split())[:300]
        raise BundleError(
            f"{path} is not a bundle that this version can read ({reason})", remedy="restore it from a copy"
        ) from error


def _read(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    refuse_missing(path)
    try:
        arrays, metadata = read_sealed(path, CheckpointError)
    except CheckpointError as error:
        raise BundleError(
            f"{error.problem}. It is no bundle, or a damaged one",
            where=error.where,
            remedy="restore it from a copy, or check the name",
        ) from error
    if not isinstance(metadata, dict) or metadata.get("what") != WHAT:
        raise BundleError(f"{path} is another file of essential, not a bundle; give one that `essential learn` made")
    version = metadata.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise BundleError(
            f"{path} is a bundle of version {version!r}, and this version of essential reads {VERSION} at most",
            remedy="install the version that wrote it, or a newer one",
        )
    return arrays, metadata


def _portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without those of a machine, which bundles of earlier versions and of strangers may hold."""
    portable = {
        name: {key: value for key, value in section.items() if key not in OF_THE_MACHINE.get(name, ())}
        if isinstance(section, dict)
        else section
        for name, section in config.items()
    }
    encoder = portable.get("encoder")
    if isinstance(encoder, dict) and encoder.get("weights"):
        encoder["weights"] = Path(encoder["weights"]).name
    return {**portable, "data": {"kind": "folder"}}


def _overridden(config: RunConfig, overrides: Sequence[str], path: Path) -> RunConfig:
    changed = with_overrides(config, overrides, f"of {path}")
    found = [
        difference
        for difference in differences(config.identity(), changed.identity())
        if not difference.partition(":")[0].endswith(".budget_bytes")
    ]
    if found:
        raise BundleError(
            f"{path} was begun with other settings: {'; '.join(found)}. They are fixed when a bundle is begun",
            remedy="leave them out, or begin another bundle",
        )
    return changed


def _refuse_misfit(model: Model, dim: int) -> None:
    method, frames = model.method, model.settings.frames
    slots = method.slots[-1].stop if method.slots else 0
    if len(model.labels) != slots:
        raise ValueError(f"{len(model.labels)} labels for {slots} slots")
    memory = method.memory
    named = torch.cat([memory.slots, model.held_out.slots])
    if len(named) and not 0 <= named.min() <= named.max() < slots:
        raise ValueError(f"a clip of slot {named.max()}, of {slots}")
    if memory.features.shape[2] != dim or (len(memory) and int(memory.positions.max()) >= frames):
        raise ValueError(f"exemplars of shape {tuple(memory.features.shape)} that are of other clips")


def _check_arrays(arrays: Mapping[str, Array]) -> None:
    for name, array in arrays.items():
        odd = np.isinf(array) if name == _MAY_HOLD_NAN else ~np.isfinite(array)
        if odd.any():
            raise ValueError(f"{name} holds {array[odd][0]}, which is no number")
