"""`orpose report`: write a results table or a model card from what runs saved."""

from __future__ import annotations

import argparse
from pathlib import Path

from orpose_core.commands.parsers import add_backend, command_parser


def _depthpose(args: argparse.Namespace) -> int:
    from orpose_core.reports.depthpose_report import write_report

    print(write_report(args.runs, args.out, args.threads), end="")
    return 0


def _design(args: argparse.Namespace) -> int:
    from orpose_core.reports.design_report import write_design_report

    print(write_design_report(args.runs, args.out, args.threads, args.backend), end="")
    return 0


def _networks(args: argparse.Namespace) -> int:
    from orpose_core.reports.depthpose_report import write_networks_page

    print(write_networks_page(args.models, args.splits, args.frames, args.out), end="")
    return 0


def _student(args: argparse.Namespace) -> int:
    from orpose_core.reports.student_report import write_student_report

    print(write_student_report(args.runs, args.out), end="")
    return 0


def _teacher(args: argparse.Namespace) -> int:
    from orpose_core.reports.teacher_evaluation import TeacherFiles
    from orpose_core.reports.teacher_report import judge, write_teacher_report

    if args.detector is not None:
        files = TeacherFiles(args.detector, args.detector_weights, args.keypoints, args.lifter)
        judge(files, args.folder, args.split, args.tuning_split, args.frames)
    print(write_teacher_report(args.folder, args.out), end="")
    return 0


def _estimate(args: argparse.Namespace) -> int:
    from orpose_core.reports.html.estimate_page import write_estimate_page

    print(f"written {write_estimate_page(args.results, args.out or args.results / 'report.html')}")
    return 0


def _label(args: argparse.Namespace) -> int:
    from orpose_core.reports.html.label_page import write_label_page

    print(f"written {write_label_page(args.folder, args.out, args.truth)}")
    return 0


def _card(args: argparse.Namespace) -> int:
    if args.out is not None and args.out.suffix == ".html":
        from orpose_core.reports.html.card_page import write_card_page

        print(write_card_page(str(args.weights), args.out, args.real, args.scores))
        return 0
    from orpose_core.reports.model_card import write_card

    print(write_card(str(args.weights), args.out, args.real, args.scores))
    return 0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `report` to the command line."""
    parser = command_parser(
        subparsers,
        "report",
        "Write a results table, a model card or a page. The speed of networks is measured; everything else "
        "comes from files that training, evaluation and estimation saved. `orpose evaluate --report FILE` "
        "writes the page about an evaluation.",
        "orpose report card runs/tiny/weights.safetensors",
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    depthpose = command_parser(
        what,
        "depthpose",
        "Write Table 1 of DepthPose from finished runs.",
        "orpose report depthpose runs/table1/*  # needs finished runs",
        listed="Table 1 of DepthPose from finished runs",
    )
    _add_measured_runs(depthpose)
    _add_out(depthpose, "docs/results_depthpose.md")
    depthpose.set_defaults(run=_depthpose)
    _add_design(what)
    networks = command_parser(
        what,
        "networks",
        "Score depth networks on benchmark splits for the report of a release: by visibility, by "
        "orientation, and in 3D. The first network is compared with the others.",
        "orpose report networks fastpose_64x48 depthpose_64x48  # takes some minutes",
        listed="the depth networks of a release",
    )
    networks.add_argument("models", nargs="+", metavar="MODEL", help="shipped weights or files")
    networks.add_argument(
        "--splits", nargs="+", default=["or-test-v1", "general-test-v1"], metavar="SPLIT",
        help="default: the test splits",
    )  # fmt: skip
    networks.add_argument(
        "--frames", type=int, default=300, metavar="N", help="frames of each split (default: 300)"
    )
    _add_out(networks, "docs/results_networks.md")
    networks.set_defaults(run=_networks)
    student = command_parser(
        what,
        "student",
        "Write Tables 1 to 3 of ORPose from scored runs.",
        "orpose report student runs/student/*  # needs finished runs",
        listed="Tables 1 to 3 of ORPose from scored runs",
    )
    student.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of scored runs")
    _add_out(student, "docs/results_student.md")
    student.set_defaults(run=_student)
    _add_teacher(what)
    estimate = command_parser(
        what,
        "estimate",
        "Write a page (HTML, one file) about the results of `orpose estimate`: people over time, tracks, "
        "scores and sigmas, the least confident frames, pictures.",
        "orpose report estimate results",
        listed="a page about the results of `orpose estimate`",
    )
    estimate.add_argument("results", type=Path, metavar="DIR", help="folder that `orpose estimate` wrote")
    estimate.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in that folder")
    estimate.set_defaults(run=_estimate)
    label = command_parser(
        what,
        "label",
        "Write a page (HTML, one file) about the labels of `orpose label`: thresholds, how many people are "
        "learned from and ignored, scores, joints, the worst frames; and, with labels by hand, how reliable "
        "the scores are. `orpose adapt` writes such a page itself.",
        "orpose report label labels_of_monday",
        listed="a page about the labels of `orpose label`",
    )
    label.add_argument("folder", type=Path, metavar="DIR", help="folder that `orpose label` wrote")
    label.add_argument(
        "--truth",
        type=Path,
        metavar="FILE",
        help="COCO file labeled by hand (default: corrected.json in DIR)",
    )
    label.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in that folder")
    label.set_defaults(run=_label)
    card = command_parser(
        what,
        "card",
        "Write the card of a weights file from what the file states about its training: Markdown, or a page "
        "with charts.",
        "orpose report card runs/tiny/weights.safetensors",
        listed="the card of a weights file",
    )
    card.add_argument("weights", type=Path, metavar="FILE", help="the weights")
    card.add_argument(
        "--out", type=Path, metavar="FILE", help="default: beside the weights; .html for a page"
    )
    card.add_argument("--real", type=Path, metavar="FILE", help="scores from benchmarks/real_depth_people.py")
    card.add_argument(
        "--scores", type=Path, metavar="DIR", help="scores of a student, from `orpose evaluate --scale`"
    )
    card.set_defaults(run=_card)


def _add_measured_runs(parser: argparse.ArgumentParser) -> None:
    """Add finished runs, whose networks are timed."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of finished runs")
    parser.add_argument(
        "--threads", type=int, default=2, metavar="N", help="threads for measuring speed (default: 2)"
    )


