"""`python -m orpose_ros.security`: write the SROS 2 policy for the cameras of a room.

The nodes are run in a domain of their own and without images, and the policy allows what they use.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from orpose_core.files import write_text
from orpose_ros.launching.rooms import room_below
from orpose_ros.security.policy import policy_xml
from orpose_ros.security.uses import observe


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m orpose_ros.security", description=__doc__)
    parser.add_argument("cameras", nargs="*", default=["ceiling_1", "ceiling_2"], help="namespaces")
    parser.add_argument(
        "--namespace", default="", metavar="NAME", help="of the room, as in or_pose.launch.py"
    )
    parser.add_argument("--color", action="store_true", help="the model looks at color")
    parser.add_argument("--compressed-color", action="store_true", help="color comes compressed")
    parser.add_argument("--out", type=Path, default=Path("or_pose.policy.xml"), help="default: %(default)s")
    args = parser.parse_args(argv)
    if len(args.cameras) < 2:
        parser.error("expected two cameras or more, so that what they see is fused")
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    try:
        uses, _ = observe(
            args.cameras,
            color=args.color,
            compressed_color=args.compressed_color,
            room=room_below("", args.namespace),
        )
    except ValueError as error:
        print(f"orpose: {error}", file=sys.stderr)
        return 1
    options = [args.namespace] if args.namespace else []
    options += [*(["color"] if args.color else []), *(["compressed color"] if args.compressed_color else [])]
    about = f"Made by python -m orpose_ros.security for {', '.join([*args.cameras, *options])}"
    write_text(args.out, policy_xml(uses, about))
    print(f"wrote {args.out}: {len(uses)} nodes and an operator")
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # without the teardown of rclpy, which may outlive its context
