"""A run's folder: what is in it, and how a run finds its place again.

    RUN/
      config.yaml             the resolved config, written before anything is computed
      protocol.json           tasks, classes and videos by name
      log.jsonl               one line per epoch and per evaluation
      state.safetensors       all that resuming needs: method, optimiser, place; one file, replaced as a whole
      settled/PART.safetensors          parts of the method that will not change again: written once, and the state
                              names them by their checksums
      memory.safetensors      the episodic memory after the last finished task, to take elsewhere
      checkpoints/task-NN.safetensors   the predictor after task NN: what `essential evaluate` scores
      predictions/task-NN.safetensors   every test video's scores after task NN
      record.json             the result; its presence means that the run is complete
      analysis.json           what a report shows beyond the record; may be deleted at any time, and is made again
      wandb.json              only where --wandb was given: which run of which project it is there
  imported.json           only in a run that was imported from checkpoints: where they were, their encoder's fingerprint
  encoder.safetensors     likewise: the weights of their encoder

Every file appears whole or not at all. State, checkpoints and predictions carry a checksum of their content.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from essential.engine.evaluate import Predictions
from essential.engine.fit import StageStart
from essential.engine.protocol_file import protocol_from_json, protocol_to_json
from essential.engine.settings import RunConfig
from essential.engine.workspace import FeatureOrigin
from essential.errors import CheckpointError, RunError
from essential.files.atomic import explained_os_errors, remove_unfinished, write_json, write_text
from essential.files.sealed import Array, read_sealed, read_sealed_header, write_sealed
from essential.files.untrusted import parse_yaml, read_bounded, read_json, yaml_text
from essential.methods.contract import Method
from essential.models.growing import below
from essential.protocols.protocol import Protocol


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
    """A state of a run: the place, the method's state, and the optimiser's if the place is inside a stage."""

    place: Place
    method: dict[str, Array]
    optimizer: Mapping[str, Array] | None

    @property
    def start(self) -> StageStart:
        """Where the place's stage goes on."""
        return StageStart(self.place.epoch, self.optimizer)

    def packed(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return it as named arrays, and a note of JSON values."""
        arrays = {f"method.{name}": array for name, array in self.method.items()}
        arrays |= {f"optimizer.{name}": array for name, array in (self.optimizer or {}).items()}
        return arrays, {**asdict(self.place), "optimizer": self.optimizer is not None}

    @classmethod
    def unpacked(cls, arrays: Mapping[str, Array], note: Mapping[str, Any]) -> "Saved":
        """Return what `packed` was called on.

        Raises:
            KeyError, TypeError, ValueError: they are of something else.
        """
        known = {name: value for name, value in note.items() if name != "optimizer"}
        place = Place(**{**known, "memory_bytes_by_task": tuple(note["memory_bytes_by_task"])})
        if not all(type(n) is int and n >= 0 for n in (place.task, place.stage, place.epoch, place.log_bytes)):
            raise ValueError("a place is in whole numbers")
        return cls(place, below("method.", arrays), below("optimizer.", arrays) if note["optimizer"] else None)


class RunFolder:
    """Reads and writes the files of one run. The caller holds the folder's lock.

    Attributes:
        path: of the folder.
        memory: the episodic memory's file.
        record: the result's.
        analysis: the analysis's.
        encoder: the weights of an imported run's encoder.
        import_note: where an imported run came from; its presence means that the run was imported.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.memory = path / "memory.safetensors"
        self.record = path / "record.json"
        self.analysis = path / "analysis.json"
        self.encoder = path / "encoder.safetensors"
        self.import_note = path / "imported.json"
        self._state = path / "state.safetensors"
        self._protocol = path / "protocol.json"
        self._log = path / "log.jsonl"
        self._settled: dict[str, str] = {}

    def check(self, config: RunConfig, *, resume: bool) -> None:
        """Refuse to run `config` here if another run, or this one without `resume`, has got anywhere.

        Raises:
            RunError: it has.
        """
        self._remove_leftovers()
        if not self.begun:
            self.discard_import()
            return
        if self.imported:
            raise RunError(
                f"{self.path} was imported from checkpoints, which hold no memory: it can be evaluated, not trained "
                "on; choose another --out"
            )
        if not resume:
            raise RunError(f"{self.path} holds a run already; add --resume to go on with it, or choose another --out")
        self.refuse_another(config)

    def refuse_another(self, config: RunConfig) -> None:
        """Refuse a config that would give other numbers than the run's own.

        Raises:
            RunError: lists what differs.
        """
        found = differences(self.config().identity(), config.identity())
        if found:
            raise RunError(
                f"{self.path} holds a run of another config: {'; '.join(found)}. "
                "Use the run's own config, or choose another folder"
            )

    def refuse_other_features(self, origin: FeatureOrigin) -> None:
        """Refuse to go on with features of another kind than the run began with, such as those of other weights.

        Raises:
            RunError: they are.
        """
        there = self.origin()
        if there is not None and there != origin:
            raise RunError(
                f"{self.path} began with features of {there.name!r} (fingerprint {there.fingerprint[:12]}), "
                f"these are of {origin.name!r} ({origin.fingerprint[:12]}); use the weights it began with, or "
                "another folder"
            )

    def origin(self) -> FeatureOrigin | None:
        """Return what made the features that the run began with; None if the folder does not say.

        Raises:
            RunError: the file is damaged, or says it in another way than this version does.
        """
        try:
            there = read_json(self._protocol).get("features")
            return None if there is None else FeatureOrigin(**there)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise RunError(f"{self._protocol} is damaged ({error}); train again into another folder") from error

    def begin_import(self, source: str) -> None:
        """Mark the folder as that of an import from `source`, before anything of it is written.

        Only a folder with the mark is ever cleaned: nobody else's file is taken for one of an import.

        Raises:
            RunError: the folder holds a run, or files that an import would replace.
        """
        self._remove_leftovers()
        if self.begun:
            raise RunError(f"{self.path} holds a run already; choose another --out")
        self.discard_import()
        foreign = next((path for path in self._import_files() if path.exists()), None)
        if foreign is not None:
            raise RunError(f"{foreign} is there, and no import wrote it; choose another --out, or move the file")
        write_json(self.import_note, {"from": source})

    def discard_import(self) -> None:
        """Take away what an import has written that failed, or was killed."""
        if self.imported:
            for path in (*self._import_files(), self.import_note):
                path.unlink(missing_ok=True)

    def _import_files(self) -> list[Path]:
        return [self._state, self.encoder, *sorted(self.path.glob("checkpoints/task-*.safetensors"))]

    def write_encoder(self, weights: Mapping[str, Tensor]) -> None:
        """Write the weights of an imported run's encoder."""
        write_sealed(self.encoder, {name: tensor.numpy() for name, tensor in weights.items()}, {"what": "encoder"})

    def claim(self, config: RunConfig, protocol: Protocol, root: Path, origin: FeatureOrigin) -> None:
        """Write what the run is and what it learns; both are fixed once it has got anywhere."""
        self.write_config(config)
        content = {**protocol_to_json(protocol, root), "features": asdict(origin)}
        write_json(self._protocol, content)

    def write_config(self, config: RunConfig) -> None:
        """Write the resolved config, with the path of an imported encoder as it is inside the folder."""
        content = config.model_dump(mode="json")
        if config.encoder.weights == self.encoder.absolute():
            content["encoder"]["weights"] = self.encoder.name  # so that the folder can be moved
        write_text(self.path / "config.yaml", yaml_text(content))

    @property
    def imported(self) -> bool:
        """Whether the run was imported from checkpoints: it can be evaluated, not trained on."""
        return self.import_note.exists()

    @property
    def begun(self) -> bool:
        """Whether anything was learned here that a new run would overwrite."""
        return self._state.exists() or self.record.exists()

    def config(self) -> RunConfig:
        """Read the resolved config.

        Raises:
            RunError: there is none, or it cannot be read.
        """
        path = self.path / "config.yaml"
        if not path.exists():
            raise RunError(f"{self.path} is no run folder: it holds no config.yaml; name a folder that `train` made")
        try:
            content = parse_yaml(read_bounded(path))
            if self.imported and content["encoder"]["weights"] == self.encoder.name:
                content["encoder"]["weights"] = str(self.encoder.absolute())
            return RunConfig.model_validate(content)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise RunError(
                f"{path} cannot be read ({error}); restore it, or train again into another folder"
            ) from error

    def protocol(self, root: Path) -> Protocol | None:
        """Read the protocol of a run that has begun, its videos below `root` whether they are there or not.

        Raises:
            RunError: the file is damaged.
        """
        if not self.begun or (self.imported and not self._protocol.exists()):
            return None
        try:
            return protocol_from_json(read_json(self._protocol), root)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{self._protocol} is damaged ({error}); train again into another folder") from error

    def save(self, place: Place, method: Method, optimizer: Mapping[str, Array] | None) -> None:
        """Replace the state by this one; the log's present length is noted in it.

        What the method calls settled is written once, so that a checkpoint costs the same after many tasks.
        """
        for part in method.frozen_parts:
            if part not in self._settled:
                write_sealed(self._part(part), method.part_state(part), {"part": part})
                self._settled[part] = read_sealed_header(self._part(part), CheckpointError).seal
        place = replace(place, log_bytes=self._log.stat().st_size if self._log.exists() else 0)
        arrays, note = Saved(place, method.state_dict(without=tuple(self._settled)), optimizer).packed()
        write_sealed(self._state, arrays, {**note, "settled": self._settled})

    def saved(self) -> Saved | None:
        """Read the state, and cut the log back to where it was then; None, and an empty log, if nothing was saved yet.

        Raises:
            CheckpointError: see `state`.
        """
        saved = self.state()
        self._cut_log(saved.place.log_bytes if saved else 0)
        return saved

    def state(self) -> Saved | None:
        """Read the state, and leave everything as it is; None if nothing was saved yet.

        Raises:
            CheckpointError: the state is damaged, or a settled part is, or is not the one that the state names.
        """
        if not self._state.exists():
            return None
        arrays, note = read_sealed(self._state, CheckpointError)
        try:
            self._settled = dict(note.pop("settled"))
            saved = Saved.unpacked(arrays, note)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise CheckpointError(
                f"{self._state} is not the state of a run of this version; train again into another folder"
            ) from error
        for part, seal in self._settled.items():
            saved.method.update(self._read_part(part, seal))
        return saved

    def _read_part(self, part: str, seal: str) -> dict[str, Array]:
        path = self._part(part)
        if read_sealed_header(path, CheckpointError).seal != seal:
            raise CheckpointError(f"{path} is not the one that {self._state} names; put the run's own file back")
        return read_sealed(path, CheckpointError)[0]

    def log(self, event: Mapping[str, Any]) -> None:
        """Append one line to the log."""
        with explained_os_errors(self._log), self._log.open("a") as file:
            file.write(json.dumps(event) + "\n")

    @property
    def logged(self) -> int:
        """How many lines the log has."""
        return self._log.read_bytes().count(b"\n") if self._log.exists() else 0

    def write_checkpoint(self, task: int, predictor: Mapping[str, Tensor]) -> None:
        """Write the predictor after `task`."""
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in predictor.items()}
        write_sealed(self._checkpoint(task), arrays, {"task": task})

    def read_checkpoint(self, task: int) -> dict[str, Tensor]:
        """Read what `write_checkpoint` wrote.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        arrays, _ = read_sealed(self._checkpoint(task), CheckpointError)
        return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}

    def write_predictions(self, task: int, predictions: Predictions) -> None:
        """Write what the predictor after `task` says of every test video of the classes seen."""
        arrays = {"scores": predictions.scores, "slots": predictions.slots, "tasks": predictions.tasks}
        arrays |= {f"scores.{name}": scores for name, scores in predictions.others.items()}
        note = {"videos": list(predictions.videos), "reading": predictions.reading}
        write_sealed(self._predictions(task), arrays, note)

    def read_predictions(self, task: int) -> Predictions:
        """Read what `write_predictions` wrote.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        arrays, metadata = read_sealed(self._predictions(task), CheckpointError)
        try:
            videos, reading = tuple(metadata["videos"]), metadata.get("reading", "cnn")
            others = below("scores.", arrays)
            return Predictions(arrays["scores"], arrays["slots"], arrays["tasks"], videos, reading, others)
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{self._predictions(task)} holds no predictions; delete it and evaluate again"
            ) from error

    def _part(self, part: str) -> Path:
        return self.path / "settled" / f"{part}.safetensors"

    def _checkpoint(self, task: int) -> Path:
        return self.path / "checkpoints" / f"task-{task:02d}.safetensors"

    def _remove_leftovers(self) -> None:
        for folder in (self.path, *(self.path / part for part in ("settled", "checkpoints", "predictions"))):
            remove_unfinished(folder)

    def _predictions(self, task: int) -> Path:
        return self.path / "predictions" / f"task-{task:02d}.safetensors"

    def _cut_log(self, length: int) -> None:
        # Only ever shorter: after a power cut the log may lack lines that the state knows of.
        if self._log.exists() and self._log.stat().st_size > length:
            with explained_os_errors(self._log), self._log.open("r+b") as file:
                file.truncate(length)


def differences(there: Mapping[str, Any], here: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List the settings that differ, as `key: there X, here Y`."""
    found = []
    for key in sorted({*there, *here}):
        old, new = there.get(key), here.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key}: there {old!r}, here {new!r}")
    return found
