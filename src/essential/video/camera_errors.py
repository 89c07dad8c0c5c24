"""Why a camera cannot be used, and what to do about it, out of what FFmpeg and the system say."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av

from essential.errors import CameraError
from essential.video.frames import LIBRARY_ERRORS


def devices() -> list[str]:
    """Return the devices of this machine that may be cameras, in order."""
    with suppress(OSError):
        return sorted(str(path) for path in Path("/dev").iterdir() if re.fullmatch(r"video[0-9]+", path.name))
    return []


@contextmanager
def explained(name: str, location: str, problem: str) -> Iterator[None]:
    """Turn what PyAV raises inside into a CameraError; it never holds the location, in which a password may be."""
    try:
        yield
    except (av.FFmpegError, *LIBRARY_ERRORS) as error:
        reason, remedy = _of_device(location, error) if location.startswith("/dev/") else _of_network(error)
        raise CameraError(f"{problem}: {reason}", where=name, remedy=remedy) from error


def _of_device(location: str, error: BaseException) -> tuple[str, str]:
    code = error.errno if isinstance(error, OSError) else None
    others = [device for device in devices() if device != location]
    another = (
        f"this machine has {', '.join(others)}" if others else "connect one, or use one in the network (rtsp://...)"
    )
    match code:
        case errno.ENOENT:
            return f"there is no {location}", another
        case errno.EACCES | errno.EPERM:
            return (
                f"this user may not open {location}",
                "join the group that owns it, often: sudo usermod -aG video $USER",
            )
        case errno.EBUSY:
            return "another program uses it", "close that program"
        case errno.ENODEV | errno.EIO:
            return "it was unplugged, or failed", "check its cable, and run again"
    return f"{location} gives no frames ({_reason(error)})", another


def _of_network(error: BaseException) -> tuple[str, str]:
    if isinstance(error, av.HTTPUnauthorizedError):
        return "it wants a user and a password, or others", "give them: rtsp://USER:PASSWORD@HOST/PATH"
    if isinstance(error, av.HTTPNotFoundError):
        return "it has nothing at this path", "look the path up in the camera's manual"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there", "check the host and the port, and that it is on"
    if isinstance(error, av.ExitError):
        return "it does not answer", "check the host and the network, and that it is on"
    return _reason(error), "check the address and the network, and that it is on"


def _reason(error: BaseException) -> str:
    return (error.strerror if isinstance(error, av.FFmpegError | OSError) else None) or type(error).__name__
