"""A headless Chromium that tests drive over its debugging pipe: no driver, no port, no request to anywhere else."""

import json
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"),
]
# The browser reads orders from descriptor 3 and writes to descriptor 4.
_WITH_PIPES = 'exec "$@" 3<&{orders} 4>&{answers}'
_SECONDS = 120


class Page:
    """A tab. What it writes to the console, and what it asks for, is noted.

    Attributes:
        console: every message, and every error that was not caught.
        requested: the address of every request.
    """

    def __init__(self, orders: int, answers: int) -> None:
        self.console: list[str] = []
        self.requested: list[str] = []
        self._orders, self._answers = orders, answers
        self._buffer = b""
        self._count = 0
        self._session: str | None = None
        self.open_tab()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give an order of the Chrome DevTools protocol, and return its result."""
        self._count += 1
        order = {"id": self._count, "method": method, "params": parameters}
        if self._session is not None:
            order["sessionId"] = self._session
        os.write(self._orders, json.dumps(order).encode() + b"\0")
        while True:
            message = self._next_message()
            if message.get("id") == self._count:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page, wait for it if it is a promise, and return its value."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Evaluate an expression until it is true."""
        end = time.monotonic() + _SECONDS
        while not self.run(f"!!({script})"):
            assert time.monotonic() < end, (script, self.console, self.run("document.body.innerText"))
            time.sleep(0.05)

    def open(self, url: str) -> None:
        """Go to an address and wait until it is there; a script of the page may change what follows its path."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        start = json.dumps(re.split("[?#]", url)[0])
        self.wait_for(f"location.href.startsWith({start}) && document.readyState == 'complete'")

    def choose(self, selector: str, files: list[Path]) -> None:
        """Choose files in a file input, as a person does in the browser's dialog."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def drop(self, selector: str, files: list[Path]) -> None:
        """Drop files on an element."""
        x, y = self._middle(selector)
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def press(self, key: str, code: int, *, seconds: float = 0) -> None:
        """Press a key, and hold it for some seconds."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)
            time.sleep(seconds if kind == "keyDown" else 0)

    def hold(self, selector: str, *, seconds: float, finger: bool = False) -> None:
        """Press the mouse's button, or a finger, on an element, and hold it for some seconds."""
        x, y = self._middle(selector)
        kinds = ("touchStart", "touchEnd") if finger else ("mousePressed", "mouseReleased")
        for kind, wait in zip(kinds, (seconds, 0), strict=True):
            if finger:
                points = [{"x": x, "y": y}] if kind == "touchStart" else []
                self.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
            else:
                self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
            time.sleep(wait)

    def open_tab(self) -> str | None:
        """Open another tab, which all orders go to from now on, and return the one before, for `use_tab`."""
        before, self._session = self._session, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")
        return before

    def use_tab(self, tab: str | None) -> str | None:
        """Bring a tab to the front, let all orders go to it from now on, and return the one before."""
        before, self._session = self._session, tab
        self.call("Page.bringToFront")
        return before

    def type(self, text: str) -> None:
        """Type text where the focus is."""
        self.call("Input.insertText", text=text)

    def look_like(self, *, width: int, dark: bool) -> None:
        """Give the page the width of a device, light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def _middle(self, selector: str) -> tuple[float, float]:
        """Return the middle of an element, which is in sight then."""
        self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView()")
        # What lies under a point is known once the page was drawn where it is now.
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        x, y = self.run(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2] })()"
        )
        return x, y

    def _next_message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._answers], [], [], _SECONDS)[0], "the browser is silent"
            more = os.read(self._answers, 1 << 16)
            assert more, "the browser ended"
            self._buffer += more
        first, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        method, given = message.get("method"), message.get("params", {})
        if method == "Runtime.consoleAPICalled":
            self.console.append(str([part.get("value", part.get("description")) for part in given["args"]]))
        elif method == "Runtime.exceptionThrown":
            self.console.append(str(given["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.console.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requested.append(given["request"]["url"])


@contextmanager
def browser_page(profile: Path, *flags: str) -> Iterator[Page]:
    """Give a tab of a browser that ends with it; `flags` are given to the browser too."""
    assert BROWSER is not None
    orders_end, orders = os.pipe()
    answers, answers_end = os.pipe()
    script = _WITH_PIPES.format(orders=orders_end, answers=answers_end)
    process = subprocess.Popen(
        ["bash", "-c", script, "sh", BROWSER, *_FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"],
        pass_fds=(orders_end, answers_end),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(orders_end)
    os.close(answers_end)
    try:
        page = Page(orders, answers)
        yield page
    finally:
        os.close(orders)
        os.close(answers)
        process.terminate()
        process.wait(timeout=120)
