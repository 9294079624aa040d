"""What the launch files work out before anything starts; launch itself is not needed."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from orpose_ros.launching.models import needs_color
from orpose_ros.launching.rooms import NO_ROOM, room_below
from orpose_ros.launching.rviz_file import write_rviz_file

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = REPOSITORY / "rviz" / "or_pose.rviz"


def _topics(file: Path) -> list[str]:
    displays = yaml.safe_load(file.read_text())["Visualization Manager"]["Displays"]
    return [display["Topic"]["Value"] for display in displays if "Topic" in display]


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("cameras", [[""], ["ceiling_1", "or/ceiling_2"]])
def test_rviz_shows_the_topics_of_each_camera(tmp_path: Path, cameras: list[str], color: bool) -> None:
    fused = "room" if len(cameras) > 1 else ""
    file = write_rviz_file(TEMPLATE, tmp_path / "or_pose.rviz", cameras, "map", color=color, fused=fused)
    kinds = ["skeleton_markers", "lowres/depth/image_raw"] + ["lowres/color/image_raw"] * color
    expected = {f"/{camera}/{kind}".replace("//", "/") for camera in cameras for kind in kinds}
    expected |= {"/room/skeleton_markers"} if fused else set()
    assert set(_topics(file)) == expected and len(_topics(file)) == len(expected)
    manager = yaml.safe_load(file.read_text())["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == "map"
    names = [display["Name"] for display in manager["Displays"]]
    assert len(set(names)) == len(names) and {"Grid", "TF"} <= set(names)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("student_small", True),
        ("depthpose_64x48", False),
        ("untrained:student_orpose@0.25", True),
        ("untrained:depthpose_64x48@0.25", False),
        ("untrained:depthpose_color", True),
        (str(REPOSITORY / "weights" / "student_small.safetensors"), True),
    ],
)
def test_whether_a_model_needs_color_is_known_before_it_is_loaded(model: str, expected: bool) -> None:
    assert needs_color(model, REPOSITORY / "weights") == expected


def test_the_file_decides_and_not_its_name(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"config": json.dumps({"modality": "depth"})}}).encode()
    file = tmp_path / "student_of_mine.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    assert not needs_color(str(file), tmp_path) and not needs_color("student_of_mine", tmp_path)
    file.write_bytes(b"\xff" * 20)  # damaged: the node will say so
    assert needs_color(str(file), tmp_path)


def _launched(**arguments: str) -> list[Any]:
    """Return the nodes that the launch file makes; none is started."""
    launch = pytest.importorskip("launch", reason="launch is not installed here")
    pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed here")
    spec = importlib.util.spec_from_file_location(
        "or_pose_launch", REPOSITORY / "launch" / "or_pose.launch.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = launch.LaunchContext()
    for name, default, *_ in module.ARGUMENTS:
        context.launch_configurations[name] = arguments.get(name, default)
    return module._nodes(context)


def _parameters(node: Any) -> dict[str, Any]:
    """Return the parameters that a node gets besides those of files."""
    launch = pytest.importorskip("launch", reason="launch is not installed here")
    utilities = pytest.importorskip("launch_ros.utilities", reason="launch_ros is not installed here")
    given = utilities.evaluate_parameters(launch.LaunchContext(), node._Node__parameters)
    return {name: value for one in given if isinstance(one, dict) for name, value in one.items()}


def test_arguments_reach_the_nodes() -> None:
    usual = {node.node_executable: _parameters(node) for node in _launched(cameras="a")}
    asked = {
        node.node_executable: _parameters(node)
        for node in _launched(
            cameras="a", model="student_small", compressed_color="true", depth_with_color="true",
            fixed_frame="map", compressed_depth="true", rectified="false", depth_unit_m="0.00025",
            rotation="180,0",
        )
    }  # fmt: skip
    for node, name, before, after in (
        ("lowres_gateway", "color", False, True),  # what the model looks at
        ("lowres_gateway", "compressed_color", None, True),  # None: as configured
        ("lowres_gateway", "compressed_depth", None, True),
        ("lowres_gateway", "rectified", None, False),
        ("lowres_gateway", "depth_unit_m", None, 0.00025),
        ("pose_node", "rotation", None, (180, 0)),
        ("pose_node", "depth_with_color", False, True),
        ("skeleton_markers", "place_cameras", True, False),  # the frame is part of a TF tree
    ):
        assert (usual[node].get(name), asked[node][name]) == (before, after), name


def _names(namespace: str, **arguments: str) -> dict[str, tuple[dict[str, str], dict[str, Any]]]:
    """Return the full names of the nodes that launch would start, with their remappings and parameters."""
    launch = pytest.importorskip("launch", reason="launch is not installed here")
    (group,) = _launched(namespace=namespace, **arguments)
    context, found = launch.LaunchContext(), {}
    for action in group.get_sub_entities():
        if not hasattr(action, "node_executable"):
            action.execute(context)
            continue
        action._perform_substitutions(context)
        name = f"{action.expanded_node_namespace}/{action.node_executable}"
        assert name not in found
        found[name] = dict(action.expanded_remapping_rules), _parameters(action)
    return found


def test_two_rooms_on_one_graph_have_names_of_their_own() -> None:
    usual = {"cameras": "a,b", "view": "true", "bridges": "true", "audit": "or.audit"}
    rooms = {name: _names(name, **usual, view_port=port) for name, port in (("or_1", "0"), ("wing/or_2", ""))}
    for namespace, nodes in rooms.items():
        below = {name.removeprefix(f"/{namespace}/") for name in nodes}
        shared = {"pose_node", "skeleton_markers", "view_node", "bridge_node", "fusion_node", "audit_node"}
        assert below == shared | {"a/lowres_gateway", "b/lowres_gateway"}
        for remappings, _ in nodes.values():
            assert remappings["/tf"] == f"/{namespace}/tf"
            assert remappings["/tf_static"] == f"/{namespace}/tf_static"
            assert "/clock" not in remappings, "all rooms live have the same time"
    ports = [nodes[f"/{name}/view_node"][1].get("port") for name, nodes in rooms.items()]
    assert ports == [0, None], "as given, or else as configured"
    with pytest.raises(ValueError, match="namespace: expected letters, digits and underscores"):
        _launched(namespace="or 1")


def test_a_bag_is_played_into_the_room_that_it_is_given_to() -> None:
    nodes = _names("or_1", cameras="a", depth_topic="/k4a/depth", bag="/recordings/1", use_sim_time="true")
    played, _ = nodes["/or_1/bag_replay"]
    assert played["/k4a/depth"] == "/or_1/k4a/depth"
    assert played["/a/camera_info"] == "/or_1/a/camera_info"
    taken, parameters = nodes["/or_1/a/lowres_gateway"]
    assert taken["depth/image_raw"] == "/or_1/k4a/depth"
    assert taken["depth/image_raw/compressedDepth"] == "/or_1/k4a/depth/compressedDepth"
    for topic in ("/or_1/k4a/depth", "/or_1/a/camera_info"):
        assert parameters[f"qos_overrides.{topic}.subscription.reliability"] == "reliable"
    assert {names["/clock"] for names, _ in nodes.values()} == {"/or_1/clock"}, "the time of this bag"


def test_a_namespace_that_an_including_launch_file_has_pushed_is_known() -> None:
    room = room_below("/hospital", "or_1/")
    assert room.full("ceiling_1/lowres_gateway") == "/hospital/or_1/ceiling_1/lowres_gateway"
    assert dict(room.remappings) == {"/tf": "/hospital/or_1/tf", "/tf_static": "/hospital/or_1/tf_static"}
    assert room_below("/hospital", "").full("/pose_node") == "/hospital/pose_node"
    assert not room_below("/hospital", "").remappings and NO_ROOM.full("pose_node") == "/pose_node"


def test_a_configuration_that_an_argument_overrides_is_named(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(
        "/**/pose_node:\n  ros__parameters:\n    model: my_own\n    device: auto\n"
        "/**/lowres_gateway:\n  ros__parameters:\n    compressed_color: true\n"
    )
    actions = _launched(cameras="a", config=str(config))
    lines = ["".join(part.text for part in a.msg) for a in actions if type(a).__name__ == "LogInfo"]
    words = "sets model of pose_node to my_own, but the launch argument model:=fastpose_64x48 overrides it"
    assert lines == [f"{config} {words}"]


def test_files_may_be_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "rig.yaml").write_text("cameras: 7")
    nodes = _launched(cameras="a,b", calibration="~/rig.yaml", audit="~/or_1.audit")
    parameters = {node.node_executable: _parameters(node) for node in nodes}
    assert parameters["fusion_node"]["calibration"] == str(tmp_path / "rig.yaml")
    assert parameters["audit_node"]["file"] == str(tmp_path / "or_1.audit")


@pytest.mark.parametrize("name", ["rate", "depth_unit_m", "rotation"])
def test_a_number_that_is_none_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}:=much: expected a"):
        _launched(cameras="a", **{name: "much"})


def test_the_audit_node_is_launched_where_a_file_is_given() -> None:
    names = [node.node_executable for node in _launched(cameras="a,b")]
    with_audit = [node.node_executable for node in _launched(cameras="a,b", audit="or_1.audit")]
    assert "audit_node" not in names and sorted([*names, "audit_node"]) == sorted(with_audit)


def _enclave(node: Any) -> str:
    words = ["".join(getattr(part, "text", "") for part in word) for word in node.cmd]
    return words[words.index("--enclave") + 1]


def test_with_security_each_node_gets_the_enclave_of_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    usual = {"cameras": "ceiling_1,ceiling_2", "audit": "or_1.audit"}
    given = {_enclave(node) for node in _launched(**usual)}
    text = (REPOSITORY / "config" / "security" / "or_pose.policy.xml").read_text()
    enclaves = set(re.findall(r'enclave path="([^"]+)"', text))
    assert {"/pose_node", "/ceiling_2/lowres_gateway", "/audit_node"} <= given <= enclaves
    (group,) = _launched(namespace="or_1", **usual)
    below = {_enclave(node) for node in group.get_sub_entities() if hasattr(node, "node_executable")}
    assert below == {f"/or_1{enclave}" for enclave in given}
