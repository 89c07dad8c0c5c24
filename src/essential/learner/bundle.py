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
               held_out_per_class, budget_bytes

The seal is a checksum: it shows damage and careless edits, not a forger who makes a new one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from essential.config import with_overrides
from essential.engine.run_folder import differences
from essential.engine.settings import RunConfig
from essential.engine.workspace import FeatureOrigin
from essential.errors import BundleError, CheckpointError
from essential.learner.held_out import HeldOut
from essential.models.state_names import below
from essential.sealed_files import Array, read_sealed, sealed_size, write_sealed

WHAT = "essential bundle"
VERSION = 1


@dataclass(frozen=True)
class Lesson:
    """What one `learn` was given, and gave.

    Attributes:
        classes: in order of arrival.
        clips: of each class, those learned from and those held out.
        held_out: how many clips were held out.
        skipped: why each clip that is left out could not be read.
        held_out_accuracy: of the learner after the lesson on all clips held out so far; None without any.
    """

    classes: tuple[str, ...]
    clips: tuple[int, ...]
    held_out: int
    skipped: Mapping[str, str]
    held_out_accuracy: float | None


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
    budget_bytes: int | None

    def write(self, path: Path) -> int:
        """Write the bundle, whole or not at all, and return its bytes.

        Raises:
            FileSystemError: the disk refuses.
        """
        return write_sealed(path, self._arrays(), self._metadata())

    @property
    def bytes(self) -> int:
        """Bytes of the file that `write` makes."""
        return sealed_size(self._arrays(), self._metadata())

    @classmethod
    def read(cls, path: Path, overrides: Sequence[str] = ()) -> "Bundle":
        """Read a bundle.

        Args:
            path: the file.
            overrides: such as `training.device=cpu`: where the encoder's weights are and how this machine works, not
                what decides the numbers.

        Raises:
            BundleError: it is missing, damaged, something else, or of a newer version.
            ConfigError: an override would change the numbers.
        """
        arrays, metadata = _read(path)
        try:
            config = RunConfig.model_validate(metadata["config"])
            changed = with_overrides(config, overrides, f"of {path}") if overrides else config
            held = HeldOut(arrays["held_out.features"], arrays["held_out.slots"])
            bundle = cls(
                config=changed,
                encoder=FeatureOrigin(**metadata["encoder"]),
                labels=tuple(metadata["labels"]),
                lessons=tuple(_lesson(lesson) for lesson in metadata["lessons"]),
                method=below("method.", arrays),
                held_out=held,
                held_out_per_class=int(metadata["held_out_per_class"]),
                budget_bytes=metadata["budget_bytes"],
            )
        except (KeyError, TypeError, ValidationError) as error:
            raise BundleError(
                f"{path} is not a bundle that this version can read ({error}); restore it from a copy"
            ) from error
        found = differences(config.identity(), changed.identity())
        if found:
            raise BundleError(
                f"{path} was begun with other settings: {'; '.join(found)}. They are fixed when a bundle is begun; "
                "leave them out, or begin another bundle"
            )
        return bundle

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
            "budget_bytes": self.budget_bytes,
        }
        plain: dict[str, Any] = json.loads(json.dumps(content))
        return plain


def _portable(config: RunConfig) -> dict[str, Any]:
    """Return the settings without this machine's folders and device; the encoder is known by its fingerprint."""
    content = config.model_dump(mode="json", exclude={"data": True, "training": {"device"}, "features": {"store"}})
    if isinstance(config.encoder.weights, Path):
        content["encoder"]["weights"] = config.encoder.weights.name
    return {**content, "data": {"kind": "folder"}}


def _read(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    if path.is_dir():
        raise BundleError(f"{path} is a folder; give the file of a bundle, as `essential learn --into FILE` makes it")
    if not path.exists():
        raise BundleError(
            f"there is no bundle {path}; make one with `essential learn --into {path} --videos DIR`, or mend the name"
        )
    try:
        arrays, metadata = read_sealed(path, CheckpointError)
    except CheckpointError as error:
        reason = str(error).partition("; delete it and run again")[0]
        raise BundleError(f"{reason}. The bundle cannot be used; restore it from a copy") from error
    if not isinstance(metadata, dict) or metadata.get("what") != WHAT:
        raise BundleError(f"{path} is another file of essential, not a bundle; give one that `essential learn` made")
    version = metadata.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise BundleError(
            f"{path} is a bundle of version {version!r}, and this version of essential reads {VERSION} at most; "
            "install the version that wrote it, or a newer one"
        )
    return arrays, metadata


def _lesson(content: Mapping[str, Any]) -> Lesson:
    return Lesson(
        **{**content, "classes": tuple(content["classes"]), "clips": tuple(content["clips"])}  # JSON has lists alone
    )
