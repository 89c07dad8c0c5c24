"""The bundle: one file that a learner is kept in. It predicts, and learns on, without the old videos.

A sealed safetensors file:

    arrays     method.*             the method's whole state: network, episodic memory, slots of every lesson
               held_out.features    float16 frame features of the clips that calibration stands on
               held_out.slots       their classes
    metadata   what, version        "essential bundle", and the version of this layout
               config               all settings but the paths and the device of a machine
               encoder              name, fingerprint and width of the frozen encoder, which is not inside
               labels               the class of every slot in order of arrival; null where it was forgotten
               lessons              what each `learn` was given, and gave
               held_out_per_class
               taught               the class of every clip that was taught, by the first letters of its SHA-256

The seal is a checksum: it shows damage and careless edits, not a forger who makes a new one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from essential.config import with_overrides
from essential.engine.run_folder import differences
from essential.engine.settings import RunConfig
from essential.engine.workspace import FeatureOrigin
from essential.errors import BundleError, CheckpointError
from essential.learner.held_out import HeldOut
from essential.methods import Method
from essential.models.state_names import below
from essential.sealed_files import Array, read_sealed, write_sealed

WHAT = "essential bundle"
VERSION = 1


@dataclass(frozen=True)
class Lesson:
    """What one `learn` was given, and gave.

    Attributes:
        classes: in order of arrival; None where one was forgotten since.
        clips: of each class, those learned from and those held out.
        held_out: how many clips were held out.
        skipped: why each clip that is left out could not be read.
        held_out_accuracy: of the learner after the lesson on all clips held out so far; None without any.
        passed_over: how many files in the folders of the clips were not taken, by reason.
    """

    classes: tuple[str | None, ...]
    clips: tuple[int, ...]
    held_out: int
    skipped: Mapping[str, str]
    held_out_accuracy: float | None
    passed_over: Mapping[str, int] = field(default_factory=dict)

    def without(self, name: str) -> "Lesson":
        """Return the lesson without any mention of a class."""
        classes = tuple(None if each == name else each for each in self.classes)
        skipped = {key: reason for key, reason in self.skipped.items() if not key.startswith(f"{name}/")}
        return replace(self, classes=classes, skipped=skipped)


@dataclass(frozen=True)
class Bundle:
    """What the file holds; see the top of this file."""

    config: RunConfig
    encoder: FeatureOrigin
    labels: tuple[str | None, ...]
    lessons: tuple[Lesson, ...]
    method: Mapping[str, Array]
    held_out: HeldOut
    held_out_per_class: int
    taught: Mapping[str, str]

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels known, in order of arrival."""
        return tuple(dict.fromkeys(label for label in self.labels if label is not None))

    def write(self, path: Path) -> int:
        """Write the bundle, whole or not at all, and return its bytes.

        Raises:
            FileSystemError: the disk refuses.
        """
        # A link stays one.
        return write_sealed(path.resolve(), self._arrays(), self._metadata())

    @classmethod
    def read(cls, path: Path, overrides: Sequence[str] = ()) -> "Bundle":
        """Read a bundle.

        Args:
            path: the file.
            overrides: such as `training.device=cpu`: where the encoder's weights are and how this machine works, and
                the memory's budget in bytes; not what else decides the numbers.

        Raises:
            BundleError: it is missing, damaged, something else, or of a newer version.
            ConfigError: an override would change the numbers.
        """
        arrays, metadata = _read(path)
        with damage_explained(path):
            config = RunConfig.model_validate(metadata["config"])
            held = HeldOut(arrays["held_out.features"], arrays["held_out.slots"])
            bundle = cls(
                config=config,
                encoder=FeatureOrigin(**metadata["encoder"]),
                labels=_labels(metadata["labels"]),
                lessons=tuple(_lesson(lesson) for lesson in metadata["lessons"]),
                method=below("method.", arrays),
                held_out=held,
                held_out_per_class=int(metadata["held_out_per_class"]),
                taught={str(content): str(label) for content, label in metadata["taught"].items()},
            )
            _check_parts(bundle)
        if not overrides:
            return bundle
        changed = with_overrides(config, overrides, f"of {path}")
        found = [
            difference
            for difference in differences(config.identity(), changed.identity())
            if not difference.partition(":")[0].endswith(".budget_bytes")
        ]
        if found:
            raise BundleError(
                f"{path} was begun with other settings: {'; '.join(found)}. They are fixed when a bundle is begun; "
                "leave them out, or begin another bundle"
            )
        return replace(bundle, config=changed)

    def _arrays(self) -> dict[str, Array]:
        return {
            **{f"method.{name}": array for name, array in self.method.items()},
            "held_out.features": self.held_out.features,
            "held_out.slots": self.held_out.slots,
        }

    def _metadata(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "what": WHAT,
            "version": VERSION,
            "config": _portable(self.config),
            "encoder": asdict(self.encoder),
            "labels": list(self.labels),
            "lessons": [asdict(lesson) for lesson in self.lessons],
            "held_out_per_class": self.held_out_per_class,
            "taught": dict(self.taught),
        }
        plain: dict[str, Any] = json.loads(json.dumps(content))
        return plain


