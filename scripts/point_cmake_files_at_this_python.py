"""Points the CMake files of the ROS wheels at the headers of this Python.

The wheels export the include folders of the machine that built them (/opt/python/cp3XX-cp3XX/...); CMake
stops at a folder that is not there.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy as np

_PYTHON = re.compile(r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+")
_NUMPY = re.compile(r"/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy/_?core/include")


def main() -> None:
    """Rewrite every CMake file below <prefix>/share that names a folder of the build machine."""
    for file in Path(sys.prefix, "share").rglob("*.cmake"):
        text = file.read_text()
        rewritten = _NUMPY.sub(np.get_include(), text)
        rewritten = _PYTHON.sub(sysconfig.get_paths()["include"], rewritten)
        if rewritten != text:
            file.write_text(rewritten)


if __name__ == "__main__":
    main()
