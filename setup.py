"""Adds the files beside the code to the wheel; everything else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

RESOURCES = (
    "weights/*.safetensors",
    "weights/*.md",
    "training/*.yaml",
    "msg/*.msg",
    "config/*.xml",
    "config/*.yaml",
    "rviz/*.rviz",
)
INTO = Path("orpose_core", "share")


class BuildWithResources(build_py):
    """Copies the resources into ``orpose_core/share``, where ``orpose_core.resources`` looks for them.

    An editable installation needs no copy: there they are found in the checkout.
    """

    def run(self) -> None:
        """Build the modules afresh, then copy the resources."""
        if not self.editable_mode:
            shutil.rmtree(Path(self.build_lib, "orpose_core"), ignore_errors=True)  # modules that have moved
        super().run()
        if not self.editable_mode:
            for source, target in self._resources():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def get_source_files(self) -> list[str]:
        """Name what a source distribution must contain."""
        return [*super().get_source_files(), *(str(source) for source, _ in self._resources())]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Name what a build makes."""
        made = [] if self.editable_mode else [str(target) for _, target in self._resources()]
        return [*super().get_outputs(include_bytecode), *made]

    def _resources(self) -> list[tuple[Path, Path]]:
        sources = sorted(source for pattern in RESOURCES for source in Path().glob(pattern))
        return [(source, Path(self.build_lib) / INTO / source) for source in sources]


setup(cmdclass={"build_py": BuildWithResources})
