"""From a matplotlib figure to inline SVG that takes its colours and font from the page, so it follows light and dark.

Matplotlib draws with stand-in colours, which are then replaced by CSS variables. Everything is drawn under
matplotlib's own defaults, whatever the user's settings are, and those are put back afterwards.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.figure import Figure

FONT_SIZE = 13
INK = "#fe0000"
PAPER = "#fe0002"
SERIES = "#fe01{:02x}"
"""Stand-ins: the text's colour, the page's, and those of the series, by number (0 to 7)."""


@contextmanager
def own_settings(salt: str) -> Iterator[None]:
    """Draw under matplotlib's own defaults; put the user's settings back. `salt` is unique to a drawing of a page."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": FONT_SIZE})
        yield


def to_inline_svg(figure: Figure) -> str:
    """Keep the drawing only: no prolog, metadata, style sheet, group names or fixed font; colours by CSS variable."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    view_box = re.search(r'viewBox="([^"]+)"', drawing)
    assert view_box is not None, "matplotlib writes a viewBox"
    drawing = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'<g id="[^"]*"', "<g", drawing[drawing.index(">") + 1 :])
    drawing = re.sub(r"#fe01([0-9a-f]{2})", lambda found: f"var(--series-{int(found[1], 16)})", drawing)
    drawing = drawing.replace(INK, "currentColor").replace(PAPER, "var(--paper)")
    drawing = re.sub(r" font-family: [^;]*;", "", drawing)
    drawing = re.sub(r"\s*\n\s*", " ", drawing).replace("> <", "><")
    return f'<svg viewBox="{view_box[1]}" aria-hidden="true" focusable="false">{drawing}'
