"""The floors of the house: each part imports only what stands below it, and the core no ROS at all."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

# From the top down; parts on one line do not import each other. A part is a module or a package of
# orpose_core.
FLOORS = (
    ("orpose_ros",),
    ("__init__",),  # the public names; nothing inside imports them from there
    ("cli",),
    ("commands",),
    ("view",),
    ("benchmarking", "demo", "doctor", "exporting"),
    ("adaptation",),
    ("reports",),
    ("training",),
    ("labelling",),
    ("estimation",),
    ("teacher",),
    ("evaluation",),
    ("fusion",),
    ("estimators",),
    ("simulation",),
    ("data",),
    ("tracking", "render"),
    ("decoding",),
    ("metrics",),
    ("engines",),
    ("audit", "checkpoints"),
    ("geometry", "rotation"),
    ("image_ops", "undistortion"),
    ("types",),
    ("skeleton",),
    ("files", "resources"),
    ("models",),
    ("compile_cache",),
)
HEIGHT = {part: len(FLOORS) - i for i, floor in enumerate(FLOORS) for part in floor}
ROS = {
    "rclpy", "launch", "launch_ros", "cv_bridge", "message_filters", "tf2_ros", "rosidl_runtime_py",
    "orpose_ros", "ament_index_python",
}  # fmt: skip


def _imports(file: Path) -> list[tuple[int, str]]:
    """Return (line, dotted name) of every import in a file, those inside functions included."""
    found = []
    package = file.relative_to(REPOSITORY).with_suffix("").parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level]) + "." if node.level else ""
            name = base + (node.module or "")
            found += [(node.lineno, f"{name}.{alias.name}") for alias in node.names]
    return found


def _part(name: str) -> str | None:
    """Return the part of the house that a dotted name belongs to, None where it is somebody else's."""
    parts = name.split(".")
    if parts[0] == "orpose_ros":
        return "orpose_ros"
    if parts[0] != "orpose_core" or len(parts) == 1 or parts[1] == "__version__":
        return None
    return parts[1] if parts[1] in HEIGHT else "__init__"


def _violations(files: list[Path]) -> list[str]:
    wrong = []
    for file in files:
        inside = file.relative_to(REPOSITORY)
        own = _part(".".join(inside.with_suffix("").parts))
        if own is None:
            own = "orpose_core itself"
        for line, name in _imports(file):
            other = _part(name)
            if own != "orpose_ros" and (name.split(".")[0] in ROS or name.split(".")[0].endswith("_msgs")):
                wrong.append(f"{inside}:{line} imports ROS: {name}")
            elif other in HEIGHT and other != own and HEIGHT[other] >= HEIGHT.get(own, 0):
                wrong.append(f"{inside}:{line} ({own}) imports {name}, which does not stand below it")
    return wrong


def _files() -> list[Path]:
    return sorted([*(REPOSITORY / "orpose_core").rglob("*.py"), *(REPOSITORY / "orpose_ros").rglob("*.py")])


def test_every_part_has_a_floor():
    parts = {
        p.stem
        for p in (REPOSITORY / "orpose_core").iterdir()
        if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert parts - {"__init__", "__main__"} <= set(HEIGHT)


def test_each_part_imports_only_what_stands_below_it():
    wrong = _violations(_files())
    assert not wrong, "\n".join(wrong)


def test_the_training_engine_knows_nothing_of_what_it_trains():
    rooms = {p.stem for p in (REPOSITORY / "orpose_core/training").iterdir()} - {"engine", "__init__"}
    wrong = [
        f"{file.name}:{line} imports {name}"
        for file in sorted((REPOSITORY / "orpose_core/training/engine").glob("*.py"))
        for line, name in _imports(file)
        if name.startswith("orpose_core.training.") and name.split(".")[2] in rooms
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("skeleton.py", "from orpose_core.types import Poses"),
        ("models/x.py", "from orpose_core.skeleton import COCO17"),
        ("commands/x.py", "from orpose_core import load_estimator"),
        ("metrics/x.py", "import rclpy"),
        ("data/x.py", "def f():\n    from sensor_msgs.msg import Image"),
        ("types.py", "from orpose_core import geometry"),
        ("tracking.py", "from orpose_core.render import draw_poses"),
    ],
)
def test_a_wrong_import_is_found(tmp_path, monkeypatch, place, line):
    file = tmp_path / "orpose_core" / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(line)
    monkeypatch.setitem(globals(), "REPOSITORY", tmp_path)
    assert len(_violations([file])) == 1


MOST_MODULES, MOST_LINES = 15, 350


def test_rooms_and_modules_stay_small():
    large = [
        f"{p.relative_to(REPOSITORY)}: {n} lines"
        for p in _files()
        if (n := len(p.read_text().splitlines())) > MOST_LINES
    ]
    folders = {p.parent for p in _files()}
    large += [
        f"{folder.relative_to(REPOSITORY)}: {n} modules"
        for folder in sorted(folders)
        if folder.name != "commands"  # one thin module for each subcommand
        if (n := sum(p.name != "__init__.py" for p in folder.glob("*.py"))) > MOST_MODULES
    ]
    assert not large, "\n".join(large)


def _module(file: Path) -> str:
    parts = file.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _first_imports(file: Path) -> set[str]:
    """Return the dotted names that a module imports when it is imported itself."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _circles(files: list[Path]) -> list[str]:
    modules = {_module(file): file for file in files}
    graph = {name: _first_imports(file) & set(modules) - {name} for name, file in modules.items()}
    try:
        tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_itself_through_others():
    assert not _circles(_files())


def test_a_circle_is_found(tmp_path, monkeypatch):
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.py").write_text(f"from {other} import x")
    monkeypatch.setitem(globals(), "REPOSITORY", tmp_path)
    assert set(_circles(sorted(tmp_path.glob("*.py")))) == {"a", "b"}


def test_every_node_runs_with_python_m() -> None:
    nodes = [path for path in (REPOSITORY / "orpose_ros").glob("*.py") if "\ndef main(" in path.read_text()]
    assert {"lowres_gateway", "pose_node", "fusion_node"} <= {path.stem for path in nodes}
    guard = '\n\nif __name__ == "__main__":\n    main()\n'
    assert [path.stem for path in nodes if not path.read_text().endswith(guard)] == []
