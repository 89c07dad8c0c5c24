"""The learner: classes are taught, recognised, forgotten, and kept in one file.

Everything is done by the engine that runs use; one `learn` is one task. What differs from a run: clips come from
anywhere, their features are held in memory while they are learned, and nothing but the bundle is written.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from essential.encoders import FrameEncoder, build_encoder
from essential.engine.config import load_config
from essential.engine.learn_task import learn_task
from essential.engine.settings import RunConfig, choose_device
from essential.engine.workspace import FeatureOrigin
from essential.errors import BundleError, ConfigError, DataError
from essential.features.provenance import Recipe, build_recipe
from essential.features.source import encode_and_hold
from essential.files.sealed import Array
from essential.learner.bundle import Bundle, Lesson, damage_explained, refuse_misfit
from essential.learner.clips import (
    Expanded,
    Given,
    PathLike,
    clips_by_class,
    refuse_known,
    refuse_same_content,
    refuse_unknown,
)
from essential.learner.held_out import HeldOut
from essential.learner.labelled_predictor import LabelledPredictor, build_labelled_predictor, share_right
from essential.learner.learning import (
    Lessons,
    lesson_videos,
    longest_names,
    method_for,
    most_held_out_bytes,
    refuse_old_clips,
    split_held_out,
    with_budget,
)
from essential.learner.prediction import Prediction, Span
from essential.learner.reading import ClipReader
from essential.learner.turns import in_turn, turn
from essential.memory.ledger import LedgerEntry
from essential.methods.contract import Method
from essential.progress import Progress, phase
from essential.protocols.class_names import alike, known_as
from essential.protocols.protocol import Video
from essential.video.windows import WindowedVideo

_TOP = 5
# Of the SHA-256 of a clip that was taught: enough to know it again.
_HASH_LETTERS = 16
_SEED_OF_VIEWS = 0


class VideoLearner:
    """A video classifier that is taught class after class.

    Args:
        encoder: the frozen encoder: `clip-vit-b16`, `tiny`, or another; None: the config's.
        method: how it learns, such as `icarl`; None: the config's.
        memory_budget_bytes: cap on all that is kept of old clips, exemplars and the clips held out, MR modules apart;
            None: as many exemplars per class as the config says.
        config: a shipped config or a YAML file, for everything else. Its data and tasks have no meaning here.
        overrides: such as `training.epochs=60`.
        held_out_per_class: clips of a class, of five or more, that are not learned from but kept, to set probabilities
            and the threshold of the unknown by; 0: neither is set.
        progress: told how far it is.

    Raises:
        ConfigError: no such encoder, method, config or setting, or a budget for a method that keeps nothing.
        CheckpointError: the encoder's weights are missing or damaged.
    """

    def __init__(
        self,
        *,
        encoder: str | None = None,
        method: str | None = None,
        memory_budget_bytes: int | None = None,
        config: str = "own/essential",
        overrides: Sequence[str] = (),
        held_out_per_class: int = 4,
        progress: Progress | None = None,
    ) -> None:
        chosen = [] if encoder is None else [f"encoder.name={encoder}"]
        settings = load_config(config, [*chosen, *overrides], method=method)
        if memory_budget_bytes is not None:
            settings = with_budget(config, [*chosen, *overrides], method, memory_budget_bytes)
        if held_out_per_class < 0:
            raise ConfigError(f"held_out_per_class={held_out_per_class} is not allowed; give 0 or more")
        refuse_old_clips(settings)
        with turn(settings.training.threads):
            self._set_up(settings, progress)
            self._method = method_for(settings, dim=self._encoder.dim, reserved_bytes=0)
        self._labels: tuple[str | None, ...] = ()
        self._lessons: tuple[Lesson, ...] = ()
        self._held_out = HeldOut.none(frames=settings.video.frames, dim=self._encoder.dim)
        self._held_out_per_class = held_out_per_class
        self._taught: dict[str, str] = {}

    def _set_up(self, config: RunConfig, progress: Progress | None) -> None:
        self.config = config.with_absolute_paths()
        self._progress = progress or Progress()
        self._voice: LabelledPredictor | None = None
        self._origin: Path | None = None
        self._device = choose_device(config.training.device)
        self._process_id = os.getpid()
        self._encoder: FrameEncoder = build_encoder(self.config.encoder)
        self._encoder.check_frames(config.video.frames)
        self._encoder.to(self._device)

    @classmethod
    def load(cls, path: PathLike, *, overrides: Sequence[str] = (), progress: Progress | None = None) -> "VideoLearner":
        """Read a learner from its bundle.

        Args:
            path: the file that `save` wrote.
            overrides: `encoder.weights=FILE`, where the encoder's weights are not downloaded, and what else says how
                this machine works (`training.device`, `training.threads`, `features.workers`, ...).
            progress: told how far it is.

        Raises:
            BundleError: it is missing, damaged, of a newer version, or was taught with another encoder.
            ConfigError, CheckpointError: an override cannot be used.
        """
        return cls.from_bundle(Bundle.read(Path(path), overrides), Path(path), progress=progress)

    @classmethod
    def from_bundle(cls, bundle: Bundle, path: Path, *, progress: Progress | None = None) -> "VideoLearner":
        """Return the learner of a bundle that was read from `path`; see `load`."""
        learner = cls.__new__(cls)
        learner._labels, learner._lessons = bundle.labels, bundle.lessons
        learner._held_out = bundle.held_out
        learner._held_out_per_class, learner._taught = bundle.held_out_per_class, dict(bundle.taught)
        with turn(bundle.config.training.threads):
            learner._set_up(bundle.config, progress)
            learner._origin = path
            _refuse_other_encoder(path, bundle.encoder, learner._encoder)
            with damage_explained(path):
                learner._method = learner._restored(bundle.method, reserved_bytes=bundle.held_out.bytes)
                refuse_misfit(bundle, learner._method)
        return learner

    @in_turn
    def save(self, path: PathLike) -> int:
        """Write the learner to one file, whole or not at all, and return its bytes.

        Raises:
            FileSystemError: the disk refuses.
        """
        bundle = Bundle(
            config=self.config,
            encoder=FeatureOrigin(self._encoder.name, self._encoder.fingerprint, self._encoder.dim),
            labels=self._labels,
            lessons=self._lessons,
            method=self._method.state_dict(),
            held_out=self._held_out,
            held_out_per_class=self._held_out_per_class,
            taught=self._taught,
        )
        return bundle.write(Path(path))

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels known, in order of arrival."""
        return tuple(dict.fromkeys(label for label in self._labels if label is not None))

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """What every `learn` was given, and gave."""
        return self._lessons

    @property
    def memory(self) -> list[LedgerEntry]:
        """Every byte that is kept beside the classifier and the encoder."""
        return _ledger(self._method, self._held_out)

    @property
    def encoder(self) -> FrameEncoder:
        """The frozen encoder."""
        return self._encoder

    @property
    def held_out(self) -> HeldOut:
        """The clips that were not learned from."""
        return self._held_out

    @property
    @in_turn
    def labelled_predictor(self) -> LabelledPredictor:
        """What answers: the predictor, with its labels and its calibration.

        Raises:
            DataError: nothing was taught yet.
        """
        self._require_classes(1)
        if self._voice is None:
            self._voice = self._labelled_predictor(self._method, self._labels, self._held_out)
        return self._voice

    def _labelled_predictor(self, method: Method, labels: Sequence[str | None], held_out: HeldOut) -> LabelledPredictor:
        # The numbers of a stranger's bundle are tried here first.
        with nullcontext() if self._origin is None else damage_explained(self._origin):
            return build_labelled_predictor(method.predictor, labels, method.memory, held_out)

    @in_turn
    def learn(self, clips: Given, *, more_of_known: bool = False) -> Lesson:
        """Learn classes from their clips; the clips are not needed again.

        It is done wholly or not at all: after an error the learner is as it was.

        Args:
            clips: {"class": [paths]}, or a folder laid out as DIR/<class>/*.mp4; or what `clips_by_class` gave.
            more_of_known: whether classes that are known may be among them; they then get further clips.

        Raises:
            DataError: a clip is in two classes, a class is known or has no readable clip, or a clip cannot be read
                and the config says to fail.
            ConfigError: the memory budget cannot hold one exemplar of every class.
            TrainingError: a loss is not finite.
        """
        self._refuse_fork()
        given = clips_by_class(clips)
        by_class = {known_as(name, self.classes): paths for name, paths in given.videos.items()}
        for note in filter(None, (given.passed_over.line, *alike(dict.fromkeys((*self.classes, *by_class))))):
            self._progress.say(note)
        if not more_of_known:
            refuse_known(by_class, self.classes)
        videos = lesson_videos(by_class, len(self._labels))
        names = dict(zip(map(str, range(len(self._labels), len(self._labels) + len(by_class))), by_class, strict=True))
        with phase(self._progress, "read clips", len(videos)):
            source, hashes = encode_and_hold(
                videos,
                recipe=self._recipe(),
                config=self.config.features,
                progress=lambda done, total: self._progress.advance(done, total=total),
            )
        hashes = {key: content[:_HASH_LETTERS] for key, content in hashes.items()}
        readable = [video for video in videos if video.key not in source.skipped]
        labels_of = {video.key: names[video.label] for video in readable}
        refuse_same_content(hashes, labels_of, self._taught)
        _refuse_bare(names, readable, source.skipped)
        held = Counter(self._labels[slot] for slot in self._held_out.slots.tolist())
        most = {slot: max(0, self._held_out_per_class - held[name]) for slot, name in names.items()}
        trained, kept = split_held_out(readable, most=most, seed=self.config.seed, lesson=len(self._lessons))
        held_out = self._held_out.extended(Lessons(self._method.slots, readable, source).held_out(kept))
        most_bytes = most_held_out_bytes(self.config)
        held_out = held_out if most_bytes is None else held_out.at_most(most_bytes)
        method = self._restored(self._method.state_dict(), reserved_bytes=held_out.bytes)
        task = Lessons(method.slots, trained, source).task()
        memory = method.memory
        method.check_room(longest_names(task, memory.slots.numpy(), memory.names), tasks=task.index + 1)
        learn_task(method, task, self.config.training, progress=self._progress)
        labels = (*self._labels, *by_class)
        voice = self._labelled_predictor(method, labels, held_out)
        counts = tuple(sum(video.label == slot for video in readable) for slot in names)
        right = share_right(voice, held_out)
        passed_over = given.passed_over.counts
        lesson = Lesson(tuple(by_class), counts, len(kept), dict(source.skipped), right, passed_over)
        self._method, self._labels, self._held_out = method, labels, held_out
        self._lessons, self._voice = (*self._lessons, lesson), voice
        self._taught |= {content: labels_of[key] for key, content in hashes.items()}
        return lesson

    @in_turn
    def forget(self, name: str) -> None:
        """Forget a class: its exemplars, the clips held out of it and its name are deleted; it is never answered.

        What the weights have learned from its clips is not undone, nor the statistics that some methods keep of
        classes; a learner that never saw them is a new one.

        Raises:
            DataError: no class has that name.
        """
        name = known_as(name, self.classes)
        refuse_unknown(name, self.classes)
        slots = [slot for slot, label in enumerate(self._labels) if label == name]
        for slot in slots:
            self._method.memory = self._method.memory.without(slot)
            self._held_out = self._held_out.without(slot)
        self._labels = tuple(None if label == name else label for label in self._labels)
        self._lessons = tuple(lesson.without(name) for lesson in self._lessons)
        self._taught = {content: label for content, label in self._taught.items() if label != name}
        self._voice = None

    def predict(self, paths: PathLike | Iterable[PathLike], *, top_k: int = _TOP) -> list[Prediction]:
        """Say what clips show: files, or folders of them.

        A clip that cannot be read has a prediction that says why.

        Raises:
            DataError: nothing was taught yet.
        """
        several = [paths] if isinstance(paths, str | os.PathLike) else paths
        return list(self.stream(several, top_k=top_k))

    def stream(
        self, paths: Iterable[PathLike] | Expanded, *, top_k: int = _TOP, with_frames: bool = False
    ) -> Iterator[Prediction]:
        """Say what clips show, one after the other, as `paths` gives them; there may be any number.

        No answer waits for the next path: whoever sends the paths may wait for each answer.

        Args:
            paths: files, folders of them, or folders of numbered images, each a clip; drawn in a thread. An `Expanded`
                of them counts what is passed over in folders.
            top_k: labels of each.
            with_frames: whether each prediction carries the frames that the encoder saw.

        Raises:
            DataError: nothing was taught yet.
        """
        self._require_classes(top_k)
        self._refuse_fork()
        found = paths if isinstance(paths, Expanded) else Expanded(paths)
        return self._reader().stream(found, top_k=top_k, with_frames=with_frames)

    @in_turn
    def predict_spans(
        self, path: PathLike, *, window_seconds: float, stride_seconds: float | None = None
    ) -> list[Span]:
        """Say what a long video shows, and when: windows of time are read as clips, and neighbours that agree joined.

        Args:
            path: the file, of any length; it is decoded once.
            window_seconds: the length of a window: about that of the clips that were taught.
            stride_seconds: from window to window; None: half a window.

        Raises:
            DataError: nothing was taught yet.
            VideoError: the file cannot be read.
            ConfigError: such windows are not allowed.
        """
        self._require_classes(1)
        self._refuse_fork()
        stride = window_seconds / 2 if stride_seconds is None else stride_seconds
        frames = self.config.video.frames
        video = WindowedVideo(Path(path), frames=frames, window_seconds=window_seconds, stride_seconds=stride)
        with phase(self._progress, "read windows", len(video.windows)):
            return self._reader().spans(video, progress=self._progress.advance)

    def _restored(self, state: Mapping[str, Array], *, reserved_bytes: int) -> Method:
        """Return a method of its own in the state given, with the rest of the budget."""
        method = method_for(self.config, dim=self._encoder.dim, reserved_bytes=reserved_bytes)
        method.load_state_dict(state)
        method.network.to(self._device)
        return method

    def _recipe(self) -> Recipe:
        config = self.config
        return build_recipe(
            config.features,
            self._encoder,
            augment=config.video.augment,
            frames=config.video.frames,
            seed=_SEED_OF_VIEWS,
        )

    def _reader(self) -> ClipReader:
        return ClipReader(self.labelled_predictor, self._recipe(), self.config.features, self.config.training.threads)

    def _require_classes(self, top_k: int) -> None:
        if not self.classes:
            raise DataError("nothing was taught yet, so nothing can be recognised; teach a class first: learn(...)")
        if top_k < 1:
            raise ConfigError(f"top_k={top_k} is not allowed; ask for 1 label or more")

    def _refuse_fork(self) -> None:
        if self._device.type == "cuda" and os.getpid() != self._process_id:
            raise ConfigError(
                "a learner on a GPU cannot be used in a process that was forked; start the processes by spawn, or load "
                "the bundle in each with overrides=['training.device=cpu']"
            )


