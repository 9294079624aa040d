"""A browser without a window that looks at a page: for pictures of it, and for tests of what it shows.

It is Chromium, steered through the DevTools protocol, with WebGL in software, so that any machine will do.
"""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import urlopen

import numpy as np
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_BRIGHT = 80
_START_S = 120.0
_ANSWER_S = 600.0  # a picture of WebGL in software, on a busy machine
_FLAGS = (
    "--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-dev-shm-usage", "--remote-debugging-port=0",
)  # fmt: skip


def find_chromium() -> str | None:
    """Return the path of Chromium, None where it is not installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """Chromium with one tab; ``with`` ends it.

    Args:
        url: of the page.
        size: (width, height) of the window, px.

    Raises:
        ValueError: Chromium or the package websockets is not installed, or Chromium does not start.
    """

    def __init__(self, url: str, size: tuple[int, int] = (1400, 900)) -> None:
        program = find_chromium()
        if program is None:
            raise ValueError("a picture of the page needs Chromium, which is not installed")
        try:
            from websockets.sync.client import connect
        except ImportError:
            raise ValueError(
                "a picture of the page needs websockets: pip install '/path/to/orpose[view]'"
            ) from None
        self._folder = tempfile.TemporaryDirectory(prefix="orpose_browser_", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={self._folder.name}", f"--window-size={size[0]},{size[1]}",
             "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._number = 0
        try:
            self._socket = connect(self._tab(), max_size=None, compression=None)
            self.call("Page.enable")
            self.call("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1],
                      deviceScaleFactor=1, mobile=False)  # fmt: skip
            self.call("Page.navigate", url=url)
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._end()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol and return its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv(timeout=_ANSWER_S))
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise ValueError(f"{method}: {answer['error'].get('message')}")
                return dict(answer["result"])

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise ValueError(f"{expression}: {result['exceptionDetails'].get('text')}")
        return result["result"].get("value")

    def until(self, expression: str, timeout_s: float = 60.0) -> Any:
        """Wait until a JavaScript expression is true, and return its value.

        Raises:
            TimeoutError: it did not become true; says what the page shows.
        """
        end = time.monotonic() + timeout_s
        while not (value := self.value(expression)):
            if time.monotonic() > end:
                text = self.value("document.body ? document.body.innerText : ''") or ""
                raise TimeoutError(f"{expression}: not within {timeout_s:g} s; the page says {text[:500]!r}")
            time.sleep(0.1)
        return value

    def text(self, selector: str) -> str:
        """Return the text of an element, "" where there is none."""
        return str(self.value(f"(document.querySelector({json.dumps(selector)}) || {{}}).innerText || ''"))

    def press(self, key: str, times: int = 1) -> None:
        """Press a key, such as ArrowLeft, on the element that has the focus."""
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def picture(self) -> bytes:
        """Return a picture of the window as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def bright_pixels(self) -> int:
        """Count px of a bright color in the middle half of the window, between the panels of the page.

        Skeletons and cameras have such colors; floor and background are grey.
        """
        picture = np.asarray(Image.open(io.BytesIO(self.picture())).convert("RGB"))
        quarter = picture.shape[1] // 4
        return int((np.ptp(picture[:, quarter:-quarter], axis=-1) > _BRIGHT).sum())

    def _tab(self) -> str:
        """Return the address of the tab, once Chromium says which port it took."""
        end, file = time.monotonic() + _START_S, Path(self._folder.name, "DevToolsActivePort")
        while time.monotonic() < end and self._process.poll() is None:
            if file.exists() and (lines := file.read_text().splitlines()):
                with urlopen(f"http://127.0.0.1:{lines[0]}/json/list", timeout=_START_S) as answer:
                    tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
                if tabs:
                    return str(tabs[0]["webSocketDebuggerUrl"])
            time.sleep(0.1)
        raise ValueError(f"Chromium did not start (status {self._process.poll()})")

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()
