"""Spans in the XML of ELAN (.eaf): every annotation with times of its own is a span, its value the label.

Source: ELAN Annotation Format, versions 2.x and 3.x (Max Planck Institute for Psycholinguistics).
"""

from collections import Counter
from xml.etree.ElementTree import Element

from essential.errors import DataError
from essential.protocols.text_files import Line
from essential.spans.labelled_span import Mark, Marks, label_of, seconds_of
from essential.spans.xml_files import whole

_KNOWN = ("2", "3")


def marks_of_elan(root: Element, name: str) -> Marks:
    """Return the spans of all tiers; DataError for another version or unit, no video, or a time that is missing."""
    version = root.get("FORMAT", "")
    if version.partition(".")[0] not in _KNOWN:
        raise DataError(f"it is of version {version!r} of ELAN's format", where=name, remedy="known are 2.x and 3.x")
    header, media = root.find("HEADER"), root.find("HEADER/MEDIA_DESCRIPTOR")
    unit = "" if header is None else header.get("TIME_UNITS", "milliseconds")
    if unit != "milliseconds":
        raise DataError(f"its times are in {unit!r}", where=name, remedy="known are milliseconds")
    video = "" if media is None else media.get("RELATIVE_MEDIA_URL") or media.get("MEDIA_URL") or ""
    if not video:
        raise DataError("it names no video in HEADER/MEDIA_DESCRIPTOR", where=name, remedy="link the video in ELAN")
    slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
    marks = []
    for tier in root.iter("TIER"):
        for one in tier.iter("ALIGNABLE_ANNOTATION"):
            line = Line(name, f"tier {tier.get('TIER_ID')!r}, annotation {one.get('ANNOTATION_ID')}")
            times = (slots.get(one.get(f"TIME_SLOT_REF{side}")) for side in (1, 2))
            start, end = (whole(line, "time", time) / 1000 for time in times)
            label = label_of(line, one.findtext("ANNOTATION_VALUE"))
            marks.append(Mark(line, video.removeprefix("file://"), seconds_of(line, start, end), label))
    others = sum(1 for _ in root.iter("REF_ANNOTATION"))
    return Marks(marks, +Counter({"annotations without times of their own": others}))
