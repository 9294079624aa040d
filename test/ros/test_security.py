"""The SROS 2 policy: what the running graph uses and no more; sros2 makes permissions of it."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import rclpy

from orpose_ros.graph.deployment import OUTSIDE, node_modules
from orpose_ros.graph.message_sizes import is_image
from orpose_ros.security.policy import OPERATOR, operator_of, policy_xml, read_policy
from orpose_ros.security.uses import CAMERA, Uses, observe, without
from orpose_ros.streams import room_frame

REPOSITORY = Path(__file__).parents[2]
POLICY = REPOSITORY / "config" / "security" / "or_pose.policy.xml"
CAMERAS = ("ceiling_1", "ceiling_2")
TF = () if room_frame.TFMessage is not None else ("/tf", "/tf_static")
AGAIN = f"python -m orpose_ros.security --out {POLICY.relative_to(REPOSITORY)}"
SETTERS = ("set_parameters", "set_parameters_atomically", "change_state")


@pytest.fixture(scope="module")
def observed() -> tuple[dict[str, Uses], dict[str, tuple[str, ...]]]:
    """What the nodes use, by node, and the types of the topics."""
    uses, types = observe(CAMERAS)
    assert not rclpy.ok()
    return {one.node: one for one in uses}, types


@pytest.fixture(scope="module")
def policy() -> dict[str, Uses]:
    return read_policy(POLICY)


def test_the_policy_names_what_the_running_graph_uses_and_no_more(observed, policy) -> None:
    uses, _ = observed
    running = uses | {OPERATOR: operator_of(uses.values())}
    assert set(policy) == set(running), f"nodes came or went; make it again: {AGAIN}"
    for name, allowed in policy.items():
        assert without(allowed, TF) == without(running[name], TF), f"{name}; make it again: {AGAIN}"


def test_every_node_of_the_package_is_in_the_graph(observed) -> None:
    there = {name.rpartition("/")[2] for name in observed[0]}
    assert there == {*node_modules(), CAMERA}
    programs = {file.name for file in (REPOSITORY / "scripts").glob("*_*") if not file.suffix}
    assert programs - set(OUTSIDE) - set(node_modules()) <= {"setup_environment"}


def test_only_the_gateway_reads_full_size_images(observed, policy) -> None:
    _, types = observed
    full = {t for t, kinds in types.items() if is_image(kinds) and "lowres" not in t.split("/")}
    assert full == {f"/{c}/depth/image_raw" for c in CAMERAS}
    readers = {name for name, allowed in policy.items() if full & set(allowed.subscribes)}
    assert readers == {f"/{c}/lowres_gateway" for c in CAMERAS}
    for c in CAMERAS:
        own = set(policy[f"/{c}/lowres_gateway"].subscribes) & full
        assert own == {f"/{c}/depth/image_raw"}, "of its own camera alone"


def test_nobody_but_the_operator_sets_parameters_or_states(policy) -> None:
    for name, allowed in policy.items():
        setters = [s for s in allowed.requests if s.rpartition("/")[2] in SETTERS]
        if name == OPERATOR:
            assert {f"/pose_node/{setter}" for setter in SETTERS} <= set(setters)
        else:
            assert not setters, name
    assert all(s.endswith(("/get_parameters", "/list_parameters")) for s in policy["/audit_node"].requests)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    one = Uses("/a/node", ("/x", "/y"), ("/z",), ("/a/node/get_parameters",), ("/b/get_state",))
    file = tmp_path / "policy.xml"
    file.write_text(policy_xml([one], "a test"))
    assert read_policy(file) == {one.node: one, OPERATOR: operator_of([one])}


def test_the_policy_fits_the_schema_and_sros2_makes_permissions_of_it(tmp_path: Path) -> None:
    policy = pytest.importorskip("sros2.policy", reason="sros2 is not installed here")
    keystore = pytest.importorskip("sros2.keystore", reason="sros2 is not installed here")
    policy.load_policy(POLICY)  # raises where the schema is not kept
    store = tmp_path / "keystore"
    keystore.create_keystore(store)
    generation = pytest.importorskip("sros2.api._artifact_generation")
    generation.generate_artifacts(keystore_path=store, policy_files=[POLICY])
    made = {
        "/" + str(f.parent.relative_to(store / "enclaves"))
        for f in store.rglob("enclaves/**/permissions.xml")
    }
    assert made == set(read_policy(POLICY))
    permissions = ElementTree.parse(store / "enclaves" / "pose_node" / "permissions.xml")
    topics = {str(e.text) for e in permissions.iter("topic")}
    assert "rt/ceiling_1/lowres/depth/image_raw" in topics
    assert not {"rt/ceiling_1/depth/image_raw", "rq/pose_node/change_stateReply"} & topics
    assert (store / "enclaves" / "ceiling_1" / "lowres_gateway" / "permissions.p7s").exists()


LOOKING = """
import sys, rclpy
rclpy.init(args=sys.argv)
node = rclpy.create_node("looking")
for _ in range(int(sys.argv[1])):
    rclpy.spin_once(node, timeout_sec=0.1)
    if ("lowres_gateway", "/ceiling_1") in node.get_node_names_and_namespaces():
        print("seen")
        break
"""


def test_a_node_without_an_enclave_is_kept_out(tmp_path: Path) -> None:
    """Skipped where Fast DDS is built without its security plugins, as the wheels of ROS are."""
    keystore = pytest.importorskip("sros2.keystore", reason="sros2 is not installed here")
    store = tmp_path / "keystore"
    keystore.create_keystore(store)
    generation = pytest.importorskip("sros2.api._artifact_generation")
    generation.generate_artifacts(keystore_path=store, policy_files=[POLICY])
    paths = {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *filter(None, sys.path)])}
    secured = os.environ | paths | {
        "ROS_SECURITY_KEYSTORE": str(store), "ROS_SECURITY_ENABLE": "true",
        "ROS_SECURITY_STRATEGY": "Enforce",
    }  # fmt: skip

    def seen(environment: dict[str, str], tenths_s: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", LOOKING, str(tenths_s), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

    with (tmp_path / "log").open("w") as log:
        gateway = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "scripts" / "lowres_gateway"), "--ros-args",
             "-r", "__ns:=/ceiling_1", "--enclave", "/ceiling_1/lowres_gateway"],
            env=secured, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        friend = seen(secured, 1000, "--ros-args", "--enclave", "/operator")
        said = friend.stderr + (tmp_path / "log").read_text()
        if friend.returncode and "security" in said.lower():
            why = next(line for line in reversed(said.splitlines()) if "security" in line.lower())
            pytest.skip(f"Fast DDS is built without security here: {why[:200]}")
        assert gateway.poll() is None and friend.returncode == 0, said
        assert friend.stdout == "seen\n", "whoever has an enclave sees it"
        stranger = seen(os.environ | paths, 100)
        assert stranger.returncode == 0, stranger.stderr
        assert stranger.stdout == "", "without one it cannot be seen"
    finally:
        gateway.kill()
        gateway.wait()