def _add_design(what: argparse._SubParsersAction) -> None:
    design = command_parser(
        what,
        "design",
        "Compare networks that differ in one setting each: PCK with intervals, size and speed. The first run "
        "is the one that the others are compared with.",
        "orpose report design runs/design/fastpose runs/design/wide  # needs finished runs",
        listed="what single settings of a network are worth",
    )
    _add_measured_runs(design)
    add_backend(design)
    _add_out(design, "results_design.md")
    design.set_defaults(run=_design)


def _add_teacher(what: argparse._SubParsersAction) -> None:
    teacher = command_parser(
        what,
        "teacher",
        "Report the quality of a teacher's labels. With --detector, the teacher is evaluated first and its "
        "scores are saved in the folder; otherwise the scores in the folder are reported.",
        "orpose report teacher runs/teacher --detector runs/detector/weights.safetensors  # takes hours",
        listed="quality of a teacher's labels",
    )
    teacher.add_argument("folder", type=Path, metavar="DIR", help="folder of the scores")
    teacher.add_argument("--detector", metavar="NAME", help="as for `orpose label`")
    teacher.add_argument("--detector-weights", metavar="FILE", help="default: shipped weights")
    teacher.add_argument(
        "--keypoints",
        default="runs/keypoints/weights.safetensors",
        metavar="FILE",
        help="default: %(default)s",
    )
    teacher.add_argument("--lifter", default="lifter_synthetic", metavar="FILE", help="default: %(default)s")
    teacher.add_argument(
        "--split", default="or-val-v1", help="split for the evaluation (default: %(default)s)"
    )
    teacher.add_argument(
        "--tuning-split",
        default="general-val-v1",
        help="split for choosing thresholds (default: %(default)s)",
    )
    teacher.add_argument("--frames", type=int, default=150, metavar="N", help="default: %(default)s")
    _add_out(teacher, "docs/results_teacher.md")
    teacher.set_defaults(run=_teacher)


def _add_out(parser: argparse.ArgumentParser, usual: str) -> None:
    parser.add_argument("--out", type=Path, default=Path(usual), metavar="FILE", help="default: %(default)s")
