"""From a template to the text of a page."""

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from essential.report.charts import KINDS
from essential.results import formats, measures, rows

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, *, folder: Path = TEMPLATES, **content: Any) -> str:
    """Return a page; whatever `content` prints is escaped, and a name that is missing is an error."""
    return _environment(folder).get_template(template).render(**content)


def render_text(template: str, *, escape: Callable[[str], str] = str, **content: Any) -> str:
    """Return a text that is no page; whatever `content` prints, in << >>, as LaTeX has {{ }}, goes through `escape`."""
    made = _environment(TEMPLATES).overlay(
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        keep_trailing_newline=True,
        autoescape=False,
        finalize=lambda value: escape(str(value)),
    )
    return made.get_template(template).render(**content)


@cache
def _environment(folder: Path) -> Environment:
    """Return what renders the templates in `folder` and ours: `formats` as filters, and what is known of metrics."""
    made = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (
        "percent",
        "signed_percent",
        "probability",
        "human_bytes",
        "budget_shown",
        "duration",
        "counted",
        "grouped",
        "inside",
    )
    made.filters |= {name: getattr(formats, name) for name in filters}
    made.filters["column_title"] = measures.column_title
    made.filters["as_json"] = partial(json.dumps, indent=2, ensure_ascii=False)
    shared = (
        measures.column_title,
        measures.metric_of,
        measures.values_of,
        rows.other_tasks_note,
        rows.published_table,
    )
    made.globals |= {function.__name__: function for function in shared}
    made.globals |= {
        "MAIN": measures.MAIN,
        "FINAL": measures.FINAL,
        "LOST": measures.LOST,
        "OURS": rows.OURS,
        "KINDS": KINDS,
    }
    return made
