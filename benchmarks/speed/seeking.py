"""8 frames of a 60 s, 720p video with a key frame every 250 pictures: `read_frames` against decoding every picture.

Both on one thread. Nothing in the file helps: libx264's defaults, no cut in the scene, so no key frame but every 250th.
How much must be decoded depends on where the wanted pictures lie between two key frames. At 60 pictures a second the
packets from a key frame to a wanted picture are a third of all, at 30 a second half, at 25 two thirds. Half of these
are pictures that no other refers to, which are left out unless wanted; they are the cheaper half.

The pictures must equal those of the full decoding, and do, or no figure is given. One group is encoded and its packets
repeated, as decoding does not know: encoding a minute would take longer than all the rest.
"""

import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from decoding import decode_all, write_moving_texture
from measuring import Result, main, ratios_in_turns, seconds

from essential.video.decode import read_frames
from essential.video.views import segment_indices

GROUP, SECONDS, SIZE = 250, 60, (1280, 720)


def measure() -> list[Result]:
    """Measure at 60 pictures a second, and at 30 beside it."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        group = Path(name) / "group.mp4"
        options = {"g": str(GROUP), "sc_threshold": "0"}
        write_moving_texture(group, GROUP, size=SIZE, codec="libx264", options=options)
        fast, slow = (_repeat(group, Path(name) / f"{rate}.mp4", rate) for rate in (60, 30))
        ratio, spread, taken = _compare(fast, 3)
        other, _, _ = _compare(slow, 1)
        size = fast.stat().st_size * 8e-6 / SECONDS
    detail: dict[str, float | str] = {**taken, "the same at 30 pictures a second": other, "Mbit/s": size}
    title = f"decoding all over reading 8 frames, {SECONDS} s of 720p at 60 a second, key frame every {GROUP}"
    return [Result(title, ratio, ">=", 3, spread=spread, detail=detail)]


def _compare(path: Path, turns: int) -> tuple[float, tuple[float, float], dict[str, float]]:
    taken: dict[str, float] = {}

    def all_of_it() -> float:
        taken["decoding all, s"] = seconds(lambda: decode_all(path))
        return taken["decoding all, s"]

    def ours() -> float:
        taken["ours, s"] = seconds(lambda: read_frames(path, _centres))
        return taken["ours, s"]

    _check_equal(path)
    ratio, spread = ratios_in_turns(all_of_it, ours, turns=turns)
    return ratio, spread, taken


def _centres(frame_count: int) -> Sequence[int]:
    return segment_indices(frame_count, 8, generator=None)


def _check_equal(path: Path) -> None:
    read = read_frames(path, _centres)
    wanted = _centres(read.frame_count)
    with av.open(str(path)) as container:
        pictures = enumerate(container.decode(video=0))
        expected = [frame.to_ndarray(format="rgb24") for index, frame in pictures if index in wanted]
    np.testing.assert_array_equal(read.frames, expected)


def _repeat(group: Path, path: Path, rate: int) -> Path:
    """Write the packets of one group again and again, for SECONDS at `rate` pictures a second."""
    with av.open(str(group)) as source:
        packets = [packet for packet in source.demux(video=0) if packet.size]
        with av.open(str(path), "w") as container:
            stream = container.add_stream_from_template(source.streams.video[0])
            for number in range(rate * SECONDS):
                turn, place = divmod(number, GROUP)
                old, packet = packets[place], av.Packet(bytes(packets[place]))
                unit = old.duration or 1
                packet.pts, packet.dts = (time // unit + turn * GROUP for time in (old.pts or 0, old.dts or 0))
                packet.duration, packet.time_base, packet.stream = 1, Fraction(1, rate), stream
                packet.is_keyframe = old.is_keyframe
                container.mux(packet)
    return path


if __name__ == "__main__":
    main(measure, __doc__)
