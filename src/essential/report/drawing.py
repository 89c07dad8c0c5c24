"""From a drawing to inline SVG that takes colours and font from its page, or to an SVG or PDF file.

Inline, matplotlib draws with stand-in colours, which are then replaced by CSS variables, so that a figure follows light
and dark. Everything is drawn under matplotlib's own defaults, whatever the user's settings are, and those are put back
afterwards.
"""

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import matplotlib as mpl
from markupsafe import escape
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

FONT_SIZE = 13
CELL = "cell"
"""The class of text on a shade, which keeps the ink of the page."""
_KEY_LETTERS = 76
"""As many as go on a line below a figure; mark and gap of a key take 8 of them."""
_COLOURS = 8
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES: tuple[Any, ...] = ("solid", (0, (5.0, 1.8)), (0, (4.0, 1.4, 1.3, 1.4, 1.3, 1.4)), (0, (6.0, 1.6, 1.3, 1.6)))


@dataclass(frozen=True)
class Palette:
    """The colours of text and axes, of the paper behind them, of runs by number, and of the kinds of memory.

    `alone`: the drawing is not part of a page, and must name its axes and lines itself.
    """

    ink: str
    paper: str
    series: tuple[str, ...]
    kinds: tuple[str, ...]
    alone: bool


_SERIES = tuple(f"var(--series-{number})" for number in range(_COLOURS))
_VARIABLES = (
    "currentColor",
    "var(--paper)",
    "var(--kind-1)",
    "var(--kind-2)",
    "var(--kind-4)",
    "url(#hatch)",
    *_SERIES,
)
_CSS = {f"#fe00{number:02x}": variable for number, variable in enumerate(_VARIABLES)}
_INK, _PAPER, *_OTHERS = _CSS
PAGE = Palette(_INK, _PAPER, series=tuple(_OTHERS[4:]), kinds=tuple(_OTHERS[:4]), alone=False)
"""Stand-ins for the page's own."""
FILE = Palette(
    ink="#1b2227",
    paper="#ffffff",
    series=("#135f7a", "#b4541a", "#4d7a2a", "#7a4b9c", "#94700a", "#b03a62", "#4a5a6c", "#0e8577"),
    kinds=("#135f7a", "#c07420", "#6a8f3c", "#77909c"),
    alone=True,
)
Drawn = tuple[Figure, Sequence[Artist]]


@dataclass(frozen=True)
class Drawing:
    """What can be drawn, on a page, where `name` is unique, or in a file of its own.

    `draw` gives the figure, and the labelled artists that the legend of a file shows: a page writes its own.
    """

    name: str
    draw: Callable[[Palette], Drawn]


@dataclass(frozen=True)
class Sheet:
    """The size of a drawing and the margins of the plot in it, in points."""

    width: int
    height: int
    left: int = 46
    right: int = 12
    top: int = 12
    bottom: int = 46

    @property
    def area(self) -> tuple[float, float]:
        """Width and height of the plot."""
        return float(self.width - self.left - self.right), float(self.height - self.top - self.bottom)

    def plot(self) -> tuple[Figure, Axes]:
        """Return a figure of this size with one empty plot."""
        figure = Figure(figsize=(self.width / 72, self.height / 72))
        return figure, self.plot_in(figure)

    def plot_in(self, figure: Figure) -> Axes:
        """Add a plot with these margins to a figure of this size."""
        wide, high = self.area
        place = (self.left / self.width, self.bottom / self.height, wide / self.width, high / self.height)
        return figure.add_axes(place)


def dress(axes: Axes, palette: Palette, *, x_label: str, y_label: str) -> None:
    """Give the plot a light grid across, no frame, and labels; a page has that of the y axis in its caption."""
    axes.set_xlabel(x_label, labelpad=6, color=palette.ink)
    if palette.alone:
        axes.set_ylabel(y_label, labelpad=8, color=palette.ink)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="y", color=palette.ink, alpha=0.14, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=7, labelcolor=palette.ink)
    axes.tick_params(axis="x", pad=9)
    axes.spines[:].set_visible(False)


