"""One image of many clips: the frames that the encoder saw of each, and its prediction."""

from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from essential.errors import ConfigError
from essential.files.atomic import refuse_unwritable, write_bytes
from essential.learner.prediction import Prediction
from essential.shown import printable

MOST_CLIPS = 200
# Those that can be as high as `MOST_CLIPS` clips are; WebP ends at 16,383 pixels.
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_LONGEST_TEXT = 150
_SIDE, _GAP, _LINE = 96, 4, 22
_INK, _QUIET, _PAPER = (20, 24, 31), (96, 104, 116), (255, 255, 255)


def check_place(path: Path) -> None:
    """Raise a ConfigError if a name asks for no known format, a FileSystemError if it cannot be written."""
    if path.suffix.lower() not in _FORMATS:
        raise ConfigError(f"{path}: the image's name must end in one of {', '.join(_FORMATS)}")
    refuse_unwritable(path)


class ContactSheet:
    """An image of a row per clip, up to `MOST_CLIPS`; later clips are only counted."""

    def __init__(self) -> None:
        self._rows: list[Image.Image] = []
        self.left_out = 0

    def add(self, prediction: Prediction) -> None:
        """Add a clip, whose prediction carries its frames or says why there are none."""
        if len(self._rows) == MOST_CLIPS:
            self.left_out += 1
        else:
            self._rows.append(_row(prediction))

    def write(self, path: Path) -> None:
        """Write the image, whole or not at all; errors as in `check_place`."""
        check_place(path)
        width = max((row.width for row in self._rows), default=_SIDE) + 2 * _GAP
        height = sum(row.height + _GAP for row in self._rows) + _GAP
        sheet = Image.new("RGB", (width, height), _PAPER)
        top = _GAP
        for row in self._rows:
            sheet.paste(row, (_GAP, top))
            top += row.height + _GAP
        target = BytesIO()
        sheet.save(target, _FORMATS[path.suffix.lower()])
        write_bytes(path, target.getvalue())


def _row(prediction: Prediction) -> Image.Image:
    frames = [] if prediction.frames is None else list(prediction.frames)
    # Text of several lines cannot be measured, nor can an image be as wide as a name may be long.
    title, note = (printable(words)[:_LONGEST_TEXT] for words in _words(prediction))
    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    width = max(len(frames) * (_SIDE + _GAP), int(font.getlength(title) + small.getlength(note)) + 4 * _GAP)
    row = Image.new("RGB", (width, _LINE + (_SIDE if frames else 0)), _PAPER)
    draw = ImageDraw.Draw(row)
    draw.text((0, 1), title, fill=_INK, font=font)
    draw.text((font.getlength(title) + 3 * _GAP, 4), note, fill=_QUIET, font=small)
    for place, frame in enumerate(frames):
        row.paste(Image.fromarray(frame).resize((_SIDE, _SIDE)), (place * (_SIDE + _GAP), _LINE))
    return row


def _words(prediction: Prediction) -> tuple[str, str]:
    if prediction.error is not None:
        return "cannot be read", f"{prediction.path.name}: {prediction.error}"
    best = f"{prediction.label} {prediction.score:.2f}"
    short = f" ({prediction.short_clip})" if prediction.short_clip else ""
    return (f"none of these ({best})" if prediction.unknown else best), prediction.path.name + short