def ledger_of(path: Path) -> tuple[Bundle, list[LedgerEntry]]:
    """Return a bundle, and every byte that it keeps beside the classifier; its encoder is not needed.

    Raises:
        BundleError: see `Bundle.read`.
    """
    bundle = Bundle.read(path)
    with damage_explained(path):
        method = method_for(bundle.config, dim=bundle.encoder.dim, reserved_bytes=bundle.held_out.bytes)
        method.load_state_dict(bundle.method)
        return bundle, _ledger(method, bundle.held_out)


def _ledger(method: Method, held_out: HeldOut) -> list[LedgerEntry]:
    held = LedgerEntry("episodic", "clips held out for calibration", held_out.bytes, in_paper_figure=False)
    return [*method.ledger(), *([held] if len(held_out.slots) else [])]


def _refuse_other_encoder(path: Path, taught: FeatureOrigin, encoder: FrameEncoder) -> None:
    if taught.fingerprint != encoder.fingerprint:
        raise BundleError(
            f"{path} was taught with features of {taught.name!r} (fingerprint {taught.fingerprint[:12]}), and this is "
            f"{encoder.name!r} ({encoder.fingerprint[:12]}); give the weights that it was taught with: "
            "-s encoder.weights=FILE"
        )


def _refuse_bare(names: Mapping[str, str], readable: Sequence[Video], skipped: Mapping[str, str]) -> None:
    learned = {video.label for video in readable}
    bare = [name for slot, name in names.items() if slot not in learned]
    if bare:
        lines = "\n  ".join(f"{key}: {reason}" for key, reason in sorted(skipped.items()))
        raise DataError(
            f"no clip of {', '.join(map(repr, bare))} can be read, so it cannot be learned:\n  {lines}\n"
            "Give clips that can be read, or leave the class out"
        )
