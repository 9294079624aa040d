"""`python -m orpose_ros.endurance`: the graph for minutes or hours; `orpose benchmark` calls it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orpose_ros.endurance import privacy, soak
from orpose_ros.endurance.running import MODEL
from orpose_ros.graph.node_processes import StageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; exit status 1 if a check fails."""
    parser = argparse.ArgumentParser(prog="python -m orpose_ros.endurance")
    parser.add_argument("what", choices=("soak", "privacy"))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--rate", type=float, default=15.0)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    if not (args.minutes > 0 and args.cameras >= 2 and args.rate > 0):
        parser.error("expected minutes and rate above 0, and 2 cameras or more")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the nodes are ended, too
    names = [f"ceiling_{k + 1}" for k in range(args.cameras)]
    with tempfile.TemporaryDirectory(prefix="orpose-endurance-") as temporary:
        folder = args.out or Path(temporary) / "run"
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            parser.error(f"{folder}: expected an empty folder")
        try:
            if args.what == "privacy":
                seen = privacy.privacy(args.minutes, names, args.rate, folder, args.model)
                lines, holds = privacy.report(seen), not seen.findings
            else:
                run = soak.soak(args.minutes, names, args.rate, folder, args.model)
                lines, holds = soak.report(run), run.holds
        except (StageError, ValueError) as error:
            print(f"orpose: {error}", file=sys.stderr)
            return 1
    print("\n".join(lines))
    return 0 if holds else 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # without the teardown of rclpy, which may outlive its context
