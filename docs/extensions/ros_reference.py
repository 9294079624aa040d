"""Reference pages that are generated: messages, parameters, the command line, and the floors of the code.

Messages come from `msg/`, parameters from the dataclasses that the nodes declare, commands from their
parsers, and floors from the test that enforces them.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
GENERATED = REPOSITORY / "docs" / "_generated"


def messages_page() -> str:
    """Return the reference of all messages, as Markdown."""
    parts = ["# Messages", "Every field is commented with its unit, its frame and its missing value.\n"]
    parts += [
        f"## {file.stem}\n\n```\n{file.read_text(encoding='utf-8').rstrip()}\n```\n"
        for file in sorted((REPOSITORY / "msg").glob("*.msg"))
    ]
    return "\n".join(parts)


def _parameter_classes() -> list[type]:
    """Return the dataclasses of orpose_ros whose fields are ROS parameters, in the order of their modules."""
    import orpose_ros

    found: dict[str, type] = {}
    # Generated messages, a program that starts by itself, what only launch files import, and what imports
    # packages that need not be installed.
    others = ("orpose_ros.msg", "orpose_ros.demo", "orpose_ros.launching", "orpose_ros.bridges")
    modules = pkgutil.walk_packages(orpose_ros.__path__, "orpose_ros.", onerror=lambda _: None)
    for module in sorted(m.name for m in modules if not m.name.startswith(others)):
        for _, value in inspect.getmembers(importlib.import_module(module), inspect.isclass):
            if dataclasses.is_dataclass(value) and any(
                "description" in f.metadata for f in dataclasses.fields(value)
            ):
                found.setdefault(f"{value.__module__}.{value.__qualname__}", value)
    return list(found.values())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _range(metadata: Any) -> str:
    if metadata["choices"]:
        return ", ".join(f"`{choice}`" for choice in metadata["choices"])
    if metadata["low"] is None and metadata["high"] is None:
        return ""
    low, high = (("" if metadata[k] is None else f"{metadata[k]:g}") for k in ("low", "high"))
    return f"{low} to {high}" if low and high else (f"at least {low}" if low else f"at most {high}")


def _default(field: dataclasses.Field) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "required"
    return f"`{list(value)!r}`" if isinstance(value, tuple) else f"`{value!r}`"


def parameters_page() -> str:
    """Return the reference of all parameters, as Markdown."""
    parts = [
        "# Parameters",
        "Parameters marked *live* can be set while the node runs. Others are read once, before it starts.\n",
    ]
    for cls in _parameter_classes():
        summary = (cls.__doc__ or "").strip().splitlines()[0]
        parts.append(f"## {cls.__name__}\n\n`{cls.__module__}`: {summary}\n")
        parts.append("| parameter | default | values | live | what it does |\n|---|---|---|---|---|")
        for field in dataclasses.fields(cls):
            about = field.metadata
            if "description" in about:
                live = "yes" if about["live"] else ""
                row = (f"`{field.name}`", _default(field), _range(about), live, about["description"])
                parts.append("| " + " | ".join(map(_cell, row)) + " |")
        parts.append("")
    return "\n".join(parts)


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def commands_page() -> str:
    """Return the reference of the command line, as Markdown."""
    from orpose_core.cli import build_parser

    parser = build_parser()
    parts = [f"# The `orpose` command\n\n```text\n{parser.format_help()}```\n"]
    for name, sub in _subparsers(parser).items():
        parts.append(f"## orpose {name}\n\n```text\n{sub.format_help()}```\n")
        parts += [f"```text\n{inner.format_help()}```\n" for inner in _subparsers(sub).values()]
    return "\n".join(parts)


def _floors() -> list[tuple[str, ...]]:
    """Return the floors of the code, from the top down."""
    source = (REPOSITORY / "test" / "package" / "test_floors.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "FLOORS":
            return ast.literal_eval(node.value)
    raise ValueError("test/package/test_floors.py: expected a table FLOORS")


def _first_line(part: str) -> str:
    """Return the first line of the docstring of a module or package."""
    place = REPOSITORY / part if part == "orpose_ros" else REPOSITORY / "orpose_core" / part
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def floors_page() -> str:
    """Return the table of the floors, as Markdown."""
    rows = ["| part | what it holds |", "|---|---|"]
    for floor in _floors():
        rows += [f"| `{part}` | {_cell(_first_line(part))} |" for part in floor]
    return "\n".join(rows) + "\n"


def _write_pages(app: Any) -> None:
    GENERATED.mkdir(exist_ok=True)
    pages = {"messages": messages_page(), "parameters": parameters_page(), "commands": commands_page()}
    pages["floors"] = floors_page()
    for name, content in pages.items():
        (GENERATED / f"{name}.md").write_text(content, encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("builder-inited", _write_pages, priority=200)
    return {"parallel_read_safe": True, "version": "1"}
