"""A web server of a folder on this machine, with ranges, and with every fault that a test asks for."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote


class WebServer:
    """What a server does and was asked.

    Attributes:
        url: its address.
        asked: the method, the name and the Range header of every request.
        breaks: after how many bytes of a file's next answers the connection breaks; one answer each.
        codes: the status that a name is answered with.
        moved: where a name is to be looked for.
        has_ranges: whether it answers ranges, or gives the whole file each time.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.url = root, ""
        self.asked: list[tuple[str, str, str | None]] = []
        self.breaks: dict[str, list[int]] = {}
        self.codes: dict[str, int] = {}
        self.moved: dict[str, str] = {}
        self.has_ranges = True


@contextmanager
def web_server(root: Path) -> Iterator[WebServer]:
    """Serve a folder meanwhile."""
    state = WebServer(root)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: WebServer

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, *, with_body: bool) -> None:
        state, name = self.state, unquote(self.path.partition("?")[0]).lstrip("/")
        state.asked.append((self.command, name, self.headers["Range"]))
        path = state.root / name
        if name in state.moved:
            self.send_response(302)
            self.send_header("Location", state.moved[name])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        code = state.codes.get(name, 200 if path.is_file() else 404)
        if code != 200:
            self.send_error(code)
            return
        content = path.read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        first, end = self._range(len(content), tag)
        if first >= len(content) > 0:
            self.send_error(416)
            return
        self.send_response(200 if (first, end) == (0, len(content)) else 206)
        self.send_header("Content-Length", str(end - first))
        self.send_header("ETag", tag)
        self.end_headers()
        if with_body:
            breaks = state.breaks.get(name, [])
            self.wfile.write(content[first:end][: breaks.pop(0) if breaks else None])
        self.close_connection = True

    def _range(self, size: int, tag: str) -> tuple[int, int]:
        match = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", self.headers["Range"] or "")
        if match is None or not self.state.has_ranges or self.headers.get("If-Range", tag) != tag:
            return 0, size
        return int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
