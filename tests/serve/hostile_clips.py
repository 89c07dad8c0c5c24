"""Files that a service must not stumble over, with the status and the code of the answer that each gets."""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from video_files import cut_short, write_numbered_video, write_sound, write_video


class Hostile(NamedTuple):
    """A file's content, and what the service says of it."""

    content: bytes
    status: int
    code: str


MOST_SECONDS, MOST_SIDE = 8, 400


def hostile_clips(folder: Path, victim: Path) -> dict[str, Hostile]:
    """Return hostile files by what is wrong with them.

    Args:
        folder: to make videos in.
        victim: a video of this machine, which no upload may show.
    """
    unreadable = {
        "empty": b"",
        "text": b"Call me Ishmael. Some years ago, never mind how long precisely.\n" * 50,
        "zeros": b"\0" * 1_000_000,
        "noise": np.random.default_rng(0).bytes(200_000),
        "archive": b"PK\x03\x04" + b"\0" * 5000,
        "page": b"<!doctype html><script>alert(1)</script>" * 20,
        "playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{victim}\n#EXT-X-ENDLIST\n".encode(),
        "script": f"ffconcat version 1.0\nfile '{victim}'\n".encode(),
        "session": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "cut short": cut_short(write_numbered_video(folder / "cut.mp4", 30), 0.6).read_bytes(),
        "one frame": write_numbered_video(folder / "one.mp4", 1).read_bytes(),
        "sound alone": write_sound(folder / "sound.wav").read_bytes(),
        "damaged": _damaged(write_numbered_video(folder / "damaged.mp4", 40)),
    }
    wide = write_video(folder / "wide.mp4", [np.zeros((64, MOST_SIDE + 16, 3), np.uint8)] * 8)
    long = write_numbered_video(folder / "long.mp4", 25 * MOST_SECONDS + 25)
    slow = write_numbered_video(folder / "slow.mp4", 3, times=[0, 25, 10**5])
    return {
        **{name: Hostile(content, 422, "unreadable_clip") for name, content in unreadable.items()},
        "wide": Hostile(wide.read_bytes(), 422, "pictures_too_large"),
        "enormous": Hostile(_claiming(folder, side=20_000), 422, "unreadable_clip"),
        "long": Hostile(long.read_bytes(), 422, "clip_too_long"),
        "endless": Hostile(slow.read_bytes(), 422, "clip_too_long"),
    }


def _damaged(path: Path) -> bytes:
    """Return a video with its frames overwritten, and its tables whole."""
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    noise = np.random.default_rng(1).bytes(len(content))
    end = content.find(b"moov", start)
    end = len(content) if end < 0 else end - 4
    content[start:end] = noise[start:end]
    return bytes(content)


def _claiming(folder: Path, *, side: int) -> bytes:
    """Return a small video whose header promises frames of `side` times `side` pixels."""
    path = write_numbered_video(folder / "claiming.avi", 10, codec="rawvideo", b_frames=0, size=(64, 48))
    content = path.read_bytes()
    header = content.index(b"strf")
    assert content[header + 12 : header + 20] == struct.pack("<II", 64, 48)
    return content[: header + 12] + struct.pack("<II", side, side) + content[header + 20 :]
