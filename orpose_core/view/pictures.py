"""Pictures of the page as a browser shows it: a PNG, or a GIF that moves."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from orpose_core.files import replacing, write_bytes
from orpose_core.view.browser import Browser
from orpose_core.view.history import History
from orpose_core.view.page import Page

_PATIENCE_S = 600.0
_ONE_MOMENT_S = 10.0
_DRAWN_S = 0.4
_AT_REST_S = 60.0
_CLOSE_NOTES = "document.querySelectorAll('.mantine-Notification-closeButton').forEach(b => b.click())"
_BRIGHT = 48
_BEGUN_S = 1.0
"""Before a GIF begins: until then nobody has been fused."""


@dataclass(frozen=True)
class PictureConfig:
    """How the page is photographed.

    Attributes:
        size: (width, height) of the browser's window, px.
        wait_s: a history that grows should be this long before a picture.
        seconds: length of a GIF, of which the history should be at least as long.
        rate_hz: of a GIF.
        gif_width: px.
    """

    size: tuple[int, int] = (1400, 880)
    wait_s: float = 4.0
    seconds: float = 6.0
    rate_hz: float = 5.0
    gif_width: int = 800

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.rate_hz > 0 and min(*self.size, self.gif_width) > 0):
            raise ValueError(f"PictureConfig: expected positive numbers, got {self}")

    def history_s(self, moving: bool) -> float:
        """Return how long the history should be before a picture, or before a GIF."""
        return max(self.wait_s, self.seconds + _BEGUN_S) if moving else self.wait_s


def await_history(history: History, seconds: float, alive: Callable[[], bool]) -> None:
    """Wait until a history is long enough.

    Args:
        history: that grows in another thread.
        seconds: how long.
        alive: whether it still grows.
    """
    end = time.monotonic() + _PATIENCE_S
    while alive() and time.monotonic() < end:
        begin_ns, end_ns = history.span_ns()
        if end_ns - begin_ns >= seconds * 1e9:
            return
        time.sleep(0.2)


def take_pictures(
    page: Page, history: History, picture: Path | None, gif: Path | None, config: PictureConfig | None = None
) -> list[Path]:
    """Write pictures of a page and return their files.

    Args:
        page: that is served.
        history: that it shows; it should no longer grow, since drawing without a GPU takes all of a machine.
        picture: the PNG, or None.
        gif: the GIF, or None.
        config: how.

    Raises:
        ValueError: no browser, or nobody is shown.
    """
    config = config or PictureConfig()
    written = []
    with Browser(page.url, config.size) as browser:
        try:
            browser.until("document.querySelector('svg.camera g.person') !== null", _PATIENCE_S)
        except TimeoutError as error:
            raise ValueError(f"the page shows nobody: {error}") from None
        resting = _at_rest(browser)
        if picture is not None:
            write_bytes(picture, _small_png(resting))
            written.append(picture)
        if gif is not None:
            _write_gif(gif, page, history, browser, config)
            written.append(gif)
    return written


def _at_rest(browser: Browser) -> bytes:
    """Close what the page says of slow graphics, and return its picture once it no longer changes."""
    end, before, now = time.monotonic() + _AT_REST_S, b"", b"."
    while before != now and time.monotonic() < end:
        browser.value(
            "document.querySelectorAll('.mantine-Notification-closeButton').forEach(b => b.click())"
        )
        time.sleep(1.0)
        before, now = now, browser.picture()
    return now


def _small_png(png: bytes) -> bytes:
    out = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def _write_gif(path: Path, page: Page, history: History, browser: Browser, config: PictureConfig) -> None:
    """Photograph one moment after the other: however slow the machine is, the motion is even."""
    begin, end = history.span_ns()
    begin = max(begin, end - round(config.seconds * 1e9))
    frames = []
    for number in range(max(2, round((end - begin) / 1e9 * config.rate_hz))):
        before = browser.text("#orpose-time")
        page.show(begin + round(number / config.rate_hz * 1e9))
        with suppress(TimeoutError):  # it may show that moment already
            browser.until(f"document.querySelector('#orpose-time').innerText !== {before!r}", _ONE_MOMENT_S)
        time.sleep(_DRAWN_S)
        frames.append(browser.picture())
    size = config.gif_width, round(config.size[1] * config.gif_width / config.size[0])
    whole = [Image.open(io.BytesIO(png)).convert("RGB") for png in frames]
    pictures = [picture.resize(size, Image.Resampling.LANCZOS) for picture in whole]
    palette = _palette(pictures)
    flat = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    with replacing(path) as temporary:
        flat[0].save(temporary, "GIF", save_all=True, append_images=flat[1:], loop=0, optimize=True,
                     duration=round(1000 / config.rate_hz))  # fmt: skip


def _palette(pictures: list[Image.Image]) -> Image.Image:
    """Return the colors for all pictures, half of them bright: skeletons are thin, walls are large."""
    pixels = np.concatenate([np.asarray(picture).reshape(-1, 3) for picture in pictures])
    bright = np.ptp(pixels, axis=1) > _BRIGHT
    parts = [pixels[bright], pixels[~bright]]
    colors = [
        Image.fromarray(part[None]).quantize(128, dither=Image.Dither.NONE).getpalette()
        for part in parts
        if len(part)
    ]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for each in colors for value in each or []])
    return palette
