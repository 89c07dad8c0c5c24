"""Clips that have fewer frames than are read of them: frames are repeated, and it is said."""

from essential.progress import Progress


class ShortClips:
    """Counts clips, and those that have fewer than `frames_read` frames."""

    def __init__(self, frames_read: int) -> None:
        self._frames_read = frames_read
        self._clips = self._short = 0

    def add(self, frame_count: int | None) -> None:
        """Count a clip of so many frames; None: one that cannot be read, which is not counted."""
        if frame_count is not None:
            self._clips += 1
            self._short += frame_count < self._frames_read

    def tell(self, progress: Progress) -> None:
        """Say how many there were, if there was one."""
        if self._short:
            have = "clip has" if self._clips == 1 else "clips have"
            progress.say(
                f"{self._short} of {self._clips} {have} fewer frames than the {self._frames_read} that the encoder "
                "reads; frames are repeated"
            )
