"""A folder with what Ubuntu 24.04 and ROS 2 Jazzy have: a Python that pip must not change, and ROS beside it.

Python, pip, venv, colcon, CMake, ROS's packages and all that orpose depends on are real: links lead to the
packages of the environment that runs the tests. Stand-ins are there for what a test may not use: ``apt``,
``sudo`` and ``rosdep`` copy folders instead of downloading, ``setup.bash`` names the folders of ROS, and a
folder of wheels replaces the package index. A wheel there has the version and the requirements of a package,
and installs a link to it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"

MANAGED = "[externally-managed]\nError=Use apt, or an environment of your own (PEP 668).\n"

OLD = {"python3-scipy": ("scipy", "1.11.4"), "python3-matplotlib": ("contourpy", "1.0.7")}
"""Modules of apt that are compiled for NumPy 1: new enough for orpose, but no use beside NumPy 2."""

APT = """#!/bin/bash
[ "$1" = install ] || exit 100
for package in "${@:2}"; do
    [ -d "$ROOT/archive/$package" ] || { echo "E: Unable to locate package $package" >&2; exit 100; }
    cp -a "$ROOT/archive/$package/." "$ROOT/"
done
"""

SUDO = """#!/bin/bash
unset VIRTUAL_ENV PYTHONPATH
PATH="$ROOT/usr/bin:/usr/bin:/bin" exec "$@"
"""

ROSDEP = """#!PYTHON
import argparse, re, subprocess, sys
from pathlib import Path
parser = argparse.ArgumentParser()
parser.add_argument("command", choices=["init", "update", "install"])
parser.add_argument("--from-paths", type=Path)
parser.add_argument("--ignore-src", action="store_true")
parser.add_argument("--skip-keys", default="")
parser.add_argument("-y", action="store_true")
options = parser.parse_args()
if options.command != "install":
    sys.exit()
for file in options.from_paths.rglob("package.xml"):
    keys = re.findall(r"<\\w*depend>(.*)</\\w*depend>", file.read_text())
    for key in sorted(set(keys) - set(options.skip_keys.split())):
        pip = re.fullmatch("python3-(.*)-pip", key)
        if pip:
            subprocess.run(["sudo", "pip3", "install", pip[1]], check=True)
        elif Path("ROOT/archive", key).is_dir():
            subprocess.run(["sudo", "apt", "install", key], check=True)
