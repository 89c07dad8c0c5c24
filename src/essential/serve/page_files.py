"""The page's own files. They are all that it loads."""

from pathlib import Path

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOLDER = Path(__file__).parent / "page"


def page_files() -> dict[str, tuple[bytes, str]]:
    """Return the content and the media type of each file of the page, by its address."""
    files = {
        f"/page/{path.name}": (path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(_FOLDER.iterdir())
        if path.suffix in _TYPES
    }
    return {"/": files.pop("/page/index.html"), "/api": files.pop("/page/api.html"), **files}
