"""`orpose audit`: check an audit log, and write the report of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from orpose_core.commands.parsers import command_parser


def _verify(args: argparse.Namespace) -> int:
    from orpose_core.audit.records import Head
    from orpose_core.audit.verification import verify

    verdict = verify(args.file, Head.parse(args.head) if args.head else None)
    for remark in verdict.remarks:
        print(f"{args.file}: {remark}")
    if verdict.faults:
        for fault in verdict.faults:
            print(f"{args.file}: {fault}", file=sys.stderr)
        return 1
    compared = f"its end agrees with {verdict.compared}" if verdict.compared else (
        "its end was compared with nothing (--head), so records may be missing there"
    )  # fmt: skip
    first, last = verdict.records[0]["time"], verdict.records[-1]["time"]
    print(f"{args.file}: whole: {len(verdict.records)} records from {first} to {last}; {compared}")
    print(f"head {verdict.head}")
    return 0


def _report(args: argparse.Namespace) -> int:
    from orpose_core.audit.records import Head
    from orpose_core.audit.verification import verify
    from orpose_core.files import write_text
    from orpose_core.reports.audit_report import audit_report

    verdict = verify(args.file, Head.parse(args.head) if args.head else None)
    text = audit_report(args.file, verdict)
    if args.out is None:
        print(text, end="")
    else:
        write_text(args.out, text)
        print(f"wrote {args.out}")
    return 1 if verdict.faults else 0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `audit` to the command line."""
    parser = command_parser(
        subparsers,
        "audit",
        "Verify the log that audit_node writes, or write a report from it: who started what with which "
        "weights and limits, and which data went where.",
        "orpose audit verify or_1.audit\norpose audit report or_1.audit --out report.md",
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    verify = command_parser(
        what,
        "verify",
        "Verify that no record of a log was changed or removed. Exit status 1 if one was.",
        "orpose audit verify or_1.audit",
        listed="verify that no record of a log was changed or removed",
    )
    verify.set_defaults(run=_verify)
    report = command_parser(
        what,
        "report",
        "Write a page for a data protection officer: data flow, what leaves which machine, "
        "limits, retention. Everything on it comes from the log.",
        "orpose audit report or_1.audit --out report.md",
        listed="write a page: data flow, limits and retention",
    )
    report.add_argument("--out", type=Path, metavar="FILE", help="Markdown file (default: print to stdout)")
    report.set_defaults(run=_report)
    for command in (verify, report):
        command.add_argument("file", type=Path, metavar="FILE", help="log file")
        command.add_argument(
            "--head", metavar="NUMBER:SHA256", help="head that was stored elsewhere (default: read FILE.head)"
        )
