"""Weights of the teacher's stages that are published: what to fetch, and, when asked for, fetching it.

Nothing here touches the network but :func:`fetch`. torchvision publishes the first 8 digits of each file's
sha256, as the end of its name, and no full sha256; that prefix is what can be checked.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from torchvision.models import detection, get_model_weights, list_models

from orpose_core.files import replacing

_CHUNK = 1 << 20
_SILENCE_S = 60.0
_KEYPOINT_RELEASES = (
    ("pose_hrnet", "https://github.com/leoxiaobin/deep-high-resolution-net.pytorch"),
    ("pose_resnet", "https://github.com/microsoft/human-pose-estimation.pytorch"),
)


@dataclass(frozen=True)
class PublishedFile:
    """A file somebody publishes.

    Attributes:
        url: where.
        sha256_prefix: how its sha256 begins, as far as that is published.
    """

    url: str
    sha256_prefix: str

    @property
    def name(self) -> str:
        """The file's name there."""
        return self.url.rsplit("/", 1)[-1]


def published_detector(name: str) -> PublishedFile | None:
    """Return torchvision's COCO weights of one of its detection models; None if it has none of that name."""
    if name not in list_models(module=detection):
        return None
    url = get_model_weights(name)["DEFAULT"].url
    prefix = re.search(r"-([0-9a-f]{8,64})\.pth$", url)
    return PublishedFile(url, prefix[1]) if prefix else None


Progress = Callable[[int, int], object]
"""Is told how many bytes came, and how many there are; 0 = unknown."""


def ready_detector_file(
    name: str, path: str | Path | None, download: bool, told: Progress | None = None
) -> None:
    """See to it that the weights of a detector of torchvision are there; others are left to who loads them.

    Args:
        name: of the detector.
        path: where the file is or shall be; None = under its published name in the current folder.
        download: whether the network may be used.
        told: see :data:`Progress`.

    Raises:
        ValueError: the file is missing, and not asked for or not to be had; says what to fetch from where and
            where to put it.
    """
    published = published_detector(name)
    if published is None:
        return
    where = Path(published.name if path is None else path)
    if where.is_file():
        return
    if not download:
        raise ValueError(
            f"{where}: no weights of {name} there, and nothing is downloaded unless requested: "
            f"{_by_hand(published, where)}, or add --download"
        )
    fetch(published, where, told)


def check_keypoint_file(path: str | Path) -> None:
    """Raise ValueError if a published keypoint network's file is missing, saying whose release has it."""
    path = Path(path)
    for stem, url in _KEYPOINT_RELEASES:
        if path.name.startswith(stem) and path.suffix == ".pth" and not path.is_file():
            raise ValueError(
                f"{path}: no such file: fetch {path.name} by hand (the model zoo of {url} links to it, at no "
                f"fixed address and with no checksum, so --download cannot) and put it at {path.absolute()}"
            )


def fetch(published: PublishedFile, path: Path, told: Progress | None = None) -> None:
    """Download a file under a temporary name, check it, and give it its name; all or nothing.

    Args:
        published: what.
        path: where it is put.
        told: see :data:`Progress`.

    Raises:
        ValueError: no network, a refusal, a transfer that broke off, a wrong checksum; says how to do it by
            hand. Nothing is left behind.
    """
    try:
        with replacing(path, durable=True) as temporary, temporary.open("wb") as file:
            sha256 = _transfer(published, file, told)
            if not sha256.startswith(published.sha256_prefix):
                raise _Failed(
                    f"its sha256 begins with {sha256[: len(published.sha256_prefix)]}, expected "
                    f"{published.sha256_prefix}"
                )
    except (_Failed, OSError, http.client.HTTPException) as error:
        raise ValueError(
            f"{path}: not downloaded from {published.url}: {_reason(error)}; {_by_hand(published, path)}"
        ) from error


class _Failed(Exception):
    """What came is not what was expected."""


def _transfer(published: PublishedFile, file: BinaryIO, told: Progress | None) -> str:
    """Write what comes into ``file`` and return its sha256."""
    digest, came = hashlib.sha256(), 0
    with urllib.request.urlopen(published.url, timeout=_SILENCE_S) as answer:
        length = int(answer.headers.get("Content-Length") or 0)
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            digest.update(chunk)
            came += len(chunk)
            if told is not None:
                told(came, length)
    if length and came != length:
        raise _Failed(f"the transfer broke off after {came} of {length} bytes")
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"the server cannot be reached ({error.reason})"
    return str(error) or type(error).__name__


def _by_hand(published: PublishedFile, path: Path) -> str:
    return f"fetch {published.url} on a machine with a network and put it at {path.absolute()}"
