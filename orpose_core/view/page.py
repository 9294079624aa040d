"""The page: a server on this machine, and a screen for every browser that looks at it.

It is made with viser (https://viser.studio), whose page is one file that asks nothing of the internet. What
viser offers beyond that is closed: it opens no tunnel to share the page, and a page of another site, which a
browser lets connect to any port of its own machine, is shown nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

from orpose_core.view.history import History

logger = logging.getLogger(__name__)

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class PageConfig:
    """Where and how often the page is shown.

    Attributes:
        host: address that it listens on; 127.0.0.1 = this machine alone, 0.0.0.0 = every network.
        port: where it listens; 0 = any that is free.
        rate_hz: a browser gets at most this many changes a second.
    """

    host: str = "127.0.0.1"
    port: int = 8090
    rate_hz: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ValueError(f"port: expected 0 to 65535, got {self.port}")
        if not 0 < self.rate_hz <= 60:
            raise ValueError(f"rate_hz: expected a rate of at most 60 Hz, got {self.rate_hz}")


class Page:
    """Serves a history to browsers until it is closed.

    Args:
        history: what is shown; it may grow meanwhile.
        config: where.
        live: whether more comes, and the page follows it.

    Raises:
        ValueError: viser is not installed, or the address cannot be had.
    """

    def __init__(self, history: History, config: PageConfig | None = None, live: bool = False) -> None:
        self._history, self._live = history, live
        self._config = config or PageConfig()
        self._server = _server(self._config)
        self._screens: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._server.on_client_connect(self._opened)
        self._server.on_client_disconnect(self._left)
        self._thread = threading.Thread(target=self._show, name="page", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where a browser of this machine finds the page."""
        host = self._config.host
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self._server.get_port()}"

    @property
    def browsers(self) -> int:
        """How many browsers look at it."""
        with self._lock:
            return len(self._screens)

    def show(self, stamp_ns: int) -> None:
        """Let every browser look at a moment and stay there, as if somebody had scrubbed."""
        with self._lock:
            for screen in self._screens.values():
                screen.show(stamp_ns)

    def close(self) -> None:
        """Stop serving."""
        self._closed.set()
        self._thread.join(timeout=5)
        with redirect_stdout(StringIO()):
            self._server.stop()

    def _opened(self, client: Any) -> None:
        from orpose_core.view.screen import Screen

        request = self._server.request_of(client)
        if request is None:
            return  # it has left before it could be shown anything
        if not self._may_look(request):
            logger.warning("a page of another site asked for the view and was shown nothing")
            return
        screen = Screen(client, self._history, self._live)
        with self._lock:
            self._screens[client.client_id] = screen
        if self._server.request_of(client) is None:
            self._left(client)  # it left meanwhile; nobody will say so again

    def _left(self, client: Any) -> None:
        with self._lock:
            self._screens.pop(client.client_id, None)

    def _may_look(self, request: Any) -> bool:
        """Return whether it was our page that connected, asked for by the name that this server has."""
        origin, host = request.headers.get("Origin"), request.headers.get("Host", "")
        if origin is not None and urlsplit(origin).netloc != host:
            return False
        return self._config.host not in _LOOPBACK or urlsplit(f"//{host}").hostname in _LOOPBACK

    def _show(self) -> None:
        while not self._closed.is_set():
            began_s = time.monotonic()
            with self._lock:
                screens = dict(self._screens)
            for number, screen in screens.items():
                self._update(number, screen)
            used_s = time.monotonic() - began_s
            # As long a rest as the work took: many browsers make the page slower, not the machine.
            self._closed.wait(max(1 / self._config.rate_hz - used_s, used_s, 0.005))

    def _update(self, number: int, screen: Any) -> None:
        try:
            screen.update()
        except Exception:
            if number in self._screens:  # one that has just left cannot be shown anything
                logger.exception("a browser could not be shown the moment")


def _server(config: PageConfig) -> Any:
    try:
        import viser
    except ImportError:
        raise ValueError("the page needs viser: pip install '/path/to/orpose[view]'") from None

    class Server(viser.ViserServer):
        """viser's server without its tunnel to the internet."""

        def request_share_url(self, verbose: bool = True) -> str | None:
            """Refuse: what is seen stays on this network."""
            return None

        def request_of(self, client: viser.ClientHandle) -> Any:
            """Return the request with which a browser connected, None once it has left."""
            connection = self._websock_server._live_connections.get(client.client_id)
            return None if connection is None else connection.request

    _check_free(config)
    with redirect_stdout(StringIO()):  # it prints a banner
        return Server(config.host, config.port, verbose=False)


def _check_free(config: PageConfig) -> None:
    """Raise ValueError where the port cannot be had: viser would silently take another."""
    import socket

    try:
        family = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((config.host, config.port))
    except OSError as error:
        raise ValueError(f"the page cannot listen on {config.host} port {config.port}: {error}") from None
