"""The label node on real topics: labels what `orpose label` would, counts what it missed, survives a kill."""

from __future__ import annotations

import array
import json
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from orpose_core.data import image_messages
from orpose_core.data.recordings.opening import open_recording
from orpose_core.data.rvl import encode_rvl
from orpose_core.files import read_depth
from orpose_core.labelling.labelling import label_recordings
from orpose_core.labelling.sheet import write_label_sheet
from orpose_core.rotation import upright
from orpose_core.simulation import StreamConfig
from orpose_core.simulation.writers.bags import write_bag
from orpose_core.teacher.teacher import Teacher
from orpose_core.types import Intrinsics
from orpose_ros import conversions
from orpose_ros.bag_replay import BagReplay
from orpose_ros.label_node import LabelNode
from orpose_ros.parameters.label import LabelParameters
from orpose_ros.streams.replay_pace import STILL_LABELLING

FRAMES = 7
RANDOM: dict[str, Any] = {
    "detector": "untrained:fasterrcnn_mobilenet_v3_large_320_fpn",
    "keypoints": "untrained:pose_hrnet_w4_64x64",
    "lifter": "untrained:",
    "min_box_score": 0.02,
    "hard_score": 0.02,
    "no_flip": True,
    "device": "cpu",
    "batch": 2,
    "finish_idle_s": 0.0,
}
BAG: dict[str, Any] = {"cameras": ["camera_1"], "recording": "theatre", "queue": 8}
TOPICS = [f"/camera_1/{name}" for name in ("color/image_raw", "depth/image_raw", "camera_info")]
RELIABLE = {f"qos_overrides.{topic}.subscription.reliability": "reliable" for topic in TOPICS}
LIVE = QoSProfile(depth=100)
PERIOD_NS = 100_000_000
Make = Callable[..., Any]
pytestmark = pytest.mark.timeout(600)  # networks on a busy machine


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return LabelParameters(out="unused", **RANDOM).make_teacher()


