"""Parameters of a configuration that launch arguments override."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orpose_core.files.yaml_files import read_yaml

_PARAMETERS = "ros__parameters"
_ANY_NODE = ("*", "**")


def overridden(config: Path, arguments: Mapping[str, Sequence[str]], given: Mapping[str, str]) -> list[str]:
    """Return a sentence for each parameter in a configuration that a launch argument overrides.

    Args:
        config: a file of parameters, as ROS 2 reads it: by name of the node, of which the namespace may be a
            level of its own, and ``*`` and ``**`` are any.
        arguments: by node, the arguments that are parameters of the same name.
        given: values of the arguments; an empty one overrides nothing.

    Raises:
        ValueError: names the file; it is no YAML, or not of that form.
    """
    try:
        content = read_yaml(config)
    except (OSError, ValueError) as error:
        raise ValueError(f"config:={config}: cannot be read: {error}") from None
    return [
        f"{config} sets {name} of {node} to {values[name]}, but the launch argument {name}:={given[name]} "
        "overrides it"
        for path, values in _sections(config, content, "")
        for node, names in arguments.items()
        if path.rpartition("/")[2] in (node, *_ANY_NODE)
        for name in names
        if given[name] and name in values and str(values[name]).lower() != given[name].lower()
    ]


def _sections(config: Path, content: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name of each node with its parameters; an empty section has none."""
    if content is None:
        return
    if not isinstance(content, dict):
        where = f"below {path}" if path else "in the file"
        raise ValueError(f"config:={config}: expected names with values {where}, got {content!r:.60}")
    for key, below in content.items():
        if key != _PARAMETERS:
            yield from _sections(config, below, f"{path}/{key}" if path else str(key))
        elif below is None or isinstance(below, dict):
            yield path, below or {}
        else:
            raise ValueError(
                f"config:={config}: expected parameters with values in {_PARAMETERS} of {path}, "
                f"got {below!r:.60}"
            )