def count_ticks(axes: Axes, longest: int) -> None:
    """Put ticks at whole numbers from 1, at most 13 of them."""
    ticks = every_few(longest, 13)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlim(0.6, longest + 0.4)


def every_few(longest: int, most: int) -> list[int]:
    """Return 1 and then every whole number, every second, every fifth, ..., `most` beside the 1."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, longest) if longest / step <= most)
    return sorted({1, *range(step, longest + 1, step)})


@dataclass(frozen=True)
class LineStyle:
    """How a run or method is drawn, everywhere on a page: its colour, marker and dashes.

    `number` counts from 0; the first 64 all differ; what was not run here has none, and the colour of the text.
    `hollow` markers are of another reading.
    """

    number: int | None
    hollow: bool = False

    @property
    def swatch(self) -> str:
        """The identifier of its drawing on a page; lines of one style share it."""
        return f"line-{1 + (self.number or 0)}" + ("-hollow" if self.hollow else "")

    @property
    def marker(self) -> str:
        return "D" if self.number is None else _MARKERS[(self.number + self.number // _COLOURS) % len(_MARKERS)]

    def colour(self, palette: Palette) -> str:
        return palette.ink if self.number is None else palette.series[self.number % _COLOURS]

    def look(self, palette: Palette, *, size: float) -> dict[str, Any]:
        """Return matplotlib's settings of the line and its markers."""
        colour = self.colour(palette)
        return {
            "color": colour,
            "linestyle": _DASHES[(self.number or 0) % len(_DASHES)],
            "linewidth": 1.9,
            "clip_on": False,
            "zorder": 3,
            "marker": self.marker,
            "markersize": size * (1.4 if self.marker == "*" else 1),
            "markerfacecolor": palette.paper if self.hollow else colour,
            "markeredgecolor": colour if self.hollow else palette.paper,
            "markeredgewidth": 1.7 if self.hollow else 0.9,
        }

    @property
    def svg(self) -> str:
        """A short piece of the line with its marker, for legends and tables of a page."""
        return inline_svg(Drawing(self.swatch, self._draw))

    def _draw(self, palette: Palette) -> Drawn:
        figure, axes = Sheet(width=36, height=14, left=0, right=0, top=0, bottom=0).plot()
        axes.set_axis_off()
        axes.set(xlim=(0, 2), ylim=(-1, 1))
        axes.plot((0, 1, 2), (0, 0, 0), markevery=[1], **self.look(palette, size=7.5))
        return figure, ()


Value = str | int | float | None


class Hover(NamedTuple):
    """What is said while the mouse is over a box of a drawing: from left, from top, width, height, in points."""

    box: tuple[float, float, float, float]
    text: str

    @property
    def svg(self) -> str:
        x, y, wide, high = (f"{round(number, 1):g}" for number in self.box)
        return f'<rect x="{x}" y="{y}" width="{wide}" height="{high}"><title>{escape(self.text)}</title></rect>'


@dataclass(frozen=True)
class NumberRow:
    """A row of the table below a figure: its name, its line's swatch if it has one, and the cells as shown."""

    name: str
    cells: Sequence[str]
    swatch: str | None = None


@dataclass(frozen=True, eq=False)
class FigureView:
    """A figure as the page shows it, and the same in files, which are named by its title.

    Attributes:
        data: all its numbers, unrounded, for programs; the first row names the columns. What is not known is None.
        note: how it is to be read, for the caption; nothing where a template has it.
        description: its message in words, for those who do not see it; likewise.
        numbers: the table below it on the page, if any; the first row names the columns.
        legend: the swatch and the name of each of its lines, where they are not those of its section.
        hovers: names of its parts, where there is no room for them; a later one lies above.
    """

    title: str
    drawing: Drawing
    data: Sequence[Sequence[Value]]
    note: str = ""
    description: str = ""
    numbers: Sequence[NumberRow] = ()
    legend: Sequence[tuple[str, str]] = ()
    hovers: Sequence[Hover] = ()

    @cached_property
    def svg(self) -> str:
        return inline_svg(self.drawing)

    @property
    def svg_with_hovers(self) -> str:
        drawn, end, _ = self.svg.rpartition("</svg>")
        return f'{drawn}<g class="hover">{"".join(hover.svg for hover in self.hovers)}</g>{end}'


