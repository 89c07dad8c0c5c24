"""One image of many clips: the frames that the encoder saw of each, and whether its prediction is right."""

from collections.abc import Collection, Sequence
from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from essential.errors import ConfigError
from essential.files.atomic import refuse_unwritable, write_bytes
from essential.learner.prediction import Prediction
from essential.protocols.class_names import NONE_OF_THESE, known_as
from essential.shown import printable

MOST_CLIPS = 200
# Those that can be as high as `MOST_CLIPS` clips are; WebP ends at 16,383 pixels.
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_COLUMNS, _IN_A_ROW, _MOST_FRAMES = 2, 8, 32
_SIDE, _GAP, _MARGIN = 64, 3, 12
_WIDTH = _IN_A_ROW * (_SIDE + _GAP) - _GAP
_TITLE, _NOTE, _MARK = 21, 18, 18
_INK, _QUIET, _PAPER = (20, 24, 31), (96, 104, 116), (255, 255, 255)
# Forty clips of eight frames take less than 1 MB.
_PNG_COLOURS, _JPEG_QUALITY = 128, 80
_RIGHT, _WRONG = (17, 110, 51), (176, 32, 24)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class _Words(NamedTuple):
    title: str
    note: str
    verdict: Literal["right", "wrong"] | None


def check_place(path: Path) -> None:
    """Raise a ConfigError if a name asks for no known format, a FileSystemError if it cannot be written."""
    if path.suffix.lower() not in _FORMATS:
        raise ConfigError(f"{path}: the image's name must end in one of {', '.join(_FORMATS)}")
    refuse_unwritable(path)


class ContactSheet:
    """An image of clips in two columns, up to `MOST_CLIPS`; later clips are only counted.

    A clip in a folder that is named as one of `classes` is marked: a tick in green if it was answered rightly, else a
    cross in red.
    """

    def __init__(self, classes: Collection[str]) -> None:
        self._classes = classes
        self._tiles: list[Image.Image] = []
        self.left_out = 0

    def add(self, prediction: Prediction) -> None:
        """Add a clip, whose prediction carries its frames or says why there are none."""
        if len(self._tiles) == MOST_CLIPS:
            self.left_out += 1
        else:
            self._tiles.append(_tile(prediction, _words(prediction, self._classes)))

    def write(self, path: Path) -> None:
        """Write the image, whole or not at all; errors as in `check_place`. A PNG has few colours."""
        check_place(path)
        rows = [self._tiles[first : first + _COLUMNS] for first in range(0, len(self._tiles), _COLUMNS)]
        heights = [max(tile.height for tile in row) + _MARGIN for row in rows]
        columns = min(_COLUMNS, max(1, len(self._tiles)))
        sheet = Image.new("RGB", (columns * (_WIDTH + _MARGIN) + _MARGIN, sum(heights) + _MARGIN), _PAPER)
        top = _MARGIN
        for row, height in zip(rows, heights, strict=True):
            for column, tile in enumerate(row):
                sheet.paste(tile, (_MARGIN + column * (_WIDTH + _MARGIN), top))
            top += height
        target = BytesIO()
        kind = _FORMATS[path.suffix.lower()]
        if kind == "PNG":
            sheet.quantize(_PNG_COLOURS, dither=Image.Dither.NONE).save(target, kind, optimize=True)
        else:
            sheet.save(target, kind, quality=_JPEG_QUALITY)
        write_bytes(path, target.getvalue())


def _tile(prediction: Prediction, words: _Words) -> Image.Image:
    every = [] if prediction.frames is None else list(prediction.frames)
    frames = every[:: -(-len(every) // _MOST_FRAMES) or 1]
    rows = -(-len(frames) // _IN_A_ROW)
    tile = Image.new("RGB", (_WIDTH, _TITLE + _NOTE + rows * (_SIDE + _GAP)), _PAPER)
    draw = ImageDraw.Draw(tile)
    left = 0
    if words.verdict is not None:
        _draw_mark(draw, words.verdict)
        left = _MARK
    colour = {"right": _RIGHT, "wrong": _WRONG, None: _INK}[words.verdict]
    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    draw.text((left, 0), _fitting(words.title, font, _WIDTH - left), fill=colour, font=font)
    draw.text((0, _TITLE), _fitting(words.note, small, _WIDTH), fill=_QUIET, font=small)
    for place, frame in enumerate(frames):
        row, column = divmod(place, _IN_A_ROW)
        at = column * (_SIDE + _GAP), _TITLE + _NOTE + row * (_SIDE + _GAP)
        tile.paste(Image.fromarray(frame).resize((_SIDE, _SIDE)), at)
    return tile


def _draw_mark(draw: ImageDraw.ImageDraw, verdict: Literal["right", "wrong"]) -> None:
    """Draw a tick or a cross, which is told from the other without its colour."""
    lines: dict[str, Sequence[Sequence[tuple[int, int]]]] = {
        "right": [[(2, 9), (6, 14), (13, 4)]],
        "wrong": [[(2, 4), (12, 14)], [(2, 14), (12, 4)]],
    }
    for line in lines[verdict]:
        draw.line(line, fill=_RIGHT if verdict == "right" else _WRONG, width=3, joint="curve")


def _words(prediction: Prediction, classes: Collection[str]) -> _Words:
    # A file is told by its folder: many have one name, in a folder of each class.
    file = printable("/".join(prediction.path.parts[-2:]))
    if prediction.error is not None:
        return _Words("cannot be read", f"{file}: {printable(prediction.error)}", None)
    short = f" ({prediction.short_clip})" if prediction.short_clip else ""
    best = printable(f"{prediction.label} {prediction.score:.2f}")
    folders = (known_as(folder.name, classes) for folder in prediction.path.parents)
    label = next((name for name in folders if name in classes), None)
    if label is None:
        verdict: Literal["right", "wrong"] | None = None
    else:
        verdict = "right" if prediction.label == label and not prediction.unknown else "wrong"
    return _Words(f"{NONE_OF_THESE} (closest: {best})" if prediction.unknown else best, file + short, verdict)


def _fitting(text: str, font: Font, width: int) -> str:
    """Return a text, or as much of it as fits into a width, and dots."""
    if font.getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(f"{text[:middle]}...") <= width else (low, middle - 1)
    return f"{text[:low].rstrip()}..."
