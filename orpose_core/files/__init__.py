"""Files read and written with care: damage is named, and files appear whole or not at all."""

from orpose_core.files.atomic import (
    remove_temporaries,
    replacing,
    write_bytes,
    write_text,
)
from orpose_core.files.depth import MILLIMETRE_M, metres, millimetres, read_depth, write_depth
from orpose_core.files.images import MOST_PIXELS, decode_image, image_size_hw, read_color, write_picture
from orpose_core.files.json_files import read_json, write_json
from orpose_core.files.line_log import LineLog
from orpose_core.files.locking import lock_alone
from orpose_core.files.own_output import file_name, is_own_output, mark_own_output
from orpose_core.files.strangers import refuse_stranger, stranger
from orpose_core.files.yaml_files import read_yaml

__all__ = [
    "MILLIMETRE_M",
    "MOST_PIXELS",
    "LineLog",
    "decode_image",
    "file_name",
    "image_size_hw",
    "is_own_output",
    "lock_alone",
    "mark_own_output",
    "metres",
    "millimetres",
    "read_color",
    "read_depth",
    "read_json",
    "read_yaml",
    "refuse_stranger",
    "remove_temporaries",
    "replacing",
    "stranger",
    "write_bytes",
    "write_depth",
    "write_json",
    "write_picture",
    "write_text",
]