@contextmanager
def own_settings(salt: str) -> Iterator[None]:
    """Draw under matplotlib's own defaults; put the user's settings back. `salt` is unique to a drawing of a page."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": salt, "pdf.fonttype": 42, "font.size": FONT_SIZE})
        # Names are the user's: a dollar sign is a dollar sign.
        mpl.rcParams.update({"path.simplify": False, "image.composite_image": False, "text.parse_math": False})
        # Names may be in any alphabet. On a page the browser has the letters, and for an SVG file the reader's font may
        # have them; in a PDF, which brings its own, they are boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def inline_svg(drawing: Drawing) -> str:
    """Return the drawing as an `<svg>` element for the page.

    It keeps the drawing only: no prolog, metadata, style sheet, group names or fixed font; colours by CSS variable.
    """
    buffer = io.StringIO()
    with own_settings(drawing.name):
        figure, _ = drawing.draw(PAGE)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    view_box, text = text[text.index("<svg") :].split(">", 1)
    text = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text.replace(f'<g id="{CELL}"', f'<g class="{CELL}"'))
    text = re.sub(r"<[^>]*>", lambda tag: _for_page(tag[0]), text)
    text = re.sub(r"\s*\n\s*", " ", text).replace("> <", "><")
    size = " ".join(re.findall(r'viewBox="[^"]+"', view_box))
    return f'<svg {size} aria-hidden="true" focusable="false">{text}'


def figure_files(drawing: Drawing) -> dict[str, bytes]:
    """Return the drawing as an `svg` and a `pdf` file, with its legend; the same drawing gives the same bytes."""
    with own_settings(drawing.name):
        figure, keys = drawing.draw(FILE)
        labels = [textwrap.fill(str(key.get_label()), _KEY_LETTERS) for key in keys]
        if keys:
            longest = max(len(line) for label in labels for line in label.split("\n"))
            figure.legend(
                list(keys),
                labels,
                loc="upper left",
                bbox_to_anchor=(0.06, 0.0),
                ncols=max(1, min(len(keys), 3, _KEY_LETTERS // (longest + 8))),
                frameon=False,
                fontsize=FONT_SIZE - 2,
                handlelength=3,
                labelcolor=FILE.ink,
            )
        dates = {"svg": "Date", "pdf": "CreationDate"}
        buffers = {kind: io.BytesIO() for kind in dates}
        for kind, date in dates.items():
            place = buffers[kind]
            figure.savefig(place, format=kind, bbox_inches="tight", pad_inches=0.05, metadata={date: None})
        return {kind: buffer.getvalue() for kind, buffer in buffers.items()}


def _for_page(tag: str) -> str:
    """Rewrite one tag; text between tags may be a user's name and stays as it is."""
    tag = re.sub(r"#fe00[0-9a-f]{2}", lambda found: _CSS[found[0]], tag)
    tag = re.sub(r" font-family: [^;]*;", "", tag)
    return re.sub(r' (d|x|y)="[^"]*"', lambda part: _shorter(part[0]), tag)


def _shorter(numbers: str) -> str:
    """Round to a tenth of a point, or to a hundredth in curves, which are the outlines of small marks."""
    digits = 2 if "C" in numbers else 1
    short = re.sub(r"\d+\.\d+", lambda number: f"{round(float(number[0]), digits):g}", numbers)
    return re.sub(r"\s*([MLCz])\s*", r"\1", short)
