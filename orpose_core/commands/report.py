"""`orpose report`: write a results table or a model card from what runs saved."""

from __future__ import annotations

import argparse
from pathlib import Path


def _run(args: argparse.Namespace) -> int:
    if args.what == "depthpose":
        from orpose_core.reports.depthpose_report import write_report

        text = write_report(args.sources, args.out or Path("docs/results_depthpose.md"), args.threads)
    elif args.what == "teacher":
        from orpose_core.reports.teacher_evaluation import TeacherFiles
        from orpose_core.reports.teacher_report import judge, write_teacher_report

        if len(args.sources) != 1:
            raise ValueError(f"expected one folder for the scores, got {len(args.sources)}")
        if args.detector is not None:
            files = TeacherFiles(args.detector, args.detector_weights, args.keypoints, args.lifter)
            judge(files, args.sources[0], args.split, args.tuning_split, args.frames)
        text = write_teacher_report(args.sources[0], args.out or Path("docs/results_teacher.md"))
    elif args.what == "student":
        from orpose_core.reports.student_report import write_student_report

        text = write_student_report(args.sources, args.out or Path("docs/results_student.md"))
    else:
        from orpose_core.reports.model_card import write_card

        if len(args.sources) != 1:
            raise ValueError(f"expected one weights file, got {len(args.sources)}")
        text = f"{write_card(str(args.sources[0]), args.out, args.real, args.scores)}\n"
    print(text, end="")
    return 0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `report` to the command line."""
    parser = subparsers.add_parser(
        "report",
        help="write a results table or a model card from what runs saved",
        description="Write the paper's Table 1 from finished runs (depthpose RUN...), ORPose's Tables 1 to 3 "
        "from scored runs (student RUN...), or the card of a weights file (card FILE). The cost is "
        "measured, everything else read from what training wrote. "
        "Or how good a teacher's labels are (teacher FOLDER): with --detector it is judged first, its scores "
        "saved in the folder; without, the scores there are written up.",
    )
    parser.add_argument("what", choices=("depthpose", "student", "card", "teacher"), help="see above")
    parser.add_argument("sources", nargs="+", type=Path, help="folders of finished runs, or the weights file")
    parser.add_argument("--out", type=Path, help="file to write; a card goes beside its weights")
    parser.add_argument("--threads", type=int, default=2, help="PyTorch threads for the milliseconds")
    parser.add_argument("--real", type=Path, help="card: scores that benchmarks/real_depth_people.py wrote")
    parser.add_argument(
        "--scores", type=Path, metavar="DIR", help="card of a student: what `orpose evaluate --scale` wrote"
    )
    parser.add_argument("--detector", metavar="NAME", help="teacher: as for `orpose label`")
    parser.add_argument("--detector-weights", metavar="FILE", help="teacher: default: shipped weights")
    parser.add_argument("--keypoints", default="keypoints_synthetic", metavar="FILE", help="teacher")
    parser.add_argument("--lifter", default="lifter_synthetic", metavar="FILE", help="teacher")
    parser.add_argument("--split", default="or-val-v1", help="teacher: judged on (default: %(default)s)")
    parser.add_argument(
        "--tuning-split", default="general-val-v1", help="teacher: thresholds (default: %(default)s)"
    )
    parser.add_argument("--frames", type=int, default=150, help="teacher: (default: %(default)s)")
    parser.set_defaults(run=_run)
