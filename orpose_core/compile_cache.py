"""Where numba keeps what it compiles, and what of it must be compiled again."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import MutableMapping
from pathlib import Path


def choose_compile_cache(package: Path, environment: MutableMapping[str, str]) -> None:
    """Set ``NUMBA_CACHE_DIR`` to a folder of this user's own where numba would find none and refuse to start.

    Must be called before numba is imported.

    Args:
        package: folder of the package, in which numba caches first.
        environment: of this process.
    """
    if environment.get("NUMBA_CACHE_DIR") or _can_be_written(package):
        return
    home = environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (no home, no error)
    if not _can_be_written(Path(home) / "numba"):
        environment["NUMBA_CACHE_DIR"] = _own_temporary_folder()


def forget_outdated(package: Path) -> None:
    """Delete the compiled functions in a package that are older than code or constants that they contain.

    Numba looks whether a function's own file has changed. It does not look at the files of the functions and
    constants that it compiled into it. Those are in the same room, a folder directly below the package, or
    in a module of the package itself.

    Args:
        package: folder of the package.
    """
    try:
        shared = max((f.stat().st_mtime_ns for f in package.glob("*.py")), default=0)
        for room in (f for f in package.iterdir() if (f / "__init__.py").is_file()):
            compiled = list(room.rglob("__pycache__/*.nbi"))
            if compiled:
                newest = max(shared, *(f.stat().st_mtime_ns for f in room.rglob("*.py")))
                for index in (f for f in compiled if f.stat().st_mtime_ns < newest):
                    index.unlink(missing_ok=True)
    except OSError:  # not ours to change, or another process does the same
        return


def _can_be_written(folder: Path) -> bool:
    """Whether a folder can be written, or made."""
    there = next((f for f in (folder, *folder.parents) if f.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK)


def _own_temporary_folder() -> str:
    """Return a folder that nobody else can write: what is cached is code."""
    folder = Path(tempfile.gettempdir()) / f"orpose-compiled-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return str(folder)
    except OSError:
        pass
    return tempfile.mkdtemp(prefix="orpose-compiled-")
