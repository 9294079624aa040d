"""SROS 2 policies in XML, with an enclave for each node.

A node may do only what it uses; everything else is denied. The enclave ``/operator`` is for people: only it
may set parameters and change the state of nodes.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from pathlib import Path

from orpose_ros.security.uses import CAMERA, Uses

VERSION = "0.2.0"
OPERATOR = "/operator"
_EVERY_NODE = ("/parameter_events", "/rosout")
_WATCHED = ("/diagnostics", *_EVERY_NODE)
_RULES = (
    ("topics", "topic", "publish", "publishes"),
    ("topics", "topic", "subscribe", "subscribes"),
    ("services", "service", "reply", "replies"),
    ("services", "service", "request", "requests"),
)


def operator_of(uses: Iterable[Uses]) -> Uses:
    """Return the permissions of an operator: read the state of nodes, and call all their services."""
    services = {name for one in uses for name in one.replies if not one.node.endswith(f"/{CAMERA}")}
    return Uses(OPERATOR, _EVERY_NODE, _WATCHED, (), tuple(sorted(services)))


def policy_xml(uses: Sequence[Uses], about: str) -> str:
    """Return the policy.

    Args:
        uses: topics and services of each node.
        about: a comment on how the policy was made.
    """
    policy = ElementTree.Element("policy", version=VERSION)
    policy.append(ElementTree.Comment(f" {about} "))
    enclaves = ElementTree.SubElement(policy, "enclaves")
    for one in [*uses, operator_of(uses)]:
        namespace, _, name = one.node.rpartition("/")
        enclave = ElementTree.SubElement(enclaves, "enclave", path=one.node)
        profiles = ElementTree.SubElement(enclave, "profiles")
        profile = ElementTree.SubElement(profiles, "profile", ns=namespace or "/", node=name)
        for kind, item, right, end in _RULES:
            if names := getattr(one, end):
                rule = ElementTree.SubElement(profile, kind, {right: "ALLOW"})
                for allowed in names:
                    ElementTree.SubElement(rule, item).text = allowed
    ElementTree.indent(policy)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(policy, encoding="unicode")}\n'


def read_policy(file: Path) -> dict[str, Uses]:
    """Return the permissions of a policy by enclave."""
    found = {}
    for enclave in ElementTree.parse(file).getroot().iter("enclave"):
        rights = {
            end: tuple(
                sorted(str(e.text) for rule in enclave.iter(kind) if rule.get(right) == "ALLOW" for e in rule)
            )
            for kind, _, right, end in _RULES
        }
        found[enclave.attrib["path"]] = Uses(enclave.attrib["path"], **rights)
    return found
