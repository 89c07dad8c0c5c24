"""A run's folder, and where the run continues. docs/file-formats.md has what is in each file.

    config.yaml, protocol.json        what is learned and how, written before anything is computed
    log.jsonl                         one line per epoch and per evaluation
    state.safetensors, settled/       all that resuming needs; frozen parts of the method are written once
    memory.safetensors                the episodic memory after the last task
    checkpoints/, predictions/        per task: the predictor, and every test video's scores
    record.json, analysis.json        the result; what a report shows beyond it
    imported.json, encoder.safetensors      only of a run that was imported from checkpoints

Every file appears whole or not at all. State, checkpoints and predictions carry a checksum of their content.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from essential import nested
from essential.engine.evaluate import Predictions
from essential.engine.learn_task import Start
from essential.engine.process_group import Message, ProcessGroup
from essential.engine.ranking import Ranking, named_arrays, rankings_in
from essential.engine.settings import RunConfig, refuse_missing_plugins
from essential.engine.workspace import FeatureOrigin, protocol_from_json, protocol_to_json
from essential.errors import CheckpointError, RunError
from essential.files.atomic import explained_os_errors, remove_unfinished, write_json, write_text
from essential.files.sealed import Array, read_sealed, read_sealed_header, write_sealed
from essential.files.untrusted import parse_yaml, read_bounded, read_json, yaml_text
from essential.methods.contract import Method
from essential.models.growing import below
from essential.protocols.protocol import Protocol
from essential.records.training_log import EpochReport, TrainingLog
from essential.remote.storage import Root

_DAMAGES = (OSError, ValueError, KeyError, TypeError, AttributeError)
_AGAIN = "train again into another folder"
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Place:
    """How far a run has come: the next epoch of the next stage of the next task, and what is counted on the way."""

    task: int = 0
    stage: int = 0
    epoch: int = 0
    log_bytes: int = 0
    seconds: Mapping[str, float] = field(default_factory=lambda: {"extract": 0.0, "train": 0.0, "evaluate": 0.0})
    memory_bytes_by_task: tuple[dict[str, int], ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Saved:
    """A run's saved state: the method's, and the optimiser's if the place is inside a stage."""

    place: Place
    method: dict[str, Array]
    optimizer: Mapping[str, Array] | None

    @property
    def start(self) -> Start:
        """Where the place's task continues."""
        return Start(self.place.task, self.place.stage, self.place.epoch, self.optimizer)

    def packed(self) -> Message:
        """Return it as named arrays and JSON values."""
        arrays = {f"method.{name}": array for name, array in self.method.items()}
        arrays |= {f"optimizer.{name}": array for name, array in (self.optimizer or {}).items()}
        return Message(arrays, {**asdict(self.place), "optimizer": self.optimizer is not None})

    @classmethod
    def unpacked(cls, arrays: Mapping[str, Array], note: Mapping[str, Any]) -> "Saved":
        """Undo `packed`; what is something else raises one of `_DAMAGES`."""
        known = {name: value for name, value in note.items() if name != "optimizer"}
        place = Place(**{**known, "memory_bytes_by_task": tuple(note["memory_bytes_by_task"])})
        if not all(type(n) is int and n >= 0 for n in (place.task, place.stage, place.epoch, place.log_bytes)):
            raise ValueError("a place is in whole numbers")
        return cls(place, below("method.", arrays), below("optimizer.", arrays) if note["optimizer"] else None)


