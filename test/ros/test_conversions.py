"""Images from messages as drivers send them, whatever image libraries of ROS are installed."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from orpose_core.data import image_messages
from orpose_ros import conversions

ENCODINGS = ("rgb8", "bgr8", "rgba8", "bgra8", "mono8")
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 53, 3), np.uint8)


def _message(encoding: str, padding: int) -> Image:
    picture = np.repeat(PICTURE[..., :1], 3, -1) if encoding == "mono8" else PICTURE
    fields = image_messages.encode_color(picture, encoding, row_padding=padding)
    return Image(header=Header(), **fields | {"data": fields["data"].tobytes()})


@pytest.mark.parametrize("padding", [0, 1, 2, 3, 4, 11])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_rows_may_be_padded_by_any_number_of_bytes(encoding: str, padding: int) -> None:
    picture = conversions.color_of(_message(encoding, padding))
    expected = np.repeat(PICTURE[..., :1], 3, -1) if encoding == "mono8" else PICTURE
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_step_shorter_than_a_row_is_refused(encoding: str) -> None:
    message = _message(encoding, 0)
    message.step -= 1
    with pytest.raises(ValueError, match="expected a step of at least"):
        conversions.color_of(message)
    message.data = message.data[: message.step * message.height]  # as much as such a step says
    with pytest.raises(ValueError, match="expected a step of at least"):
        conversions.color_of(message)
