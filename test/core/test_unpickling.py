"""Pickles of arrays: every way in which NumPy writes them is read, and nothing that they ask for is run."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from orpose_core.checkpoints.unpickling import RefusedPickleError, load_arrays
from orpose_core.data.human36m import read_human36m

ARRAYS = {
    "matrix": np.arange(12, dtype=np.float32).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "swapped": np.arange(5, dtype=">i4"),
    "truth": np.array([True, False]),
    "bytes": np.arange(4, dtype=np.uint8),
    "half": np.array([0.5, -2.0], np.float16),
    "empty": np.zeros((0, 3), np.int64),
    "number": np.float64(2.5),
    "single": np.array(7),
}


def read(content: bytes, encoding: str = "latin1"):
    return load_arrays(io.BytesIO(content), encoding)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_containers_come_back_as_they_were(protocol: int) -> None:
    content = {"model": OrderedDict(ARRAYS), "list": [1, -(2**70), 2.5, None, True, "a", b"b", (1, ("x",))]}
    back = read(pickle.dumps(content, protocol))
    assert back["list"] == content["list"]
    assert list(back["model"]) == list(ARRAYS)
    for name, wanted in ARRAYS.items():
        got = back["model"][name]
        np.testing.assert_array_equal(got, wanted)
        assert got.dtype == wanted.dtype and got.shape == wanted.shape
    back["model"]["matrix"][0, 0] = 5  # its own memory


def test_one_array_in_two_places_is_one() -> None:
    array = np.arange(3)
    back = read(pickle.dumps({"a": array, "b": [array]}))
    assert back["a"] is back["b"][0]


class Code:
    def __reduce__(self):
        return (Path("/tmp/orpose_was_here").touch, ())


class Call:
    """Pickles as a call of a name that is known, with arguments that NumPy never gives it."""

    def __init__(self, function, arguments, state=None):
        self.parts = function, arguments, state

    def __reduce__(self):
        return self.parts


RECONSTRUCT = np.zeros(1).__reduce__()[0]


@pytest.mark.parametrize(
    "content",
    [
        Code(),
        np.array([object()]),
        np.array(["text"]),
        np.zeros(2, [("x", "f4"), ("y", "f4")]),
        np.array(["2020-01-01"], "M8[D]"),
        np.zeros(1, "V8"),
        np.dtype("f4"),
        Call(np.dtype, ("f8",), (3, "<", None, ("x",), {"x": (np.dtype("f8"), 4096)}, -1, -1, 0)),
        Call(np.dtype, ("f8",), (3, "<", (np.dtype("f8"), (4096,)), None, None, -1, -1, 0)),
        Call(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (-4,), np.dtype("f8"), False, bytes(8))),
        {(1, 2): 3},
        {1.5, 2.5},
        complex(1, 2),
    ],
)
def test_anything_else_is_refused(content) -> None:
    with pytest.raises(ValueError):
        read(pickle.dumps({"model": content}))
    assert not Path("/tmp/orpose_was_here").exists()


@pytest.mark.parametrize(
    "state",
    [
        (1, (2**40,), np.dtype("f8"), False, bytes(8)),  # more than is there
        (1, (1,), np.dtype("O"), False, bytes(8)),  # bytes as the addresses of objects
        (1, (1,), np.dtype("f8"), False, [1.0]),
        (1, (1,), "f8", False, bytes(8)),
        (1, (1,), np.dtype("f8"), False),
    ],
)
def test_an_array_that_is_not_as_large_as_it_says_is_refused(state) -> None:
    with pytest.raises(ValueError):
        read(pickle.dumps(Call(RECONSTRUCT, (np.ndarray, (0,), b"b"), state)))


def test_a_data_type_cannot_be_made_to_hold_objects() -> None:
    """With NumPy's own data types this state marks plain numbers as addresses, and the process ends."""
    flagged = Call(np.dtype, ("f8", False, True), (3, "<", None, None, None, -1, -1, 63))
    array = Call(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (2,), flagged, False, b"\x41" * 16))
    got = read(pickle.dumps(array))
    assert got.dtype == np.float64 and not got.dtype.hasobject


def test_deep_nesting_false_lengths_and_shared_lists_end_in_a_sentence() -> None:
    nested = b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b"."
    with pytest.raises(ValueError, match="nested too deeply"):
        read(nested)
    for content in (
        b"\x80\x05\x96" + (2**50).to_bytes(8, "little") + b"x.",  # a byte array of a petabyte
        b"\x80\x04\x8e" + (2**50).to_bytes(8, "little") + b"x.",  # bytes
    ):
        with pytest.raises(ValueError, match="damaged"):
            read(content)
    far_memo = b"\x80\x04]r\xff\xff\xff\xff."  # an index of the memo that would take 64 GB as a list
    assert read(far_memo) == []
    with pytest.raises(RefusedPickleError):  # 2^100 items if it were hashed or printed
        read(b"\x80\x04}K\x01\x85" + b"2\x86" * 100 + b"K\x00s.")


@pytest.mark.parametrize("protocol", [2, 5])
def test_damage_is_a_sentence_whatever_it_hits(protocol: int) -> None:
    whole = pickle.dumps({"model": ARRAYS}, protocol)
    rng = np.random.default_rng(protocol)
    for _ in range(1500):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        try:
            read(bytes(damaged))
        except ValueError as error:
            assert "\n" not in str(error)
    for length in range(0, len(whole), 7):
        with pytest.raises(ValueError):
            read(whole[:length])


OBJECTS_IN_BYTES = {
    "objects": Call(np.dtype, ("O", False, True), (3, "|", None, None, None, -1, -1, 1)),
    "records": Call(
        np.dtype, ("V8", False, True), (3, "|", None, ("x",), {"x": (np.dtype("O"), 0)}, 8, 1, 1)
    ),
}


@pytest.mark.parametrize("kind", OBJECTS_IN_BYTES)
def test_a_crafted_npz_does_not_end_the_process(kind: str, tmp_path: Path) -> None:
    """These data types say that the bytes are addresses of objects; NumPy would follow them."""
    array = Call(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (4,), OBJECTS_IN_BYTES[kind], False, b"A" * 32))
    npy = io.BytesIO()
    np.lib.format.write_array_header_1_0(npy, {"descr": "|O", "fortran_order": False, "shape": ()})
    npy.write(pickle.dumps({"S1": {"walk": array}}))
    path = tmp_path / "data_3d_h36m.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("positions_3d.npy", npy.getvalue())
    program = "import sys; from orpose_core.data.human36m import read_human36m as r; r(sys.argv[1], ('S1',))"
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    assert done.returncode == 1 and f"ValueError: {path}: expected an npz file" in done.stderr


def test_the_file_that_numpy_writes_is_read(tmp_path: Path) -> None:
    walk = np.random.default_rng(0).normal(size=(3, 32, 3)).astype(np.float32)
    np.savez(tmp_path / "h36m.npz", positions_3d=np.array({"S1": {"walk": walk}}, dtype=object))
    (read_back,) = read_human36m(tmp_path / "h36m.npz", ("S1",))
    assert read_back.shape == (3, 17, 3)
    np.testing.assert_array_equal(read_back[:, 0], walk[:, 0])
