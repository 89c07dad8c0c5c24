"""What a packet says of itself before it is decoded: whether decoding may begin there, and whether it may be left out.

H.264: ITU-T Rec. H.264, table 7-1 (kinds of unit) and clause 7.4.1 (`nal_ref_idc`); ISO/IEC 14496-15 (units in MP4).
"""

from typing import NamedTuple

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

# Both keep each picture's own time, and by their rules a key frame is one that decoding can begin at.
_FORMATS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})
# Of one packet for each picture shown, and of key frames after which no picture refers to what came before, but for
# those shown before the key frame. MPEG-4 is left out: its decoder remembers more than pictures. VP8 is left out: some
# of its packets show nothing.
_CODECS = frozenset({"h264", "hevc", "vp9", "av1"})
_SLICE, _IDR_SLICE = 1, 5
# Remarks on the picture, a delimiter, padding.
_NO_PICTURE = frozenset({6, 9, 12})


class PacketNote(NamedTuple):
    """What is remembered of a packet.

    Attributes:
        time: when its picture is shown, in the stream's time base; None where the file does not say it.
        starts_anew: see `Bitstream.starts_anew`.
        is_shown: not cut off by an edit list.
    """

    time: int | None
    starts_anew: bool
    is_shown: bool


class Bitstream:
    """Reads packets of one stream, as far as their heads."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        codec = stream.codec_context.codec.canonical_name
        is_known = container.format.name in _FORMATS and codec in _CODECS
        extradata = stream.codec_context.extradata or b""
        self._codec = codec if is_known else None
        # 0: units are not counted off by their lengths.
        self._length_bytes = (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0

    def starts_anew(self, packet: "Packet[VideoStream]") -> bool:
        """Return whether decoding may begin here: no picture from here on refers to one before.

        But for those shown before this one. The container's word is not enough for H.264: some call a picture a key
        frame from which later ones look back. False for all packets where the format or the codec gives no such hold.
        """
        if not packet.is_keyframe or self._codec is None:
            return False
        return self._codec != "h264" or any(head & 31 == _IDR_SLICE for head in self._heads(packet))

    def is_disposable(self, packet: "Packet[VideoStream]") -> bool:
        """Return whether it is sure that no other picture refers to this one; known for H.264 alone.

        HEVC has a mark that looks alike, but pictures of higher temporal layers may refer to those that bear it.
        """
        if self._codec != "h264":
            return False
        heads = [head for head in self._heads(packet) if head & 31 not in _NO_PICTURE]
        return bool(heads) and all(head & 31 == _SLICE and not head >> 5 & 3 for head in heads)

    def _heads(self, packet: "Packet[VideoStream]") -> list[int]:
        """Return the first byte of each unit; nothing if the lengths do not add up."""
        content, place = memoryview(packet), 0
        heads = []
        while self._length_bytes and place < len(content):
            start = place + self._length_bytes
            place = start + int.from_bytes(content[place:start], "big")
            if not start < place <= len(content):
                return []
            heads.append(content[start])
        return heads
