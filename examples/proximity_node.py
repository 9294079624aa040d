"""A ROS 2 node that uses the skeletons: it reports how near the nearest person is to the camera.

Run it beside `pose_node`, in the same namespace:

    python proximity_node.py --ros-args -r __ns:=/ceiling_1 -p limit_m:=1.5
"""

from __future__ import annotations

import math

import rclpy
from rclpy.node import Node
from std_msgs.msg import Float32

from orpose_ros.msg import Keypoint3D, Skeleton3DArray


class ProximityNode(Node):
    """Subscribes to `skeletons_3d` and publishes `nearest_person_m`, NaN while nobody is in view.

    Parameters:
        limit_m: a person nearer than this, in meters, is logged as a warning.
    """

    def __init__(self) -> None:
        super().__init__("proximity_node")
        self._limit_m = self.declare_parameter("limit_m", 1.5).value
        self._publisher = self.create_publisher(Float32, "nearest_person_m", 10)
        self._subscription = self.create_subscription(Skeleton3DArray, "skeletons_3d", self._skeletons, 10)

    def _skeletons(self, message: Skeleton3DArray) -> None:
        if message.kind != Skeleton3DArray.KIND_METRIC:
            self.get_logger().warning("the skeletons have no place in space", throttle_duration_sec=10.0)
            return
        distances_m = [
            math.hypot(k.position.x, k.position.y, k.position.z)
            for skeleton in message.skeletons
            for k in skeleton.keypoints
            if k.source != Keypoint3D.SOURCE_NONE  # a missing joint is NaN
        ]
        nearest_m = min(distances_m, default=math.nan)
        self._publisher.publish(Float32(data=nearest_m))
        if nearest_m < self._limit_m:
            self.get_logger().warning(f"somebody is {nearest_m:.2f} m away", throttle_duration_sec=1.0)


def main() -> None:
    """Run the node until it is interrupted."""
    rclpy.init()
    node = ProximityNode()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
