"""The pages of a site, and what lies beside them: tables for programs, and the records."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from essential.records import Metrics
from essential.report.rendering import TEMPLATES, render
from essential.results import formats
from essential.results.formats import NBSP, stem
from essential.results.measures import in_order
from essential.results.rows import Row
from essential.site.boards import Board, make_boards
from essential.site.finding import Findings, FoundRecord
from essential.site.folder import Replaced, replace_folder

_OWN = Path(__file__).parent / "templates"
NOTE = (
    "Figures are in percent. Rows with the mark 'run here' are means over seeds of runs made with essential; places "
    "are among them alone. All other rows were printed elsewhere and not run here, with other backbones and memories."
)
_BEFORE = ("place", "method", "settings", "mark", "backbone")
_BEHIND = ("memory", "memory_bytes", "seeds", "uncertain", "source", "notes", "protocol", "protocol_id")


def write_site(findings: Findings, out: Path) -> Replaced:
    """Write a leaderboard of `findings` and of all that is published into the folder `out`.

        OUT/index.html              every protocol: counts, and the best
        OUT/protocols/NAME/         one protocol: index.html, table.csv, table.json
        OUT/runs/NAME.html          one method with its settings: its seeds, and their mean
        OUT/records/NAME.json       the records, as they were found
        OUT/site.css, site.js       looks, sorting and filters
        OUT/site.json               the list of the above

    The same records give the same bytes, in whatever order. The pages ask nothing of any other machine.

    Raises:
        RunError: `out` is no folder, or has files of others where the site's are to be.
        FileSystemError: the disk refuses.
    """
    return replace_folder(out, _files(findings))


def _files(findings: Findings) -> Iterator[tuple[str, bytes]]:
    """Give every file's place below the site, and its content."""
    # The report's style sheet, so that all pages look alike, and the site's own behind it.
    yield "site.css", (TEMPLATES / "style.css").read_bytes() + (_OWN / "site.css").read_bytes()
    yield "site.js", (_OWN / "site.js").read_bytes()
    boards = make_boards(findings.records)
    for found in findings.records:
        yield f"records/{record_stem(found)}.json", found.content
    for board in boards:
        for family, row in zip(board.families, board.ours, strict=True):
            yield f"runs/{row.anchor}.html", _page("family.html", "../", board=board, family=family, row=row)
        folder = f"protocols/{board.stem}"
        yield f"{folder}/index.html", _page("board.html", "../../", board=board)
        yield f"{folder}/table.csv", as_csv(board).encode()
        yield f"{folder}/table.json", as_json(board).encode()
    yield "index.html", _page("index.html", "", boards=boards, records=len(findings.records))


def _page(template: str, root: str, **content: Any) -> bytes:
    return render(template, folder=_OWN, root=root, record_stem=record_stem, **content).encode()


def record_stem(found: FoundRecord) -> str:
    """Return the file name of a record's copy, without its ending."""
    return stem(f"{found.record.method.name}-seed-{found.record.seed}", ["record", found.sha256])


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
        **{key: getattr(row, key) for key in _BEFORE},
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
