"""The page for a data protection officer, made from an audit log only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from orpose_core.audit.trail import UNNAMED_MACHINE
from orpose_core.audit.verification import Verdict
from orpose_core.reports.pages import page, table

_LIMITS = (
    "resolution", "max_pixels", "max_input_pixels", "strict", "depth", "color", "compressed_color",
    "depth_with_color", "cameras", "model", "silence_s",
)  # fmt: skip
_STORED = {
    "label_node": "pseudo-labels, and the images that they belong to where it is told so; until they are "
    "deleted by hand",
    "audit_node": "this log; until it is deleted by hand",
    "lowres_gateway": "nothing",
    "pose_node": "nothing",
    "fusion_node": "nothing",
    "skeleton_markers": "nothing",
    "room_cameras": "nothing",
    "bridge_node": "nothing",
    "view_node": "nothing; it keeps the last low-resolution images and skeletons in memory",
    "bag_replay": "nothing; it reads a recording",
}
_ALWAYS = ("/parameter_events", "/rosout")


def audit_report(path: Path, verdict: Verdict) -> str:
    """Return the page in Markdown.

    Args:
        path: path of the log.
        verdict: result of its verification.
    """
    records = verdict.records
    graph = _Graph(records)
    return page(
        "audit_report",
        name=path.name,
        records=len(records),
        first=records[0]["time"] if records else "-",
        last=records[-1]["time"] if records else "-",
        head=str(verdict.head),
        faults=verdict.faults,
        remarks=verdict.remarks,
        compared=verdict.compared,
        leaving=table(("from", "to", "topic", "type", "largest message"), graph.leaving()),
        leaves=bool(list(graph.leaving())),
        flow=table(("topic", "type", "largest message", "sent by", "read by"), graph.flow()),
        nodes=table(("node", "started", "by", "on", "device"), graph.starts()),
        models=table(("model", "SHA-256 of the weights", "license", "device", "limit", "since"),
                     _models(records)),
        limits=table(("node", "limit", "value"), graph.limits()),
        changes=table(("time", "node", "parameter", "before", "after"), _changes(records)),
        changed=any(r["event"] == "parameter_changed" for r in records),
        refused=table(("node", "images refused"), _refused(records)),
        any_refused=any(r["event"] == "refused" for r in records),
        stored=table(("node", "what it stores"), graph.stored()),
        strangers=graph.strangers(),
        gaps=table(("from", "to", "why"), _gaps(records)),
        any_gaps=bool(list(_gaps(records))),
    )  # fmt: skip


class _Graph:
    """The newest state of nodes, topics and parameters in the log."""

    def __init__(self, records: Sequence[dict[str, Any]]) -> None:
        self.topics: dict[str, dict[str, Any]] = {}
        self.largest: dict[str, int] = {}
        self.nodes: dict[str, dict[str, Any]] = {}
        self.all_starts: list[dict[str, Any]] = []
        self.parameters: dict[str, dict[str, Any]] = {}
        for record in records:
            event = record["event"]
            if event == "topic":
                self.topics[record["topic"]] = _joined(self.topics.get(record["topic"]), record)
            elif event == "largest_message":
                topic = record["topic"]
                self.largest[topic] = max(record["bytes"], self.largest.get(topic, 0))
            elif event == "node_started":
                self.nodes[record["node"]] = record
                self.all_starts.append(record)
            elif event == "parameters":
                self.parameters[record["node"]] = dict(record["values"])
            elif event == "parameter_changed":
                self.parameters.setdefault(record["node"], {})[record["name"]] = record["value"]

    def leaving(self) -> Iterator[tuple[str, ...]]:
        """Yield the data flows between machines."""
        for name, topic in sorted(self.topics.items()):
            sources = sorted({end.rpartition("@")[2] for end in topic["publishers"]})
            targets = sorted({end.rpartition("@")[2] for end in topic["subscribers"]})
            for source in sources:
                for target in (t for t in targets if t != source):
                    yield source, target, f"`{name}`", ", ".join(topic["types"]), self.size(name)

    def flow(self) -> Iterator[tuple[str, ...]]:
        """Yield all topics except those that every ROS node has."""
        for name, topic in sorted(self.topics.items()):
            if name not in _ALWAYS and not name.endswith("/transition_event"):
                ends = (", ".join(topic[end]) or "-" for end in ("publishers", "subscribers"))
                yield f"`{name}`", ", ".join(topic["types"]), self.size(name), *ends

    def size(self, topic: str) -> str:
        """Return the size of the largest message of a topic as text."""
        return f"{self.largest[topic]:,} bytes" if topic in self.largest else "not read"

    def starts(self) -> Iterator[tuple[str, ...]]:
        """Yield every start of a node."""
        for start in self.all_starts:
            yield f"`{start['node']}`", start["at"], start["by"], start["machine"], start["device"] or "-"

    def limits(self) -> Iterator[tuple[str, ...]]:
        """Yield the limits of each node."""
        for node, values in sorted(self.parameters.items()):
            for name in _LIMITS:
                if name in values:
                    yield f"`{node}`", name, _words(values[name])

    def stored(self) -> Iterator[tuple[str, ...]]:
        """Yield the data that each node stores."""
        for node in sorted(self.nodes):
            yield (
                f"`{node}`",
                _STORED.get(_program(node), "not known to this report"),
            )

    def strangers(self) -> list[str]:
        """Return the nodes outside orpose that subscribe to its topics, with these topics."""
        found: dict[str, list[str]] = {}
        for name, topic in sorted(self.topics.items()):
            for end in topic["subscribers"]:
                node = end.rpartition("@")[0]
                if node not in self.nodes and name not in _ALWAYS:
                    found.setdefault(end, []).append(f"`{name}`")
        return [f"{end}: {', '.join(topics)}" for end, topics in sorted(found.items())]


def _joined(known: dict[str, Any] | None, record: dict[str, Any]) -> dict[str, Any]:
    """Return a topic with all publishers and subscribers that it ever had."""
    joined = {
        key: sorted({*(known or {}).get(key, ()), *record[key]})
        for key in ("types", "publishers", "subscribers")
    }
    for key in ("publishers", "subscribers"):
        named = {end.rpartition("@")[0] for end in joined[key] if not _is_nameless(end)}
        joined[key] = [e for e in joined[key] if not _is_nameless(e) or e.rpartition("@")[0] not in named]
    return joined


def _is_nameless(end: str) -> bool:
    """Return whether the machine of a publisher or subscriber was still unknown when it was recorded."""
    return end.rpartition("@")[2].startswith(UNNAMED_MACHINE)


def _program(node: str) -> str:
    return node.rpartition("/")[2]


def _models(records: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for r in records:
        if r["event"] == "model":
            name = r["name"] + ("" if r["trained"] else " (**not trained**)")
            limit = f"{r['max_pixels']} px" if r["max_pixels"] else "**none**"
            yield name, r["sha256"] or "-", r["licence"] or "-", r["device"], limit, r["time"]


def _changes(records: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for r in records:
        if r["event"] == "parameter_changed":
            yield r["time"], f"`{r['node']}`", r["name"], _words(r["before"]), _words(r["value"])


def _refused(records: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    counts: dict[str, int] = {}
    for r in records:
        if r["event"] == "refused":
            counts[r["node"]] = counts.get(r["node"], 0) + r["count"]
    for node, count in sorted(counts.items()):
        yield f"`{node}`", str(count)


def _gaps(records: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield the times at which no audit ran, and the records that were lost."""
    before: dict[str, Any] | None = None
    for r in records:
        if r["event"] == "log_opened" and before is not None:
            clean = before["event"] == "log_closed"
            why = "the audit node was stopped" if clean else "the audit node was killed, or its machine was"
            yield before["time"], r["time"], why
        elif r["event"] == "records_lost":
            yield "-", r["time"], f"{r['count']} records could not be written"
        if r["event"] != "torn_line":
            before = r


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return f"a {value['kind']} (SHA-256 begins with {value['sha256'][:12]})"
    if isinstance(value, list):
        return ", ".join(map(_words, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else "-" if value is None else str(value)