"""

SETUP = """export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
export PYTHONPATH={prefix}/lib/{version}/site-packages
export LD_LIBRARY_PATH={libraries}
export AMENT_PREFIX_PATH={prefix} CMAKE_PREFIX_PATH={prefix}
"""


@dataclass(frozen=True)
class Machine:
    """The folder, and the variables with which a shell uses it."""

    root: Path
    variables: dict[str, str]

    @property
    def home(self) -> Path:
        """The home folder of the user."""
        return self.root / "home"

    def shell(self, script: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the lines of a script in a new shell, up to the first that fails."""
        checked = (f'{line}\n[ $? = 0 ] || {{ echo "failed: line {i}" >&2; exit 1; }}'
                   for i, line in enumerate(script.splitlines(), 1) if line.strip())  # fmt: skip
        return subprocess.run(
            ["bash", "--norc", "-c", "\n".join(checked)], cwd=folder or self.home, env=self.variables,
            capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def installed(self) -> set[str]:
        """Return what is installed for everybody, apart from what apt can bring: paths below the root."""
        archive = self.root / "archive"
        brought = {_inside(p, package) for package in archive.iterdir() for p in package.rglob("*")}
        own = (p for top in ("usr", "opt") for p in (self.root / top).rglob("*"))
        return {_inside(p, self.root) for p in own if "__pycache__" not in p.parts} - brought


def _inside(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def make_machine(root: Path) -> Machine:
    """Make the folder."""
    binaries, packages = _make_python(root)
    names = {_name(distribution) for distribution in metadata.distributions()}
    ros_like = _closure(name for name in names if name.startswith("ros-"))
    _make_ros(root / "opt/ros/jazzy", [d for d in ros_like if _name(d).startswith("ros-")])
    for distribution in (*(d for d in ros_like if not _name(d).startswith("ros-")), *_closure(["pip"])):
        _link(distribution, packages)
    for name in ("pip", "pip3"):
        _program(binaries / name, _entry(root, "pip._internal.cli.main:main"))
    _program(binaries / "sudo", SUDO)
    _program(binaries / "apt", APT)
    _make_archive(root, packages)
    (root / "home").mkdir()
    path = [p for p in os.environ["PATH"].split(os.pathsep) if p != str(Path(sys.prefix, "bin"))]
    dropped = ("PYTHON", "AMENT_", "CMAKE_", "COLCON_", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PIP_", "_ROS_")
    kept = {n: v for n, v in os.environ.items() if not n.startswith(dropped)}
    return Machine(
        root,
        kept | {
            "ROOT": str(root), "HOME": str(root / "home"), "PATH": os.pathsep.join([str(binaries), *path]),
            "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(root / "index"), "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        },
    )  # fmt: skip


def make_index(root: Path, requirements: Iterable[str]) -> None:
    """Put wheels of what is required, and of what that requires, into the folder that pip looks into."""
    (root / "index").mkdir()
    for distribution in _closure(requirements):
        name = _name(distribution).replace("-", "_").replace(".", "_")
        unpacked = root / "index" / "unpacked" / name
        unpacked.mkdir(parents=True)
        _link(distribution, unpacked, with_metadata=False)
        info = f"{name}-{distribution.version}.dist-info"
        content = {
            f"{name}.pth": f"{unpacked}\n",
            f"{info}/METADATA": distribution.read_text("METADATA"),
            f"{info}/entry_points.txt": distribution.read_text("entry_points.txt") or "",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        content[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in (*content, f"{info}/RECORD"))
        file = root / "index" / f"{name}-{distribution.version}-py3-none-any.whl"
        with zipfile.ZipFile(file, "w") as wheel:
            for path, text in content.items():
                wheel.writestr(path, text)


def _make_python(root: Path) -> tuple[Path, Path]:
    """Make a Python of the machine's own; return the folders of its programs and of its packages."""
    binaries, library = root / "usr" / "bin", root / "usr" / "lib" / VERSION
    binaries.mkdir(parents=True)
    library.mkdir(parents=True)
    shutil.copy2(Path(sys._base_executable).resolve(), binaries / VERSION)
    (binaries / "python3").symlink_to(VERSION)
    own = {"site-packages", "dist-packages", "EXTERNALLY-MANAGED", "ensurepip"}
    for entry in Path(sysconfig.get_path("stdlib")).iterdir():
        if entry.name not in own:
            (library / entry.name).symlink_to(entry)
    (library / "EXTERNALLY-MANAGED").write_text(MANAGED)
    ask = "import site; print(site.getsitepackages()[-1])"
    asked = subprocess.run(
        [binaries / "python3", "-I", "-c", ask], capture_output=True, text=True, check=True
    )
    packages = Path(asked.stdout.strip())
    assert packages.is_relative_to(root), packages
    packages.mkdir(parents=True, exist_ok=True)
    return binaries, packages


def _make_ros(prefix: Path, distributions: Iterable[metadata.Distribution]) -> None:
    """Make /opt/ros/jazzy: links to ROS's packages, and its setup.bash."""
    packages = prefix / "lib" / VERSION / "site-packages"
    packages.mkdir(parents=True)
    for distribution in distributions:
        _link(distribution, packages, with_metadata=False)
    for entry in Path(sys.prefix, "lib").iterdir():
        if not entry.name.startswith("python"):
            (prefix / "lib" / entry.name).symlink_to(entry)
    for name in ("share", "include"):
        (prefix / name).symlink_to(Path(sys.prefix, name))
    libraries = ":".join(map(str, [prefix / "lib", *sorted(packages.glob("ros_*.libs"))]))
    text = SETUP.format(prefix=prefix, version=VERSION, libraries=libraries)
    (prefix / "setup.bash").write_text(text)


def _make_archive(root: Path, packages: Path) -> None:
    """Make the folders that apt copies from."""
    (root / "archive/build-essential").mkdir(parents=True)  # every machine that runs the tests has it
    for package, folder, name, source in (
        ("python3-venv", f"usr/lib/{VERSION}", "ensurepip", Path(sysconfig.get_path("stdlib"), "ensurepip")),
        ("python3-dev", "usr/include", VERSION, Path(sysconfig.get_path("include"))),
    ):
        (root / "archive" / package / folder).mkdir(parents=True)
        (root / "archive" / package / folder / name).symlink_to(source)
    tools = root / "archive/ros-dev-tools"
    modules = tools / packages.relative_to(root)
    modules.mkdir(parents=True)
    for distribution in _closure(["colcon-common-extensions", "catkin_pkg"]):
        _link(distribution, modules, apart_from=packages)
    (tools / "usr/bin").mkdir(parents=True)
    _program(tools / "usr/bin/colcon", _entry(root, "colcon_core.command:main"))
    python = str(root / "usr/bin/python3")
    _program(tools / "usr/bin/rosdep", ROSDEP.replace("PYTHON", python, 1).replace("ROOT", str(root)))
    for package, (module, version) in OLD.items():
        folder = root / "archive" / package / packages.relative_to(root)
        (folder / module).mkdir(parents=True)
        (folder / module / "__init__.py").write_text("raise ImportError('compiled for NumPy 1')\n")
        (folder / f"{module}-{version}.dist-info").mkdir()
        about = f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n"
        (folder / f"{module}-{version}.dist-info" / "METADATA").write_text(about)


def _program(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


def _entry(root: Path, function: str) -> str:
    module, name = function.split(":")
    return f"#!{root}/usr/bin/python3\nfrom {module} import {name}\nraise SystemExit({name}())\n"


def _name(distribution: metadata.Distribution) -> str:
    return distribution.metadata["Name"]


def _closure(requirements: Iterable[str]) -> list[metadata.Distribution]:
    """Return the distributions that are required, and those that they require in turn."""
    found: dict[tuple[str, frozenset[str]], metadata.Distribution] = {}
    left = [Requirement(r) for r in requirements]
    while left:
        wanted = left.pop()
        distribution = metadata.distribution(wanted.name)
        key = (_name(distribution), frozenset(wanted.extras))
        if key in found or key[0] == "ros-wheels-bootstrapper":  # setup.bash does its work
            continue
        found[key] = distribution
        left += [
            more
            for more in map(Requirement, distribution.requires or ())
            if more.marker is None or any(more.marker.evaluate({"extra": e}) for e in ("", *wanted.extras))
        ]
    return list({_name(d): d for d in found.values()}.values())


def _link(
    distribution: metadata.Distribution,
    folder: Path,
    *,
    with_metadata: bool = True,
    apart_from: Path | None = None,
) -> None:
    """Link the modules of a distribution into a folder, as far as they are not there already."""
    tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    for top in tops:
        there = any((where / top).exists() for where in (folder, apart_from) if where)
        if there or top.endswith(".pth") or (top.endswith(".dist-info") and not with_metadata):
            continue
        (folder / top).symlink_to(Path(str(distribution.locate_file(top))))
