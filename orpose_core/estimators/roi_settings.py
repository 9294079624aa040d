"""What a student's weights file says of how its people are read: its thresholds.

They are in the file's header as JSON, ``roi_decoder``: the settings of
:class:`~orpose_core.decoding.roi.RoiDecoderConfig` that differ from the defaults. A file without them is read
with the defaults.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields

from orpose_core.decoding.roi import RoiDecoderConfig

_KEY = "roi_decoder"


def roi_decoder_of(name: str, metadata: Mapping[str, str]) -> RoiDecoderConfig:
    """Read the strings of a weights file's header; ValueError names the file ``name``."""
    if _KEY not in metadata:
        return RoiDecoderConfig()
    try:
        return RoiDecoderConfig(**json.loads(metadata[_KEY]))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{name}: its header holds no {_KEY} settings: {error}") from None


def roi_header(decoder: RoiDecoderConfig) -> dict[str, str]:
    """Return the strings that :func:`roi_decoder_of` reads."""
    changed = {
        f.name: getattr(decoder, f.name) for f in fields(decoder) if getattr(decoder, f.name) != f.default
    }
    return {_KEY: json.dumps(changed, sort_keys=True)} if changed else {}