def _portable(config: RunConfig) -> dict[str, Any]:
    """Return the settings without this machine's folders and device; the encoder is known by its fingerprint."""
    content = config.model_dump(mode="json", exclude={"data": True, "training": {"device"}, "features": {"store"}})
    if isinstance(config.encoder.weights, Path):
        content["encoder"]["weights"] = config.encoder.weights.name
    return {**content, "data": {"kind": "folder"}}


def refuse_missing(path: Path) -> None:
    """Refuse a path without a file.

    Raises:
        BundleError: says what to do.
    """
    if path.is_dir():
        raise BundleError(f"{path} is a folder; give the file of a bundle, as `essential learn --into FILE` makes it")
    if not path.exists():
        raise BundleError(
            f"there is no bundle {path}; make one with `essential learn --into {path} --videos DIR`, or mend the name"
        )


def _read(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    refuse_missing(path)
    try:
        arrays, metadata = read_sealed(path, CheckpointError)
    except CheckpointError as error:
        reason = str(error).partition("; delete it and run again")[0]
        raise BundleError(f"{reason}. The bundle cannot be used; restore it from a copy") from error
    if not isinstance(metadata, dict) or metadata.get("what") != WHAT:
        raise BundleError(f"{path} is another file of essential, not a bundle; give one that `essential learn` made")
    version = metadata.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise BundleError(
            f"{path} is a bundle of version {version!r}, and this version of essential reads {VERSION} at most; "
            "install the version that wrote it, or a newer one"
        )
    return arrays, metadata


@contextmanager
def damage_explained(path: Path) -> Iterator[None]:
    """Turn what a bundle of wrong content causes, when it is taken apart, into a `BundleError` that names it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError, CheckpointError) as error:
        reason = f"{type(error).__name__}: {error}" if isinstance(error, KeyError | IndexError) else str(error)
        raise BundleError(
            f"{path} is not a bundle that this version can read ({reason}); restore it from a copy"
        ) from error


def refuse_other_slots(bundle: Bundle, method: Method) -> None:
    """Refuse a bundle whose labels, memory or held-out clips are of other slots than its method has learned.

    Raises:
        ValueError: they are.
    """
    slots = method.slots[-1].stop if method.slots else 0
    if len(bundle.labels) != slots:
        raise ValueError(f"{len(bundle.labels)} labels for {slots} slots")
    named = np.concatenate([method.memory.slots.numpy(), bundle.held_out.slots])
    if len(named) and not 0 <= named.min() <= named.max() < slots:
        raise ValueError(f"a clip of slot {named.max()}, of {slots}")


def _check_parts(bundle: Bundle) -> None:
    """Check what holds for every bundle, whatever its method.

    Raises:
        ValueError: it does not.
    """
    held, frames, dim = bundle.held_out, bundle.config.video.frames, bundle.encoder.dim
    if held.features.shape != (len(held.slots), frames, dim) or held.slots.ndim != 1:
        raise ValueError(f"held-out clips of shape {held.features.shape} with {held.slots.shape} slots")
    if held.features.dtype != np.float16 or held.slots.dtype != np.int32:
        raise ValueError(f"held-out clips of type {held.features.dtype} and {held.slots.dtype}")
    if not isinstance(bundle.encoder.fingerprint, str) or not isinstance(bundle.encoder.name, str):
        raise ValueError("the encoder has no name or no fingerprint")


def _labels(content: object) -> tuple[str | None, ...]:
    if not isinstance(content, list) or not all(label is None or isinstance(label, str) for label in content):
        raise ValueError(f"labels {content!r}")
    return tuple(content)


def _lesson(content: Mapping[str, Any]) -> Lesson:
    return Lesson(
        **{**content, "classes": tuple(content["classes"]), "clips": tuple(content["clips"])}  # JSON has lists alone
    )
