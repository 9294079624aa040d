"""`orpose view`: look at a recording, at results or at a simulated room in a browser."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from orpose_core.commands.parsers import command_parser

if TYPE_CHECKING:
    from orpose_core.fusion.rig import RoomCamera
    from orpose_core.view.history import History
    from orpose_core.view.page import Page

_DESCRIPTION = (
    "Show skeletons in a browser: each camera's low-resolution image, the room in 3D, and a time line. "
    "SOURCE is a folder that `orpose estimate` wrote, or a recording, in which people are found while it is "
    "shown. The page needs no internet connection, and only this machine can open it unless --host is "
    "given. Ctrl-C ends the program."
)

_EXAMPLE = """\
orpose view --demo  # needs Ctrl-C to end
orpose view results --images monday.mcap --calibration room.yaml  # needs Ctrl-C to end
orpose view --demo --picture page.png  # needs Chromium"""

_DAY_S = 86_400.0


def _run(args: argparse.Namespace) -> int:
    from orpose_core.view.history import History, HistoryConfig
    from orpose_core.view.page import Page, PageConfig

    if (args.source is None) == (not args.demo):
        raise ValueError("expected a SOURCE or --demo")
    config = PageConfig(args.host, args.port)
    history = History(HistoryConfig(seconds=_DAY_S if args.source else 60.0))
    stop = threading.Event()
    fill = _demo(args, history, stop) if args.demo else _source(args, history, stop)
    page = Page(history, config, live=args.demo)
    worker = _Worker(fill)
    try:
        print(f"the page is at {page.url} (Ctrl-C ends it)", flush=True)
        if args.host not in ("127.0.0.1", "localhost", "::1"):
            print(f"everybody who reaches {args.host} may look at it", file=sys.stderr)
        if args.picture is not None or args.gif is not None:
            _take_pictures(args, page, history, worker, stop)
            return 0
        if args.open:
            webbrowser.open(page.url)
        with contextlib.suppress(KeyboardInterrupt):
            worker.wait()
            threading.Event().wait()  # it is shown until somebody ends it
    finally:
        stop.set()
        worker.join(10)
        page.close()
    return 0


class _Worker(threading.Thread):
    """Fills the history; its error is raised in the main thread."""

    def __init__(self, fill: Callable[[], str]) -> None:
        super().__init__(name="source", daemon=True)
        self._fill = fill
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            said = self._fill()
            if said:
                print(said, flush=True)
        except Exception as error:
            self.error = error

    def wait(self) -> None:
        """Wait until everything is there; raise what went wrong."""
        while self.is_alive():
            self.join(0.2)
        if self.error is not None:
            raise self.error


def _rig(args: argparse.Namespace) -> list[RoomCamera]:
    from orpose_core.fusion.rig_files import read_rig

    return read_rig(args.calibration) if args.calibration else []


def _source(args: argparse.Namespace, history: History, stop: threading.Event) -> Callable[[], str]:
    """Return what shows results or a recording; errors in the arguments are raised at once."""
    from orpose_core.view.recordings import images_of_run, is_results, show_recording, show_results

    rig, path = _rig(args), Path(args.source)
    if is_results(path):
        images = None if args.images is None else images_of_run(path, Path(args.images))
        return lambda: f"{show_results(path, history, rig, images)} frames"
    if args.images is not None:
        raise ValueError(f"--images is for results of `orpose estimate`, but {path} is none")
    from orpose_core.data.recordings.opening import open_recording
    from orpose_core.data.recordings.recording import Modality
    from orpose_core.demo import MODEL
    from orpose_core.estimators import EstimatorConfig, load_estimator

    estimator = load_estimator(args.model or MODEL, EstimatorConfig(device=args.device))
    wanted: Modality = "depth" if estimator.info.modality == "depth" else "color"
    recording = open_recording(path, wanted)
    return lambda: f"{show_recording(recording, estimator, history, rig, stop=stop)} frames"


def _demo(args: argparse.Namespace, history: History, stop: threading.Event) -> Callable[[], str]:
    from orpose_core.demo import MODEL
    from orpose_core.estimators import EstimatorConfig, load_estimator
    from orpose_core.view.demo_room import DemoRoom

    estimator = load_estimator(args.model or MODEL, EstimatorConfig(device=args.device))

    def play() -> str:
        print("rendering a simulated operating room; the first time it is also compiled ...", flush=True)
        DemoRoom(estimator).play(history, stop)
        return ""

    return play


def _take_pictures(
    args: argparse.Namespace, page: Page, history: History, worker: _Worker, stop: threading.Event
) -> None:
    from orpose_core.view.pictures import PictureConfig, await_history, take_pictures

    config = PictureConfig(seconds=args.seconds)
    if args.demo:
        await_history(history, config.history_s(args.gif is not None), worker.is_alive)
        stop.set()
    worker.wait()
    for path in take_pictures(page, history, args.picture, args.gif, config):
        print(f"wrote {path}")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `view` to the command line."""
    parser = command_parser(subparsers, "view", _DESCRIPTION, _EXAMPLE, usage="[SOURCE | --demo] [options]")
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="results, bag, folder, image or video")
    parser.add_argument("--demo", action="store_true", help="show a simulated room, live")
    parser.add_argument("--images", metavar="RECORDING", help="recording from which the results were made")
    parser.add_argument("--calibration", metavar="FILE", help="camera poses (orpose calibrate)")
    parser.add_argument("--model", metavar="NAME|FILE", help="default: the shipped depth model")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8090, help="default: %(default)s; 0 = any")
    parser.add_argument("--open", action="store_true", help="open the page in the browser of this machine")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write a PNG of the page and exit")
    parser.add_argument("--gif", type=Path, metavar="FILE", help="write an animation of the page and exit")
    parser.add_argument(
        "--seconds", type=float, default=6.0, metavar="S", help="length of --gif (default: %(default)s)"
    )
    parser.set_defaults(run=_run)
