"""`import orpose_core` gives the public names, and costs nothing until one of them is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import orpose_core


@pytest.mark.parametrize("name", orpose_core.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(orpose_core, name)
    assert name in dir(orpose_core)
    if callable(value):
        assert value.__doc__ and value.__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'orpose_core' has no attribute 'load_model'"):
        orpose_core.load_model  # noqa: B018


def modules_after(program: str) -> set[str]:
    code = f"import sys\n{program}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = {"numpy", "torch", "cv2", "numba", "scipy", "matplotlib", "jsonargparse", "yaml"}
    assert not heavy & modules_after("import orpose_core")
    help_asked = "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass"
    assert not heavy & modules_after(f"from orpose_core import cli\n{help_asked}")
    assert "torch" not in modules_after("from orpose_core import Poses, COCO17")


def test_a_star_import_gives_every_name() -> None:
    modules_after(
        f"from orpose_core import *\nassert all(name in globals() for name in {orpose_core.__all__})"
    )
