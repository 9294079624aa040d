"""The command line: quick to start, and what is missing is said in one sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest

from orpose_core.cli import COMMANDS, build_parser, main


def test_the_list_of_commands_imports_none_of_them():
    code = (
        "import sys; from orpose_core.cli import build_parser; print(build_parser([]).format_help());"
        "print([name for name in ('numpy', 'torch', 'cv2', 'jsonargparse', 'tqdm') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"
    assert all(name in said and what in " ".join(said.split()) for name, what in COMMANDS.items())


def test_a_command_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit):
        main(["lable"])
    assert "lable" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["evaluate"], ["evaluate", "--dataset", "or-val-v1"], ["simulate"]])
def test_what_is_missing_is_said_in_one_sentence(words, capsys):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"orpose {words[0]}: expected") and said.count("\n") == 1


def test_every_parser_can_be_built_at_once():
    assert build_parser().parse_args(["convert", "a", "--to", "b", "--as", "c"]).name == "c"


def test_a_recording_needs_no_choice_of_a_model() -> None:
    assert build_parser().parse_args(["estimate", "monday.mcap", "--out", "out"]).model == "fastpose_64x48"


def test_a_report_about_a_folder_without_results(tmp_path, capsys) -> None:
    assert main(["report", "estimate", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "frames.jsonl: no such file" in said and "FileNotFoundError" not in said


def test_a_file_that_is_not_there_is_named_plainly(tmp_path, capsys) -> None:
    assert main(["audit", "verify", str(tmp_path / "no.audit")]) == 2
    assert f"orpose audit: {tmp_path / 'no.audit'}: No such file" in capsys.readouterr().err
    assert main(["calibrate", str(tmp_path / "no_bag"), "--cameras", "a,b"]) == 2
    assert (
        "no_bag: expected a bag (rosbag2 in mcap or sqlite3, or ROS 1); nothing is there"
        in capsys.readouterr().err
    )
