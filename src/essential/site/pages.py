"""The pages of a site, and what lies beside them."""

from collections.abc import Iterator
from pathlib import Path

from essential.report.rendering import TEMPLATES, render
from essential.results.formats import stem
from essential.results.rows import Row
from essential.site.boards import Board, Family, make_boards
from essential.site.finding import Findings, FoundRecord
from essential.site.folder import Replaced, replace_folder
from essential.site.tables import as_csv, as_json

_OWN = Path(__file__).parent / "templates"


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
            yield f"runs/{row.anchor}.html", _family_page(board, family, row).encode()
        folder = f"protocols/{board.stem}"
        yield f"{folder}/index.html", _board_page(board).encode()
        yield f"{folder}/table.csv", as_csv(board).encode()
        yield f"{folder}/table.json", as_json(board).encode()
    page = render("index.html", folder=_OWN, root="", boards=boards, records=len(findings.records))
    yield "index.html", page.encode()


def record_stem(found: FoundRecord) -> str:
    """Return the file name of a record's copy, without its ending."""
    return stem(f"{found.record.method.name}-seed-{found.record.seed}", ["record", found.sha256])


def _board_page(board: Board) -> str:
    return render("board.html", folder=_OWN, root="../../", board=board, record_stem=record_stem)


def _family_page(board: Board, family: Family, row: Row) -> str:
    return render(
        "family.html",
        folder=_OWN,
        root="../",
        board=board,
        family=family,
        row=row,
        record_stem=record_stem,
    )
