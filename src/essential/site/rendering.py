"""From a template to the text of a page of the site."""

from pathlib import Path
from typing import Any

import essential.report
from essential.report.rendering import environment

_OWN = Path(__file__).parent / "templates"
_REPORTS = Path(essential.report.__file__).parent / "templates"


def render(template: str, **content: Any) -> str:
    """Return a page; whatever `content` prints is escaped, and a name that is missing is an error."""
    return environment(_OWN).get_template(template).render(**content)


def plain_file(name: str) -> bytes:
    """Return one of the site's own files that is no template."""
    return (_OWN / name).read_bytes()


def styles() -> bytes:
    """Return the style sheet: the report's, so that all pages look alike, and the site's own behind it."""
    return (_REPORTS / "style.css").read_bytes() + plain_file("site.css")
