"""The pages: every link leads somewhere, nothing leads out, and names are text."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from made_sites import HOSTILE, made_found, many_found, other_protocol

from essential.results.formats import slug, stem
from essential.results.measures import MAIN
from essential.site import Findings, write_site
from essential.site.finding import FoundRecord
from report.parsed_page import ParsedPage


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "board"
    write_site(Findings(tuple(many_found()), 0), out)
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, ParsedPage]:
    found = {path: ParsedPage(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    # The front page, three protocols, 17 published names, and 8 rows.
    assert len(found) == 1 + 3 + 17 + 8
    return found


def _links(page: ParsedPage) -> list[str]:
    return [*page.values("href"), *page.values("src")]


def test_every_link_is_relative_and_leads_to_a_file_and_a_row(pages: dict[Path, ParsedPage]) -> None:
    followed = 0
    for path, page in pages.items():
        for link in _links(page):
            parts = urlsplit(link)
            assert (parts.scheme, parts.netloc) == ("", ""), link
            assert not link.startswith("/")
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), (path, link)
            if parts.fragment and parts.fragment != "content":
                assert parts.fragment in pages[target].values("id"), (path, link)
            followed += 1
    assert followed > 500


def test_every_page_can_be_reached_from_the_first(site: Path, pages: dict[Path, ParsedPage]) -> None:
    reached, waiting = set(), [site / "index.html"]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        links = _links(pages[path]) if path in pages else []
        waiting += [(path.parent / unquote(urlsplit(link).path)).resolve() for link in links if urlsplit(link).path]
    left = {path for path in site.rglob("*") if path.is_file()} - reached
    assert left == {site / "site.json"}


def test_names_are_text_and_no_page_runs_anything_else(site: Path, pages: dict[Path, ParsedPage]) -> None:
    for path, page in pages.items():
        html = path.read_text(encoding="utf-8")
        assert page.tags["script"] == 1
        assert page.values("style") == [], "the policy forbids it"
        assert "<script>" not in html
        assert "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; form-action 'none'" in html
    assert HOSTILE in pages[site / "index.html"].text
    shown = [page for path, page in pages.items() if path.parent.name == "runs" and HOSTILE in page.text]
    assert len(shown) == 2, "a method of that name, and a method on a protocol of that name"


def test_a_front_page_counts_and_names_the_best(pages: dict[Path, ParsedPage], site: Path) -> None:
    text = pages[site / "index.html"].text
    assert "Records 12" in text
    assert "80.50 ± 0.71 essential" in text
    assert "95.1 ESSENTIAL (second-hand) Average incremental, head (CNN) runs 1 , runs 2" in text


def test_a_table_says_that_ours_and_published_are_no_ranking(pages: dict[Path, ParsedPage]) -> None:
    boards = [page for path, page in pages.items() if path.parent.name.startswith("tcd-ucf101-10x5-")]
    assert len(boards) == 2
    for page in boards:
        assert "A place is among these runs alone." in page.text
        assert "it gives the scale, and is no ranking" in page.text
        assert page.text.index("Run here By final accuracy") < page.text.index("Published elsewhere What others have")
        assert "Other protocols have this name, and are ranked apart" in page.text


def test_a_rows_page_has_its_seeds_their_records_and_what_they_were_made_with(pages: dict[Path, ParsedPage]) -> None:
    [page] = [page for path, page in pages.items() if re.match(r"essential-", path.name)]
    assert "80.50 ± 0.71 %" in page.text
    assert "Place 1 of 5" in page.text
    assert "runs/essential-0 0 80.00" in page.text
    assert '"stored_frames": 2' in page.text
    assert len([link for link in _links(page) if link.startswith("../records/")]) == 2


def test_what_is_borrowed_mixed_or_given_all_videos_is_told(pages: dict[Path, ParsedPage]) -> None:
    boards = [page for path, page in pages.items() if path.parent.name.startswith("tcd-ucf101-10x5-")]
    for page in boards:
        assert "not of the published protocol tcd-ucf101-10x5" in page.text
        assert "Shipped as" not in page.text
        assert "by the highest accuracy of each row, by whichever definition it is" in page.text
    text = " ".join(page.text for page in boards)
    assert "joint # 95.00" in text
    assert text.count("given the videos of all tasks at once: an upper bound") == 1
    [joint] = [path for path in pages if path.name.startswith("joint-")]
    cells = re.findall(r"<td[^>]*>all videos</td>", joint.read_text(encoding="utf-8"))
    assert cells == ['<td data-label="All memory">all videos</td>'], "which is no number to sort by"


def test_what_all_runs_share_stands_once_and_empty_columns_are_left_out(tmp_path: Path) -> None:
    def heads(out: Path, *runs: FoundRecord) -> tuple[list[str], str]:
        write_site(Findings(runs, 0), out)
        [path] = [path for path in (out / "protocols").glob("*/index.html") if 'class="ours"' in path.read_text()]
        table = path.read_text().split("<table")[1]
        return re.findall(r'data-key="([^"]+)"', table), ParsedPage(path.read_text()).text

    fields = {
        "protocol_name": "own",
        "protocol": other_protocol("0" * 16, classes=(("a",), ("b",), ("c",)), name="own"),
    }
    one, two, later = (made_found(method, seed, 0.5, **fields) for method, seed in (("a", 0), ("b", 0), ("b", 1)))
    names, text = heads(tmp_path / "alike", one, two)
    assert names == ["method", *MAIN, "memory"]
    assert "Backbone of all runs here tiny, 8 frames" in text
    assert "Seeds of all runs here 0" in text
    assert "Notes" not in text
    names, text = heads(tmp_path / "apart", one, two, later)
    assert names == ["method", *MAIN, "memory", "seeds"]
    assert "Seeds of all runs here" not in text


def test_runs_on_other_data_have_pages_of_their_own(tmp_path: Path) -> None:
    runs = [made_found("icarl", 0, final, data={"kind": kind}) for kind, final in (("a", 0.5), ("b", 0.9))]
    write_site(Findings(tuple(runs), 0), tmp_path / "site")
    texts = [path.read_text() for path in (tmp_path / "site" / "runs").iterdir()]
    assert sorted(re.findall(r"Final accuracy</dt><dd>([0-9.]+) %", " ".join(texts))) == ["50.00", "90.00"]


def test_records_are_there_to_download_byte_for_byte(site: Path) -> None:
    copies = [path.read_bytes() for path in (site / "records").iterdir()]
    assert sorted(copies) == sorted(found.content for found in many_found())


def test_the_same_records_give_the_same_bytes_in_any_order(site: Path, tmp_path: Path) -> None:
    write_site(Findings(tuple(many_found()[::-1]), 0), tmp_path / "again")
    names = [path.relative_to(site) for path in site.rglob("*") if path.is_file()]
    assert len(names) > 80
    assert [name for name in names if (site / name).read_bytes() != (tmp_path / "again" / name).read_bytes()] == []


def test_pages_keep_their_address_when_seeds_are_added(site: Path, tmp_path: Path) -> None:
    write_site(Findings((*many_found(), made_found("essential", 5, 0.9), made_found("new")), 0), tmp_path / "more")
    html = [{path.relative_to(top) for path in top.rglob("*.html")} for top in (site, tmp_path / "more")]
    assert html[0] < html[1]
    assert len(html[1] - html[0]) == 1


@pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "CON\u202e", "日本", "a" * 500, "A b/c\\d\0e"])
def test_a_file_name_is_plain_whatever_it_is_made_from(name: str) -> None:
    made = stem(name, [name])
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*-[0-9a-f]{12}", made)
    assert len(made) <= 61
    assert stem(name, [name, "x"]) != made
    assert slug("tcd-ucf101-10x5") == "tcd-ucf101-10x5"
