"""From a template to the text of a page. The environment is made once: a site has thousands of pages."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import essential.report
from essential.report import formats

_OWN = Path(__file__).parent / "templates"
_REPORTS = Path(essential.report.__file__).parent / "templates"


def render(template: str, **content: Any) -> str:
    """Return a page; whatever `content` prints is escaped, and a name that is missing is an error."""
    return _environment().get_template(template).render(**content)


def plain_file(name: str) -> bytes:
    """Return one of the site's own files that is no template."""
    return (_OWN / name).read_bytes()


def styles() -> bytes:
    """Return the style sheet: the report's, so that all pages look alike, and the site's own behind it."""
    return (_REPORTS / "style.css").read_bytes() + plain_file("site.css")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_OWN),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = (formats.percent, formats.human_bytes, formats.duration, formats.counted, formats.grouped)
    environment.filters |= {function.__name__: function for function in shown}
    return environment
