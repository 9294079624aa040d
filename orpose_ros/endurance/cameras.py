"""Cameras of a room that is rendered once and published repeatedly, in a process of their own.

    python -m orpose_ros.endurance.cameras FRAMES.npz --rate 15

The program publishes until SIGTERM and then prints the number of images of each camera as JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image

from orpose_core.files import millimetres, write_bytes
from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.rig_files import write_rig
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.types import Intrinsics, RgbdFrame
from orpose_ros import conversions
from orpose_ros.endurance.mark import Mark
from orpose_ros.running.memory import make_room_for_full_size_images

MOMENTS = 12
_PATIENCE_S = 900.0
_SLOW = 3  # images at both ends, 1 s apart: what is lost before the first or after the last, nobody can count


def render_room(cameras: Sequence[str], folder: Path, mark: Mark | None = None) -> tuple[Path, Path]:
    """Render an operating room, and write the frames and the poses of its cameras.

    A room has up to three cameras; a fourth publishes the images of the first.

    Returns:
        The files of the frames and of the cameras' poses.
    """
    there = min(3, len(cameras))
    config = StreamConfig("or", (480, 640), "depth", 1, there, frames_per_sequence=MOMENTS, rig="mvor")
    frames = [[simulate_frame(config, there * k + c) for k in range(MOMENTS)] for c in range(there)]
    depth_mm = np.stack([[_millimetres(f.frame) for f in camera] for camera in frames])
    if mark is not None:
        depth_mm = mark.put_on(depth_mm)
    i = frames[0][0].frame.intrinsics
    assert i is not None  # the simulator gives them
    buffer = io.BytesIO()
    np.savez(buffer, depth_mm=depth_mm, cameras=np.array(cameras), intrinsics=np.array(
        [i.fx, i.fy, i.cx, i.cy, i.width, i.height]))  # fmt: skip
    write_bytes(folder / "frames.npz", buffer.getvalue())
    rig = [
        RoomCamera(name, i, frames[c % there][0].room_from_camera, _frame_id(name))
        for c, name in enumerate(cameras)
    ]
    write_rig(folder / "rig.yaml", rig)
    return folder / "frames.npz", folder / "rig.yaml"


def _millimetres(frame: RgbdFrame) -> NDArray[np.uint16]:
    assert frame.depth_m is not None  # the simulator gives it
    return millimetres(frame.depth_m)


def _frame_id(camera: str) -> str:
    return f"{camera}_optical"


def play(file: Path, rate_hz: float) -> dict[str, int]:
    """Publish until SIGTERM or SIGINT; return the number of images of each camera."""
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: told.append(number))
    with np.load(file) as content:
        depth_mm, names = content["depth_mm"], [str(name) for name in content["cameras"]]
        fx, fy, cx, cy, width, height = content["intrinsics"].tolist()
    intrinsics = Intrinsics(fx, fy, cx, cy, int(width), int(height))
    make_room_for_full_size_images()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("cameras")
    qos = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
    images = [node.create_publisher(Image, f"{name}/depth/image_raw", qos) for name in names]
    infos = [node.create_publisher(CameraInfo, f"{name}/camera_info", qos) for name in names]
    header = conversions.Header()
    messages = [
        [conversions.depth_message(mm * np.float32(0.001), header, "16UC1") for mm in camera]
        for camera in depth_mm
    ]
    end_s = time.monotonic() + _PATIENCE_S
    while not (_all_listen(node, names) and all(p.get_subscription_count() for p in (*images, *infos))):
        if told:
            return dict.fromkeys(names, 0)
        if time.monotonic() > end_s:
            sys.exit("nobody listens to the cameras")
        time.sleep(0.1)
    time.sleep(1.0)
    due_s, k, left = time.monotonic(), 0, _SLOW
    while left:
        for c, name in enumerate(names):
            stamped = conversions.Header(stamp=conversions.stamp_of(time.time_ns()), frame_id=_frame_id(name))
            infos[c].publish(conversions.camera_info_message(intrinsics, stamped))
            message = messages[c % len(messages)][k % MOMENTS]
            message.header = stamped
            images[c].publish(message)
        k += 1
        left -= bool(told)
        due_s = max(due_s + (1.0 if told or k <= _SLOW else 1 / rate_hz), time.monotonic())
        time.sleep(max(0.0, due_s - time.monotonic()))
    return dict.fromkeys(names, k)


def _all_listen(node: Node, cameras: Sequence[str]) -> bool:
    """Return whether the pose node subscribes to all cameras; no image is sent before."""
    topics = [f"/{camera}/lowres/depth/image_raw" for camera in cameras]
    readers = [{i.node_name for i in node.get_subscriptions_info_by_topic(topic)} for topic in topics]
    return all("pose_node" in names for names in readers)


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rate", type=float, default=15.0)
    args = parser.parse_args(argv)
    print(json.dumps(play(args.file, args.rate)), flush=True)


if __name__ == "__main__":
    main()
