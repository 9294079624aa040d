"""A configuration of one's own beside launch arguments: what is overridden is named, in each form of file."""

from __future__ import annotations

from pathlib import Path

import pytest

from orpose_ros.launching.overridden import overridden

ARGUMENTS = {"pose_node": ("model", "device"), "lowres_gateway": ("resolution",)}
GIVEN = {"model": "fastpose_64x48", "device": "", "resolution": "64x48"}


def said(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    return [line.removeprefix(f"{file} sets ") for line in overridden(file, ARGUMENTS, GIVEN)]


@pytest.mark.parametrize(
    "section",
    [
        "/**/pose_node:\n  ros__parameters: ",
        "pose_node:\n  ros__parameters: ",
        "/or_2/pose_node:\n  ros__parameters: ",
        "or_2:\n  pose_node:\n    ros__parameters: ",
        "/**:\n  ros__parameters: ",
        "'/*':\n  ros__parameters: ",
    ],
)
def test_what_an_argument_overrides_is_named(tmp_path: Path, section: str) -> None:
    words = "model of pose_node to own, but the launch argument model:=fastpose_64x48 overrides it"
    assert said(tmp_path, section + "{model: own, device: cpu, track: false}\n") == [words]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pose_node:\n",
        "pose_node:\n  ros__parameters:\n",
        "/**:\n  ros__parameters: {model: FASTPOSE_64x48}\n",
        "view_node:\n  ros__parameters: {model: own}\n",
        "/my/lowres_gateway_2:\n  ros__parameters: {resolution: 80x60}\n",
    ],
)
def test_nothing_is_overridden(tmp_path: Path, text: str) -> None:
    assert said(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- pose_node\n", "expected names with values in the file, got ['pose_node']"),
        ("pose_node: 3\n", "expected names with values below pose_node, got 3"),
        ("a:\n  pose_node:\n    ros__parameters: [model]\n",
         "expected parameters with values in ros__parameters of a/pose_node, got ['model']"),
        ("pose_node: {model\n", "cannot be read"),
        ("pose_node: \x00\n", "cannot be read"),
    ],
)  # fmt: skip
def test_another_form_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^config:=.*own\.yaml: ") as refused:
        said(tmp_path, text)
    assert words in str(refused.value)
