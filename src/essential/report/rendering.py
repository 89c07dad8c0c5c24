"""From a template to the text of a page."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from essential.report import formats

_TEMPLATES = Path(__file__).parent / "templates"
_SHOWN = (
    formats.percent,
    formats.signed_percent,
    formats.probability,
    formats.human_bytes,
    formats.duration,
    formats.counted,
    formats.grouped,
    formats.inside,
)


def render(template: str, **content: Any) -> str:
    """Return a page; whatever `content` prints is escaped, and a name that is missing is an error."""
    return _environment().get_template(template).render(**content)


@cache
def _environment() -> Environment:
    """Return the templates, each of which is compiled once."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in _SHOWN}
    return environment