@pytest.fixture(autouse=True)
def one_teacher(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    """All nodes of this process share one, so that it is loaded once."""
    monkeypatch.setattr(LabelParameters, "make_teacher", lambda self: teacher)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = StreamConfig(size_hw=(120, 160), modality="rgbd", frames_per_sequence=FRAMES, rate_hz=10.0)
    return write_bag(config, FRAMES, tmp_path_factory.mktemp("bags") / "theatre")


@pytest.fixture(scope="module")
def labelled(bag: Path, teacher: Teacher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `orpose label` makes of the bag."""
    out = tmp_path_factory.mktemp("labelled")
    label_recordings([bag], teacher, out, LabelParameters(out="unused", **RANDOM).options)
    return out


@pytest.fixture
def live(graph: Any, tmp_path: Path) -> Make:
    """Make a node that hears color alone, and return it with a publisher that it hears."""

    def make(**settings: Any) -> tuple[Any, Any]:
        overrides = {"qos_overrides./color/image_raw.subscription.reliability": "reliable"}
        overrides |= {"qos_overrides./color/image_raw.subscription.depth": 100}
        node = graph.make(
            LabelNode, **RANDOM | {"out": str(tmp_path / "out"), "depth": False} | overrides | settings
        )
        color, info = (
            graph.publisher(kind, topic, LIVE)
            for kind, topic in ((Image, "color/image_raw"), (CameraInfo, "camera_info"))
        )
        graph.connected(color, info)
        camera = Intrinsics(70.0, 70.0, 31.5, 23.5, 64, 48)
        info.publish(conversions.camera_info_message(camera, header(1)))
        graph.until(lambda: node.watch.messages("camera_info"), "camera_info arrives")
        return node, color

    return make


def header(stamp_ns: int) -> Header:
    return Header(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id="ceiling")


def picture(k: int, size_hw: tuple[int, int] = (48, 64)) -> Image:
    rng = np.random.default_rng(k)
    return conversions.color_message(rng.integers(0, 255, (*size_hw, 3)).astype(np.uint8), header(stamp(k)))


def stamp(k: int) -> int:
    return 10**12 + k * PERIOD_NS


def finish(graph: Any, expect: bool = True) -> str:
    client = graph.tester.create_client(Trigger, "/label_node/finish")
    graph.until(client.service_is_ready, "the service is there")
    still, end_s = True, time.monotonic() + 240
    while still and time.monotonic() < end_s:
        answer = client.call_async(Trigger.Request())
        graph.until(answer.done, "the service answers", timeout_s=60)
        still = answer.result().message.startswith(STILL_LABELLING)
    assert answer.result().success == expect, answer.result().message
    return str(answer.result().message)


def send_slowly(graph: Any, node: Any, color: Any, count: int) -> None:
    before = node.watch.messages("color/image_raw")
    for k in range(count):
        color.publish(picture(k))
        graph.until(lambda k=k: node.watch.messages("color/image_raw") == before + k + 1, "it arrives")
        graph.until(lambda: node.backlog.waiting < 4, "there is room", timeout_s=240)


def replay(graph: Any, bag: Path, **settings: Any) -> Any:
    playing = graph.make(BagReplay, start=False, bag=str(bag), rate=1000.0, paced_by="label_node", **settings)
    playing.start()
    return playing


def files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


def stamps_in(folder: Path) -> list[int]:
    return [image["stamp_ns"] for image in json.loads((folder / "labels.json").read_text())["images"]]


@pytest.mark.timeout(900)
def test_a_paced_replay_gives_the_files_of_orpose_label_also_after_a_kill(
    graph: Any, bag: Path, labelled: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    node = graph.make(LabelNode, **RANDOM | BAG | RELIABLE, out=str(whole))
    playing = replay(graph, bag)
    graph.until(playing.finished.is_set, "the bag is labelled", timeout_s=400)
    assert graph.said(f"/label_node has finished: {FRAMES} of {FRAMES} frames")
    made, wanted = files(whole), files(labelled)
    assert json.loads(made["labels.json"])["annotations"], "the test should see people"
    for name in {*made, *wanted} - {"journal.jsonl", "report.json"}:
        assert made[name] == wanted[name], name
    nothing_missed = {"missed": {"/camera_1": {"dropped": 0, "never_came": 0}}}
    assert report(whole) == report(labelled) | nothing_missed
    assert node.diagnostics.counts() == {"frames": FRAMES, "dropped": 0, "refused": 0}
    for gone in (playing, node):
        gone.clean_up()
        graph.executor.remove_node(gone)
        graph.nodes.remove(gone)
        gone.destroy_node()

    # A process of its own is killed while it labels; then another node and the same replay, from the start.
    given = [a for k, v in (RANDOM | BAG | RELIABLE).items() for a in ("-p", f"{k}:={json.dumps(v)}")]
    wrapper = Path(__file__).parents[2] / "scripts" / "label_node"
    command = [sys.executable, wrapper, "--ros-args", *given, "-p", f"out:={killed}"]
    process = subprocess.Popen(command)
    playing = replay(graph, bag)
    journal = killed / "journal.jsonl"
    graph.until(
        lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 3, "two batches", timeout_s=240
    )
    process.send_signal(signal.SIGKILL)
    process.wait()
    playing.clean_up()
    assert not (killed / "labels.json").exists()
    graph.executor.remove_node(playing)
    graph.nodes.remove(playing)
    playing.destroy_node()
    node = graph.make(LabelNode, **RANDOM | BAG | RELIABLE, out=str(killed))
    assert node.session.frames >= 4
    playing = replay(graph, bag)
    graph.until(playing.finished.is_set, "the bag is labelled", timeout_s=400)
    assert node.diagnostics.counts()["frames"] < FRAMES, "what was done is not done again"
    assert files(killed) == made


def test_what_is_missed_is_counted_by_the_queue_and_by_the_stamps(
    graph: Any, live: Make, tmp_path: Path
) -> None:
    node, color = live(queue=8)
    sent, lost = 18, {10, 11, 14}
    for k in range(sent):
        if k not in lost:
            color.publish(picture(k))
    graph.until(lambda: node.watch.messages("color/image_raw") == sent - len(lost), "all that were sent")
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics", LIVE)
    finish(graph)
    told = report(tmp_path / "out")
    assert told["missed"]["/"]["never_came"] == len(lost)
    assert told["missed"]["/"]["dropped"] > 0
    assert told["frames"] + sum(told["missed"]["/"].values()) == sent
    assert len(stamps_in(tmp_path / "out")) == told["frames"] < sent - len(lost)
    assert stamp(sent - 1) in stamps_in(tmp_path / "out"), "the newest is not let go"

    def newest() -> dict[str, str]:
        return {v.key: v.value for v in diagnostics[-1].status[0].values} if diagnostics else {}

    graph.until(lambda: newest().get("frames") == str(told["frames"]), "diagnostics count the frames")
    assert newest()["dropped"] == str(told["missed"]["/"]["dropped"])
    assert newest()["never came"] == str(len(lost))

    # Played again, slowly, what was missed is labelled and is no longer missed.
    send_slowly(graph, node, color, sent)
    finish(graph)
    told = report(tmp_path / "out")
    assert told["missed"]["/"] == {"dropped": 0, "never_came": 0} and told["frames"] == sent


def test_bad_messages_are_told_and_survived(graph: Any, live: Make, tmp_path: Path) -> None:
    node, color = live(depth=True)
    depth = graph.publisher(Image, "depth/image_raw")
    graph.connected(depth)
    wrong, short, timeless = picture(1), picture(2), picture(3)
    wrong.encoding = "yuv422"
    short.data = short.data[:-50]
    timeless.header.stamp = Time()
    for message in (picture(0), wrong, short, timeless, picture(4)):
        color.publish(message)
    other = np.full((30, 40), 2.0, np.float32)
    depth.publish(conversions.depth_message(other, header(stamp(4))))
    graph.until(lambda: node.watch.messages("color/image_raw") == 5, "all arrive")
    graph.until(lambda: node.watch.messages("depth/image_raw") == 1, "depth arrives")
    assert finish(graph).startswith("2 of 2 frames")
    skipped = " | ".join(report(tmp_path / "out")["skipped"])
    assert "yuv422" in skipped and "bytes of data" in skipped
    assert "depth is 40x30 and not registered to color, which is 64x48" in skipped
    assert graph.until(lambda: graph.said("expected a stamp"), "the image without a time is refused")
    assert stamps_in(tmp_path / "out") == [stamp(0), stamp(4)]
    assert node.diagnostics.counts()["refused"] >= 4


def test_a_batch_that_fails_does_not_end_the_node_nor_take_its_neighbours_along(
    graph: Any, live: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teacher: Teacher
) -> None:
    node, color = live()
    label = teacher.label

    def out_of_memory(images: Any, ids: Any) -> Any:
        if any(image[0, 0, 0] == 7 for image in images):
            raise RuntimeError("out of memory")
        return label(images, ids)

    monkeypatch.setattr(teacher, "label", out_of_memory)
    for k in range(4):
        message = picture(k)
        message.data[0] = 7 if k == 1 else 8
        color.publish(message)
    graph.until(lambda: node.watch.messages("color/image_raw") == 4, "all arrive")
    assert finish(graph).startswith("3 of 3 frames")
    assert "not labeled: RuntimeError: out of memory" in report(tmp_path / "out")["skipped"][0]
    assert stamps_in(tmp_path / "out") == [stamp(0), stamp(2), stamp(3)]


def test_nothing_above_the_limit_is_stored_published_or_logged(
    graph: Any, live: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    node, color = live(recording="monday")
    for k in range(3):
        color.publish(picture(k, (481, 643)))
    graph.until(lambda: node.watch.messages("color/image_raw") == 3, "all arrive")
    finish(graph)
    out = tmp_path / "out"
    stored = {f for f in tmp_path.rglob("*") if f.is_file()}
    images = {f for f in stored if f.suffix == ".png" and f.name != "contact_sheet.png"}
    texts = {out / name for name in (".orpose_output", "journal.jsonl", "labels.json", "report.json")}
    assert stored == images | texts | {out / "contact_sheet.png"} and len(images) == 3
    for file in images:
        pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert pixels.shape[0] * pixels.shape[1] <= 4800
    # The sheet has nothing that is not in the small images and the labels.
    entries = [e for line in (out / "journal.jsonl").read_text().splitlines()[1:]
               for e in json.loads(line)["frames"]]  # fmt: skip
    write_label_sheet(tmp_path / "again.png", out, entries, 3)
    assert (tmp_path / "again.png").read_bytes() == (out / "contact_sheet.png").read_bytes()
    published = dict(node.get_publisher_names_and_types_by_node("label_node", "/"))
    kinds = {kind for kinds in published.values() for kind in kinds}
    assert kinds <= {"std_msgs/msg/Header", "diagnostic_msgs/msg/DiagnosticArray", "rcl_interfaces/msg/Log",
                     "rcl_interfaces/msg/ParameterEvent", "lifecycle_msgs/msg/TransitionEvent"}  # fmt: skip
    assert max(len(line) for line in graph.said()) < 500, "no log line could hold a picture"
    with pytest.raises(ValueError, match="at most max_pixels = 4800 px, got 160x120"):
        graph.make(LabelNode, **RANDOM, out=str(tmp_path / "large"), low_resolution="160x120")
    assert not (tmp_path / "large").exists()


def test_the_files_are_written_when_it_ends_and_a_later_node_goes_on(
    graph: Any, live: Make, tmp_path: Path
) -> None:
    node, color = live()
    out = tmp_path / "out"
    assert "expected frames to label, got none" in finish(graph, expect=False)
    other = graph.make(LabelNode, start=False, **RANDOM, out=str(out), depth=False)
    assert not other.start() and graph.until(lambda: graph.said("another process"), "it says why")
    color.publish(picture(0))
    graph.until(lambda: node.watch.messages("color/image_raw") == 1, "it arrives")
    node.trigger_deactivate()
    assert stamps_in(out) == [stamp(0)]
    color.publish(picture(1))  # to a node that does not listen
    graph.until(lambda: node.watch.messages("color/image_raw") == 2, "it arrives")
    node.trigger_activate()
    color.publish(picture(0))
    color.publish(picture(2))
    graph.until(lambda: node.watch.messages("color/image_raw") == 4, "both arrive")
    rclpy.try_shutdown()  # as a signal does, before the node is cleaned up
    node.clean_up()
    assert stamps_in(out) == [stamp(0), stamp(2)]


def test_a_folder_of_other_settings_is_refused(graph: Any, live: Make, tmp_path: Path) -> None:
    live()[0].clean_up()
    node = graph.make(LabelNode, start=False, **RANDOM, out=str(tmp_path / "out"), depth=False, every=2)
    assert not node.start()
    graph.until(lambda: graph.said("other settings (options)"), "it says what differs")


def test_when_nothing_more_comes_the_files_are_written_and_silence_is_named(
    graph: Any, live: Make, tmp_path: Path
) -> None:
    node, color = live(finish_idle_s=0.5, silence_s=0.5)
    graph.until(lambda: graph.said("color/image_raw: nothing for 0.5 s"), "silence is named")
    color.publish(picture(0))
    graph.until((tmp_path / "out" / "contact_sheet.png").exists, "the files are written", timeout_s=240)
    graph.until(lambda: node.diagnostics.counts()["frames"] == 1, "it is counted")


def test_a_limit_and_every_second_frame(graph: Any, live: Make, tmp_path: Path) -> None:
    node, color = live(every=2, limit=3)
    send_slowly(graph, node, color, 10)
    finish(graph)
    told = report(tmp_path / "out")
    assert stamps_in(tmp_path / "out") == [stamp(0), stamp(2), stamp(4)]
    assert told["missed"]["/"] == {"dropped": 0, "never_came": 0}


def test_depth_is_kept_upright_and_in_the_unit_that_it_has(graph: Any, bag: Path, tmp_path: Path) -> None:
    out, turned = tmp_path / "out", {"keep": "depth", "rotation": 90, "depth_unit_m": 0.0005, "limit": 2}
    graph.make(LabelNode, **RANDOM | BAG | RELIABLE | turned, out=str(out))
    playing = replay(graph, bag)
    graph.until(playing.finished.is_set, "the bag is labelled", timeout_s=400)
    labels = json.loads((out / "labels.json").read_text())
    assert [image["rotation"] for image in labels["images"]] == [90, 90]
    images = sorted((out / "images").rglob("*.png"))
    assert [path.name.rsplit("_", 1)[1] for path in images] == ["depth.png"] * 2, "no color"
    with open_recording(bag, "depth") as recording:
        wanted = [upright(frame.frame, 90).depth_m / 2 for frame in islice(recording.frames(), 2)]
    for path, depth_m in zip(images, wanted, strict=True):
        np.testing.assert_allclose(read_depth(path), depth_m, atol=0.001)


def transported(message: Image, form: str) -> CompressedImage:
    """Return 16-bit depth as image_transport sends it with the codec ``form``."""
    depth_mm = image_messages.millimetres(conversions.depth_of(message))
    height, width = depth_mm.shape
    if form == "rvl":
        data = struct.pack("<II", width, height) + encode_rvl(depth_mm).tobytes()
    else:
        data = cv2.imencode(".png", depth_mm)[1].tobytes()
    packed = array.array("B", struct.pack("<iff", 0, 0.0, 0.0) + data)
    return CompressedImage(header=message.header, format=f"16UC1; compressedDepth {form}", data=packed)


def test_compressed_color_and_depth_are_labelled_as_the_gateway_takes_them(
    graph: Any, tmp_path: Path
) -> None:
    out, limit = tmp_path / "out", 10_000
    names = ("color/image_raw/compressed", "depth/image_raw/compressedDepth", "camera_info")
    overrides = {f"qos_overrides./{name}.subscription.reliability": "reliable" for name in names}
    settings = {"compressed_color": True, "compressed_depth": True, "rectified": True, "keep": "depth"}
    settings |= {"out": str(out), "max_input_pixels": limit}
    node = graph.make(LabelNode, **RANDOM | overrides | settings)
    color, depth, info = (
        graph.publisher(kind, name, LIVE)
        for kind, name in zip((CompressedImage, CompressedImage, CameraInfo), names, strict=True)
    )
    graph.connected(color, depth, info)
    camera = conversions.camera_info_message(Intrinsics(70.0, 70.0, 31.5, 23.5, 64, 48), header(1))
    camera.p[0] = camera.p[5] = 66.0  # what rectification made of it
    info.publish(camera)
    graph.until(lambda: node.watch.messages(names[2]), "camera_info arrives")
    depth_m = np.linspace(1.0, 3.0, 48 * 64, dtype=np.float32).reshape(48, 64)
    for k, form in enumerate(("png", "rvl", "png", "png")):
        large = np.ones((200, 200), np.float32)
        sent = conversions.depth_message(large if k == 2 else depth_m, header(stamp(k)), "16UC1")
        depth.publish(transported(sent, form))
        shown = conversions.color_of(picture(k, (200, 200) if k == 3 else (48, 64)))
        data = array.array("B", cv2.imencode(".png", shown[..., ::-1])[1].tobytes())
        color.publish(CompressedImage(header=header(stamp(k)), format="rgb8; png compressed bgr8", data=data))
        graph.until(lambda k=k: node.watch.messages(names[0]) == k + 1, "color arrives")
        graph.until(lambda k=k: node.watch.messages(names[1]) == k + 1, "depth arrives")
    assert finish(graph).startswith("2 of 2 frames")
    images = json.loads((out / "labels.json").read_text())["images"]
    assert [(image["camera"], image["stamp_ns"]) for image in images] == [("/", stamp(0)), ("/", stamp(1))]
    assert {image["intrinsics"]["fx"] for image in images} == {66.0}
    stored = sorted((out / "images").rglob("*.png"))
    assert len(stored) == 2 and all(path.name.endswith("_depth.png") for path in stored)
    for path in stored:
        np.testing.assert_allclose(read_depth(path), depth_m, atol=0.0006)
    skipped = " | ".join(report(out)["skipped"])
    for kind in ("depth", "color"):
        assert f"compressed {kind} image" in skipped and f"at most {limit} px, got 200x200" in skipped
    assert node.diagnostics.counts()["refused"] >= 2


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"out": ""}, "parameter out: must be given"),
        ({"queue": 4}, "parameter queue"),
        ({"recording": "a/b"}, "expected a name fit for a folder"),
        ({"keep": "all"}, "out of lowres, depth, none"),
        ({"keep": "depth", "depth": False}, "parameter keep: expected lowres or none without depth"),
        ({"rotation": 45}, "parameter rotation: expected one of 0, 90, 180, 270 degrees, got 45"),
    ],
)
def test_wrong_parameters_are_refused(graph: Any, tmp_path: Path, setting: dict, words: str) -> None:
    settings = RANDOM | {"out": str(tmp_path / "out")} | setting
    if "recording" in setting:  # known once it is configured
        assert not graph.make(LabelNode, start=False, **settings).start()
        graph.until(lambda: graph.said(words), "it says why")
        return
    with pytest.raises(ValueError, match=words):
        graph.make(LabelNode, start=False, **settings)


def test_a_replay_refuses_to_be_paced_by_one_who_may_lose_messages(graph: Any, bag: Path) -> None:
    node = graph.make(LabelNode, **RANDOM | BAG, out=str(bag.parent / "best_effort"))
    playing = replay(graph, bag)
    graph.until(playing.finished.is_set, "it ends", timeout_s=200)
    assert graph.until(lambda: graph.said("asks for best effort"), "it says why")
    assert playing.published == 0 and node.session.frames == 0
