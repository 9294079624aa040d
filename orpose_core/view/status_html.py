"""What stands beside the pictures: how many people, when, and what was dropped or came late."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from html import escape

from orpose_core.view.history import CameraState, History, Snapshot

_LATE_S = 0.5
_SILENT_S = 1.0
_SLOTS = 240
"""Columns of the strip: in each it says whether a camera had an image there."""

_GOOD, _BAD, _QUIET = "#3fb68b", "#e5534b", "#8a93a5"
_PLAUSIBLE_NS = 1_000_000_000 * 86_400 * 365  # earlier stamps do not count from 1970


def summary_html(snapshot: Snapshot, people_in_space: int, begin_ns: int, live: bool) -> str:
    """Return how many people are seen, and when; the numbers stand in elements of their own."""
    seen = sum(view.people for view in snapshot.views.values())
    stamp = snapshot.stamp_ns
    clock = ""
    if stamp > _PLAUSIBLE_NS:
        clock = datetime.fromtimestamp(stamp / 1e9, timezone.utc).strftime(" (%Y-%m-%d %H:%M:%S UTC)")
    room = len(snapshot.room) if snapshot.room is not None else people_in_space
    where = "in the room" if snapshot.room is not None else "in space"
    return (
        '<div style="padding:0.2em 0.6em">'
        f'<div style="font-size:1.5em;font-weight:600"><span id="orpose-people">{room}</span> '
        f'<span style="font-size:0.6em;font-weight:400">{_people(room)} {where}, '
        f'<span id="orpose-seen">{seen}</span> in the images</span></div>'
        f'<div style="opacity:0.8"><span id="orpose-time">{max(stamp - begin_ns, 0) / 1e9:.2f}</span> s'
        f"{clock}{' · live' if live else ''}</div></div>"
    )


def states_html(states: Mapping[str, CameraState], answered: bool) -> str:
    """Return a table of how the cameras fare.

    Args:
        states: by camera.
        answered: whether it is live, so that there is latency and silence.
    """
    head = "<th style='text-align:left'>camera</th><th>Hz</th>"
    head += "<th>late</th><th>dropped</th>" if answered else "<th>left out</th>"
    rows = "".join(_row(name, state, answered) for name, state in states.items())
    return (
        '<table style="width:100%;border-spacing:0 2px;padding:0 0.6em;text-align:right">'
        f"<tr style='opacity:0.7'>{head}</tr>{rows}</table>"
    )


def _row(name: str, state: CameraState, answered: bool) -> str:
    cells = f"<td style='text-align:left'>{escape(name or 'camera')}</td>"
    if answered and state.silent_s > _SILENT_S:
        cells += f"<td style='color:{_BAD}'>silent {state.silent_s:.0f} s</td>"
    else:
        cells += f"<td>{state.rate_hz:.1f}</td>"
    if answered:
        late = "-" if state.latency_s is None else f"{1e3 * state.latency_s:.0f} ms"
        color = _BAD if (state.latency_s or 0) > _LATE_S else "inherit"
        cells += f"<td style='color:{color}'>{late}</td>"
    color = _BAD if state.dropped else "inherit"
    cells += f"<td style='color:{color}' data-dropped='{state.dropped}'>{state.dropped}</td>"
    return f"<tr>{cells}</tr>"


def strip_svg(history: History, begin_ns: int, end_ns: int, at_ns: int) -> str:
    """Return a strip over the whole time: where each camera had images, and where nobody looked at them."""
    names = list(history.states())
    span = max(end_ns - begin_ns, 1)
    height = 8 * max(len(names), 1)
    parts = [
        f'<svg viewBox="0 0 {_SLOTS} {height}" width="100%" height="{1.6 * height:.0f}" '
        'preserveAspectRatio="none" style="padding:0 0.6em;box-sizing:border-box">'
    ]
    for row, name in enumerate(names):
        slots = bytearray(_SLOTS)
        for stamp, looked in history.stamps(name):
            slot = min(int((stamp - begin_ns) / span * _SLOTS), _SLOTS - 1)
            if slot >= 0:
                slots[slot] = max(slots[slot], 1) if looked else 2
        y = 8 * row + 1
        parts.append(f'<rect x="0" y="{y}" width="{_SLOTS}" height="6" fill="{_QUIET}" opacity="0.25"/>')
        for kind, color in ((1, _GOOD), (2, _BAD)):
            path = "".join(f"M{k} {y}h1v6h-1z" for k in range(_SLOTS) if slots[k] == kind)
            if path:
                parts.append(f'<path d="{path}" fill="{color}"/>')
    x = (at_ns - begin_ns) / span * _SLOTS
    parts.append(f'<rect x="{x:.2f}" y="0" width="1" height="{height}" fill="#fff" stroke="#12141a" '
                 'stroke-width="0.4"/></svg>')  # fmt: skip
    return "".join(parts)


def _people(count: int) -> str:
    return "person" if count == 1 else "people"
