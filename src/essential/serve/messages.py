"""What the web process and its workers send each other, and how much may be sent; nothing heavy is loaded."""

from dataclasses import dataclass
from pathlib import Path

from essential.errors import ConfigError, EssentialError
from essential.protocols.video_walk import EXTENSIONS


@dataclass(frozen=True)
class Limits:
    """How much a client may ask for: of a clip (a side of its frames is in pixels), of a lesson, and at once.

    A ConfigError if a number is not positive.
    """

    clip_mb: int = 100
    clip_seconds: float = 600
    side: int = 3840
    clip_work_seconds: float = 60
    lesson_clips: int = 200
    waiting_lessons: int = 8
    uploads: int = 64  # that come in or wait for an answer
    silence_seconds: float = 30  # until an upload goes on
    upload_seconds: float = 1800
    live_frames: int = 64  # of one request
    live_mb: int = 16  # of these together
    live_pixels: int = 1920 * 1080  # of a frame
    live_sessions: int = 8
    live_silence_seconds: float = 60  # until a session is forgotten
    live_window_seconds: float = 60

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ConfigError(f"a limit of {value} ({name}) is not allowed; give a number above 0")

    @property
    def clip_bytes(self) -> int:
        """Of one clip's file."""
        return self.clip_mb * 1024**2

    @property
    def lesson_bytes(self) -> int:
        """Of a lesson's clips together, as ten of the largest have."""
        return 10 * self.clip_bytes

    @property
    def extensions(self) -> list[str]:
        """Of the files that are taken for clips in a folder."""
        return sorted(EXTENSIONS)

    @property
    def live_bytes(self) -> int:
        """Of the frames of one request together."""
        return self.live_mb * 1024**2


@dataclass(frozen=True)
class Setup:
    """What a worker loads. `begin_with`: the encoder of an empty bundle, which the first start writes if needed."""

    bundle: Path
    overrides: tuple[str, ...]
    begin_with: str | None
    limits: Limits
    spare_cores: int = 0  # for others, where there are more


@dataclass(frozen=True)
class Lesson:
    """A class to learn from clips, all in one folder; `more_of_known`: it may be a known one."""

    name: str
    clips: tuple[Path, ...]
    more_of_known: bool


@dataclass(frozen=True)
class LiveFrames:
    """The next frames of a camera, files in one folder, and when each came, in seconds by the client's clock."""

    session: str
    frames: tuple[Path, ...]
    times: tuple[float, ...]
    window_seconds: float


@dataclass(frozen=True)
class Step:
    """Progress of a phase; `total` is 0 while it is not known."""

    title: str
    done: int
    total: int
    note: str


@dataclass(frozen=True)
class KnownClass:
    """A class, and how many clips it was taught from."""

    name: str
    clips: int


@dataclass(frozen=True)
class Kept:
    """One thing that is kept of clips, in bytes."""

    kind: str
    name: str
    bytes: int


@dataclass(frozen=True)
class Knowledge:
    """The classes of a bundle, in order of arrival, all that it keeps of clips, and how many frames of one are read."""

    classes: tuple[KnownClass, ...] = ()
    memory: tuple[Kept, ...] = ()
    encoder: str = ""
    method: str = ""
    lessons: int = 0
    frames_read: int = 0

    @property
    def names(self) -> list[str]:
        """Of the classes."""
        return [known.name for known in self.classes]


@dataclass(frozen=True)
class LeftOut:
    """A clip that a lesson did without, by its place in the request, from 1, and why."""

    clip: int
    reason: str


@dataclass(frozen=True)
class Learned:
    """The result of a lesson. `held_out_accuracy` is that on all clips held out so far."""

    clips: int
    left_out: tuple[LeftOut, ...]
    held_out_accuracy: float | None


# The result of a change of the bundle, with what is known then.
Change = tuple[Knowledge, Learned | None]


class Refusal(EssentialError):
    """A request cannot be answered, with the reason as the code for programs and as the message for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        # To be pickled by.
        self.args = status, code, message


def cannot_write(what: str, error: Exception) -> Refusal:
    """Return the refusal of what the disk refuses, with the system's reason, which names no folder of this machine."""
    cause = error if isinstance(error, OSError) else error.__cause__
    reason = cause.strerror if isinstance(cause, OSError) else None
    return Refusal(507, "cannot_write", f"{what}: {reason or 'the disk refuses'}")
