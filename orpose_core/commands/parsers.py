"""How every parser of the command line looks: short lines, and an example at the end."""

from __future__ import annotations

import argparse
import shutil
from typing import Any

SCREEN_COLUMNS, SCREEN_LINES = 100, 48
"""The screen that the help of each command fits."""


class CommandHelp(argparse.RawDescriptionHelpFormatter):
    """Help in as few lines as the terminal allows; paragraphs are wrapped, the example stays as written."""

    def __init__(self, prog: str) -> None:
        columns = min(shutil.get_terminal_size((SCREEN_COLUMNS, SCREEN_LINES)).columns, 120)
        super().__init__(prog, max_help_position=30, width=max(columns - 2, 40))

    def add_argument(self, action: argparse.Action) -> None:
        """Make room for the indentation of subcommands, which argparse forgets."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("example"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


def metres(text: str) -> float:
    """Return the length of ``0.25mm``, ``1cm`` or ``1m`` in metres."""
    for unit, metres_of_unit in (("mm", 0.001), ("cm", 0.01), ("m", 1.0)):
        if text.endswith(unit):
            try:
                return float(text.removesuffix(unit)) * metres_of_unit
            except ValueError:
                break
    raise ValueError(f"--depth-unit: expected a length such as 0.25mm, 1mm, 1cm or 1m, got {text!r}")


def add_camera_options(parser: argparse.ArgumentParser) -> None:
    """Add what must be known of cameras that do not follow the usual conventions."""
    parser.add_argument(
        "--depth-unit", default="1mm", metavar="LENGTH", help="unit of 16-bit depth, such as 0.25mm"
    )
    parser.add_argument(
        "--rotate",
        type=int,
        default=0,
        metavar="DEG",
        help="clockwise rotation that makes images upright: 90, 180, 270",
    )
    parser.add_argument(
        "--rectified",
        action="store_true",
        help="images of bags are rectified: their camera is P, not K",
    )


def command_parser(
    subparsers: argparse._SubParsersAction,
    name: str,
    description: str,
    example: str,
    *,
    usage: str = "",
    listed: str | None = None,
) -> argparse.ArgumentParser:
    """Add the parser of one command and return it.

    Args:
        subparsers: where it is added.
        name: of the command.
        description: what it does, one paragraph.
        example: command lines that work, one a line.
        usage: the arguments in brief, without the program's name; empty = all of them, by argparse.
        listed: one line in the list of commands above; None = not listed there (the list of `orpose` itself
            is in :mod:`orpose_core.cli`, which imports no command for it).
    """
    lines = "\n".join(f"  {line}" for line in example.splitlines())
    more: dict[str, Any] = {} if listed is None else {"help": listed}
    parser = subparsers.add_parser(
        name,
        description=description,
        epilog=f"example{'s' if len(example.splitlines()) > 1 else ''}:\n{lines}",
        formatter_class=CommandHelp,
        **more,
    )
    if usage:
        parser.usage = f"{parser.prog} {usage}".replace("%", "%%")
    return parser


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add ``--backend``; :func:`orpose_core.engines.check_backend` says what is wrong with it."""
    parser.add_argument(
        "--backend", default="auto", metavar="NAME", help="auto, torch, openvino, onnxruntime (default: auto)"
    )
