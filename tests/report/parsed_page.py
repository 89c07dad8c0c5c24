"""Pages, parsed for tests, and what holds of every one of them."""

import re
from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "input"}
NAMESPACES = re.compile(r"""xmlns(:\w+)?=["'][^"']*["']""")


class ParsedPage(HTMLParser):
    """Parses a page, and fails on a tag that is closed by another, an identifier twice, and what runs at an event."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], "every tag is closed"
        assert [name for name, count in Counter(self.values("id")).items() if count > 1] == []
        assert [name for _, name, _ in self.attributes if name.startswith("on")] == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def values(self, attribute: str) -> list[str]:
        return [value or "" for _, name, value in self.attributes if name == attribute]


class ReportPage(ParsedPage):
    """A page of a report or a comparison: it asks the network for nothing, runs no script, and refers to itself."""

    def __init__(self, html: str) -> None:
        super().__init__(html)
        assert not re.search(r"https?://|@import|url\((?!#)", NAMESPACES.sub("", html))
        assert "<script" not in html
        assert {"script", "link", "iframe"}.isdisjoint(self.tags)
        sources = [value for name in ("src", "href", "xlink:href") for value in self.values(name)]
        targets = [value.removeprefix("#") for value in sources if not value.startswith("data:")]
        targets += re.findall(r"url\(#([^)]+)\)", html.split("</style>")[1]) + self.values("aria-labelledby")
        assert len(targets) > 4
        assert set(targets) <= set(self.values("id"))
