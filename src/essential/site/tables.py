"""A board's table for programs: JSON with everything, and CSV with one line per row."""

import json
from typing import Any

from essential.records import Metrics
from essential.results import formats
from essential.results.formats import NBSP
from essential.results.measures import in_order
from essential.results.rows import Row
from essential.site.boards import Board

NOTE = (
    "Figures are in percent. Rows with the mark 'run here' are means over seeds of runs made with essential; places "
    "are among them alone. All other rows were printed elsewhere and not run here, with other backbones and memories."
)
_BEFORE = ("place", "method", "settings", "mark", "backbone")
_BEHIND = ("memory", "memory_bytes", "seeds", "uncertain", "source", "notes", "protocol", "protocol_id")


def as_objects(board: Board) -> dict[str, Any]:
    """Return the board as JSON values."""
    sources = board.published.sources if board.published else ()
    protocol = board.protocol
    return {
        "note": NOTE,
        "protocol": {"name": board.name, "id": protocol.id if protocol else None},
        "rows": [_object(row, sources) for row in board.rows],
    }


def as_json(board: Board) -> str:
    """Return the board as JSON, one line per row."""
    content = as_objects(board)
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in content.pop("rows"))
    return f'{json.dumps(content, ensure_ascii=False)[:-1]}, "rows": [\n{rows}\n]}}\n'


def as_csv(board: Board) -> str:
    """Return one line per row, in the order of the page; empty where there is no figure."""
    metrics = in_order([*Metrics.model_fields, *(metric for row in board.rows for metric in row.cells)])
    figures = [part for metric in metrics for part in (metric, f"{metric}_std")]
    lines: list[list[Any]] = [[*_BEFORE, *figures, *_BEHIND]]
    for row in as_objects(board)["rows"]:
        of_metrics = [row["figures"].get(metric, {}) for metric in metrics]
        lines.append(
            [row[key] for key in _BEFORE]
            + [each.get(part) for each in of_metrics for part in ("percent", "std")]
            + [row["memory"], row["memory_bytes"], " ".join(map(str, row["seeds"]))]
            + [" ".join(metric for metric, each in row["figures"].items() if each["uncertain"]), row["source"]]
            + ["; ".join(row["notes"]), board.name, board.protocol.id if board.protocol else None]
        )
    return formats.as_csv(lines)


def _object(row: Row, sources: tuple[str, ...]) -> dict[str, Any]:
    return {
        "place": row.place,
        "method": row.method,
        "settings": row.settings,
        "mark": row.mark,
        "backbone": row.backbone,
        "figures": {
            metric: {"percent": cell.value, "std": cell.std, "shown": cell.shown, "uncertain": cell.uncertain}
            for metric, cell in row.cells.items()
        },
        "memory": row.memory.replace(NBSP, " "),
        "memory_bytes": row.memory_bytes,
        "seeds": list(row.seeds),
        "source": None if row.source is None else sources[row.source - 1],
        "notes": list(row.notes),
        "anchor": row.anchor,
    }
