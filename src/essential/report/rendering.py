"""From a template to the text of a page."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from essential.report import formats

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **content: Any) -> str:
    """Return a page; whatever `content` prints is escaped, and a name that is missing is an error."""
    return environment(_TEMPLATES).get_template(template).render(**content)


@cache
def environment(folder: Path) -> Environment:
    """Return what renders the templates in `folder`, with `formats` as filters."""
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = (
        formats.percent,
        formats.plus_minus,
        formats.signed_percent,
        formats.probability,
        formats.human_bytes,
        formats.duration,
        formats.counted,
        formats.grouped,
        formats.inside,
    )
    made.filters |= {function.__name__: function for function in shown}
    return made
