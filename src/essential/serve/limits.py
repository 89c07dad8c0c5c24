"""How much a client may ask for."""

from dataclasses import dataclass

from essential.errors import ConfigError

_MEGABYTE = 1024**2
# Of a lesson's clips together, in clips of the largest size.
_LARGEST_CLIPS_PER_LESSON = 10


@dataclass(frozen=True)
class Limits:
    """What is refused when it is more.

    Attributes:
        clip_mb: of one clip's file.
        clip_seconds: of one clip's length.
        side: of its pictures, in pixels.
        clip_work_seconds: for what is to be done with one clip: decoding and encoding.
        lesson_clips: of one lesson.
        waiting_lessons: that wait for their turn.
        waiting_predictions: likewise.
        uploads: that come in at the same time.
        silence_seconds: until an upload goes on.
        upload_seconds: until an upload is complete.

    Raises:
        ConfigError: a number is not positive.
    """

    clip_mb: int = 100
    clip_seconds: float = 600
    side: int = 3840
    clip_work_seconds: float = 60
    lesson_clips: int = 200
    waiting_lessons: int = 8
    waiting_predictions: int = 64
    uploads: int = 32
    silence_seconds: float = 30
    upload_seconds: float = 1800

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ConfigError(f"a limit of {value} ({name}) is not allowed; give a number above 0")

    @property
    def clip_bytes(self) -> int:
        """Most bytes of one clip's file."""
        return self.clip_mb * _MEGABYTE

    @property
    def lesson_bytes(self) -> int:
        """Most bytes of a lesson's clips together."""
        return _LARGEST_CLIPS_PER_LESSON * self.clip_bytes

    @property
    def lesson_stall_seconds(self) -> float:
        """How long a lesson may go without a step forward."""
        return 10 * self.clip_work_seconds