class RunFolder:
    """Reads and writes the files of one run; the caller holds the folder's lock. All attributes are paths.

    A file that is missing, damaged or another run's raises `CheckpointError` if it holds tensors, else `RunError`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state_file = path / "state.safetensors"
        self.memory = path / "memory.safetensors"
        self.record = path / "record.json"
        self.analysis = path / "analysis.json"
        self.encoder = path / "encoder.safetensors"
        self.import_note = path / "imported.json"
        self._protocol = path / "protocol.json"
        self._log = path / "log.jsonl"
        self._frozen: dict[str, str] = {}

    @property
    def imported(self) -> bool:
        """Whether the run was imported from checkpoints: it can be evaluated, not trained on."""
        return self.import_note.exists()

    @property
    def begun(self) -> bool:
        """Whether anything was learned here that a new run would overwrite."""
        return self.state_file.exists() or self.record.exists()

    @property
    def of_import(self) -> list[Path]:
        """The files that an import writes beside its note, as far as they may be there."""
        return [self.state_file, self.encoder, *sorted(self.checkpoint(0).parent.glob("task-*.safetensors"))]

    def discard_import(self) -> None:
        """Delete what an import wrote that failed or was killed; without its note, no file is taken for one of it."""
        if self.imported:
            for path in (*self.of_import, self.import_note):
                path.unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Delete what an interrupted process left half-written."""
        for folder in (self.path, *(self.path / part for part in ("settled", "checkpoints", "predictions"))):
            remove_unfinished(folder)

    def refuse_another(self, config: RunConfig) -> None:
        """Refuse a config that would give other numbers than the run's own; list what differs."""
        found = differences(self.config().identity(), config.identity())
        if found:
            raise RunError(
                f"{self.path} holds a run of another config: {'; '.join(found)}",
                remedy="use the run's own config, or choose another folder",
            )

    def refuse_other_features(self, origin: FeatureOrigin) -> None:
        """Refuse features of another kind than the run began with, such as those of other weights."""
        there = self.origin()
        if there is not None and there != origin:
            raise RunError(
                f"{self.path} began with features of {there.name!r} (fingerprint {there.fingerprint[:12]}), "
                f"these are of {origin.name!r} ({origin.fingerprint[:12]})",
                remedy="use the weights it began with, or another folder",
            )

    def refuse_other_words(self, text_tower: str | None) -> None:
        """Refuse words of another text tower than the run began with."""
        tower = self._read(self._protocol, lambda content: content.get("text_tower"))
        if tower != text_tower:
            raise RunError(
                f"{self.path} began with words of another text tower (fingerprint {str(tower)[:12]}) than these "
                f"({str(text_tower)[:12]})",
                remedy="give the encoder.text_weights and the encoder.tokenizer that it began with, or another folder",
            )

    def claim(
        self, config: RunConfig, protocol: Protocol, root: Root, origin: FeatureOrigin, text_tower: str | None = None
    ) -> None:
        """Write what the run is and what it learns; both are fixed once anything is learned."""
        self.write_config(config)
        content = {**protocol_to_json(protocol, root), "features": asdict(origin)}
        write_json(self._protocol, content if text_tower is None else {**content, "text_tower": text_tower})

    def origin(self) -> FeatureOrigin | None:
        """Return what made the features that the run began with; None if the folder does not say."""
        there = self._read(self._protocol, lambda content: content.get("features"))
        return None if there is None else self._read(self._protocol, lambda _: FeatureOrigin(**there))

    def protocol(self, root: Root) -> Protocol | None:
        """Read the protocol of a run that has begun, its videos below `root` whether they are there or not."""
        if not self.begun or (self.imported and not self._protocol.exists()):
            return None
        return self._read(self._protocol, lambda content: protocol_from_json(content, root))

    def _read(self, path: Path, use: Callable[[Any], _Read]) -> _Read:
        try:
            return use(read_json(path))
        except _DAMAGES as error:
            raise RunError(f"{path} is damaged ({error})", remedy=_AGAIN) from error

    def write_config(self, config: RunConfig) -> None:
        """Write the resolved config, with the path of an imported encoder as it is inside the folder."""
        content = config.model_dump(mode="json")
        if config.encoder.weights == self.encoder.absolute():
            content["encoder"]["weights"] = self.encoder.name  # so that the folder can be moved
        write_text(self.path / "config.yaml", yaml_text(content))

    def config(self) -> RunConfig:
        """Read the resolved config."""
        path = self.path / "config.yaml"
        if not path.exists():
            raise RunError(
                f"{self.path} is no run folder: it holds no config.yaml", remedy="name a folder that `train` made"
            )
        try:
            content = parse_yaml(read_bounded(path))
            if self.imported and content["encoder"]["weights"] == self.encoder.name:
                content["encoder"]["weights"] = str(self.encoder.absolute())
            refuse_missing_plugins(content, path, RunError)
            return RunConfig.model_validate(content)
        except _DAMAGES as error:
            raise RunError(f"{path} cannot be read ({error})", remedy=f"restore it, or {_AGAIN}") from error

    def save(self, place: Place, method: Method, optimizer: Mapping[str, Array] | None) -> None:
        """Replace the state, which notes the log's length; write the method's frozen parts, each of them once."""
        for part in method.frozen_parts:
            if part not in self._frozen:
                write_sealed(self._part(part), method.part_state(part), {"part": part})
                self._frozen[part] = read_sealed_header(self._part(part), CheckpointError).seal
        place = replace(place, log_bytes=self._log.stat().st_size if self._log.exists() else 0)
        state = Saved(place, method.state_dict(without=tuple(self._frozen)), optimizer).packed()
        write_sealed(self.state_file, state.arrays, {**state.note, "settled": self._frozen})

    def saved(self, group: ProcessGroup) -> Saved | None:
        """Return the state on every rank, and cut the log back to it; None if nothing was saved yet."""
        saved = self.state() if group.first else None
        length = saved.place.log_bytes if saved else 0
        # Only ever shorter: after a power cut the log may lack lines that the state counts.
        if group.first and self._log.exists() and self._log.stat().st_size > length:
            with explained_os_errors(self._log), self._log.open("r+b") as file:
                file.truncate(length)
        if group.size == 1:
            return saved
        message = group.broadcast(saved.packed() if saved else Message())
        return saved if group.first or message.note is None else Saved.unpacked(message.arrays, message.note)

    def state(self) -> Saved | None:
        """Read the state and change nothing; None if nothing was saved yet."""
        if not self.state_file.exists():
            return None
        arrays, note = read_sealed(self.state_file, CheckpointError)
        try:
            self._frozen = dict(note.pop("settled"))
            saved = Saved.unpacked(arrays, note)
        except _DAMAGES as error:
            raise CheckpointError(
                f"{self.state_file} is not the state of a run of this version", remedy=_AGAIN
            ) from error
        for part, seal in self._frozen.items():
            path = self._part(part)
            if read_sealed_header(path, CheckpointError).seal != seal:
                raise CheckpointError(
                    f"{path} is not the one that {self.state_file} names", remedy="put the run's own file back"
                )
            saved.method.update(read_sealed(path, CheckpointError)[0])
        return saved

    def log(self, event: Mapping[str, Any]) -> None:
        """Append one line to the log."""
        with explained_os_errors(self._log), self._log.open("a") as file:
            file.write(json.dumps(event) + "\n")

    @property
    def logged(self) -> int:
        """How many lines the log has."""
        return self._log.read_bytes().count(b"\n") if self._log.exists() else 0

    def read_log(self) -> list[EpochReport]:
        """Read what every epoch gave; an imported run has none."""
        if self.imported:
            return []
        try:
            return list(TrainingLog.read(self._log).epochs)
        except _DAMAGES as error:
            raise RunError(f"{self._log} is missing or damaged ({error})", remedy=f"restore it, or {_AGAIN}") from error

    def write_checkpoint(self, task: int, predictor: Mapping[str, Tensor]) -> None:
        """Write the predictor after `task`."""
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in predictor.items()}
        write_sealed(self.checkpoint(task), arrays, {"task": task})

    def read_checkpoint(self, task: int) -> dict[str, Tensor]:
        """Read what `write_checkpoint` wrote."""
        arrays, _ = read_sealed(self.checkpoint(task), CheckpointError)
        return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}

    def write_predictions(self, task: int, predictions: Predictions) -> None:
        """Write the predictions, after `task`, of every test video of the classes seen."""
        arrays = {"slots": predictions.slots, "tasks": predictions.tasks, **named_arrays(predictions.rankings)}
        note = {"videos": list(predictions.videos), "reading": predictions.reading}
        write_sealed(self.predictions(task), arrays, note)

    def read_predictions(self, task: int) -> Predictions:
        """Read what `write_predictions` wrote, or earlier versions, which kept all scores."""
        path = self.predictions(task)
        arrays, note = read_sealed(path, CheckpointError)
        try:
            videos, reading, slots = tuple(note["videos"]), note.get("reading", "cnn"), arrays["slots"]
            scores = {**below("scores.", arrays), **({reading: arrays["scores"]} if "scores" in arrays else {})}
            of = torch.from_numpy
            rankings = {name: Ranking.of(of(each), of(slots)) for name, each in scores.items()} or rankings_in(arrays)
            return Predictions(rankings, slots, arrays["tasks"], videos, reading)
        except _DAMAGES as error:
            raise CheckpointError(f"{path} holds no predictions", remedy="delete it and evaluate again") from error

    def checkpoint(self, task: int) -> Path:
        """Return the file of the predictor after `task`."""
        return self.path / "checkpoints" / f"task-{task:02d}.safetensors"

    def predictions(self, task: int) -> Path:
        """Return the file of the predictions after `task`."""
        return self.path / "predictions" / f"task-{task:02d}.safetensors"

    def _part(self, part: str) -> Path:
        return self.path / "settled" / f"{part}.safetensors"


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """List the settings that differ, as `key: there X, here Y`."""
    apart = nested.differences(there, here, show=repr, absent="None")
    return [f"{key}: there {old}, here {new}" for key, (old, new) in sorted(apart)]
