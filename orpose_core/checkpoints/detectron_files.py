"""Files of detectron2's model zoo: pickles of arrays, read without running what else a pickle may hold."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from orpose_core.checkpoints.filling import fill_model
from orpose_core.checkpoints.torch_files import read_state_dict
from orpose_core.checkpoints.unpickling import RefusedPickleError, load_arrays
from orpose_core.files import refuse_stranger
from orpose_core.models.cascade.config import CASCADES
from orpose_core.models.cascade.rcnn import CascadeRcnn

BESIDE_PARAMETERS = re.compile(r"pixel_(mean|std)|proposal_generator\.anchor_generator\.cell_anchors\.\d")
"""What detectron2 0.2 and older stored beside the parameters; our configs have these numbers."""

_PIXELS = ("pixel_mean", "pixel_std")
_CHUNK = 1 << 24


def read_detectron_file(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a file that detectron2 saved; ``.pkl`` as in its zoo, or ``.pth``.

    Nothing in the file is run: a pickle may hold arrays of numbers, strings and dictionaries.

    Raises:
        ValueError: names the file and says whether it is damaged, holds code, or holds something else.
    """
    path = Path(path)
    if path.suffix != ".pkl":
        return read_state_dict(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    refuse_stranger(path, "a file of detectron2's zoo")
    try:
        with path.open("rb") as file:
            content = load_arrays(file, encoding="latin1")
    except RefusedPickleError as error:
        raise ValueError(f"{path}: refused: expected a pickle of arrays alone, got {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: not a readable pickle, {error}") from None
    arrays = content.get("model") if isinstance(content, dict) else None
    if not isinstance(arrays, dict) or not arrays:
        got = sorted(map(str, content))[:3] if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path}: expected a file of detectron2's zoo, with arrays under 'model', got {got}")
    for key, value in arrays.items():
        if not isinstance(value, np.ndarray):
            raise ValueError(f"{path}: {key}: expected an array of numbers, got {type(value).__name__}")
    return {str(key): _tensor(value) for key, value in arrays.items()}


def load_cascade(name: str, path: str | Path) -> tuple[CascadeRcnn, str]:
    """Return a detector of :data:`CASCADES`, filled from a file, for evaluation, and the file's sha256.

    Every parameter has its place, and none may be missing or left over. Two things go by a file's age:
    :data:`BESIDE_PARAMETERS` may be there, and the statistics of all frozen normalisations may be absent, as
    in files that came from Caffe2 (weight and bias say everything; detectron2 reads these so, too).

    Raises:
        ValueError: names the file, and what is missing, unexpected, of another shape or damaged.
    """
    path = Path(path)
    config = CASCADES[name]
    tensors = read_detectron_file(path)
    sha256, md5 = _digests(path)
    promised = re.search(r"_([0-9a-f]{6})\.pkl$", path.name)
    if promised and not md5.startswith(promised[1]):
        raise ValueError(
            f"{path}: damaged: its md5 begins with {md5[:6]}, its name says {promised[1]}; fetch it again"
        )
    for key in _PIXELS:
        wanted = torch.tensor(getattr(config, key))
        if key in tensors and not torch.allclose(tensors[key].flatten().float(), wanted):
            got = tensors[key].flatten().tolist()
            raise ValueError(f"{path}: expected {key} {wanted.tolist()} of {name}, got {got}")
    tensors = {key: value for key, value in tensors.items() if not BESIDE_PARAMETERS.fullmatch(key)}
    with torch.device("meta"):
        model = CascadeRcnn(config)
    statistics = [k for k in model.state_dict() if k.endswith((".running_mean", ".running_var"))]
    if not any(key in tensors for key in statistics):
        shapes = {key: value.shape for key, value in model.state_dict().items()}
        tensors |= {k: torch.full(shapes[k], float(k.endswith("running_var"))) for k in statistics}
    fill_model(model, tensors, str(path))
    return model.eval(), sha256


def _tensor(array: np.ndarray) -> Tensor:
    """Return the array's memory as a tensor, copied only where another layout or byte order asks for it."""
    return torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ["C", "W"]))


def _digests(path: Path) -> tuple[str, str]:
    """Return the sha256 and the md5 of a file that is too large to be held twice."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            md5.update(chunk)
    return sha256.hexdigest(), md5.hexdigest()
